"""API keys: several, compared in constant time, and changed without a restart."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from xmpress.errors import UsageError

log = logging.getLogger("xmpress.serving")


class Keys:
    """Who may call.

    Keys are kept as SHA-256 digests, and a caller's is compared with every one of them, so that
    the time it takes tells nothing. The file is looked at with each request and read when it
    changed. If it can no longer be read the last keys stay valid; an empty one lets nobody in.
    """

    def __init__(self, keys: Iterable[str] = (), file: Path | None = None) -> None:
        """Take keys, and more from a file.

        Raises:
            UsageError: if the file cannot be read.
        """
        self._given = frozenset(map(_digest, keys))
        self._file = file
        self._from_file: frozenset[bytes] = frozenset()
        self._seen: tuple[int, int, int] | None = None
        if file is not None:
            try:
                self._read(file)
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the key file {file} cannot be read: {error}") from error

    @property
    def required(self) -> bool:
        """Whether a key is asked for at all."""
        return bool(self._given) or self._file is not None

    def admit(self, headers: Mapping[str, str]) -> bool:
        """Whether a caller with these headers (``Authorization: Bearer`` or ``X-API-Key``) may."""
        if not self.required:
            return True
        self._refresh()
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        given = _digest(key)
        matches = [hmac.compare_digest(given, known) for known in self._given | self._from_file]
        return any(matches)

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            if _stamp(self._file) != self._seen:
                self._read(self._file)
                log.info("keys read again", extra={"keys": len(self._from_file)})
        except (OSError, UnicodeDecodeError) as error:
            if self._seen is not None:
                self._seen = None  # said once, and read as soon as it is back
                log.error("the key file cannot be read; its last keys stay valid: %s", error)

    def _read(self, file: Path) -> None:
        stamp = _stamp(file)
        lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
        self._from_file = frozenset(_digest(x) for x in lines if x and not x.startswith("#"))
        self._seen = stamp


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _stamp(file: Path) -> tuple[int, int, int]:
    found = os.stat(file)  # noqa: PTH116  # with every request
    return found.st_ino, found.st_mtime_ns, found.st_size
