"""Files written whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xmpress.errors import DataError, UsageError

LOCK = ".lock"
"""In a folder that `locked` has held; it stays there."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside ``path`` to write to; rename it to ``path`` on success.

    On an error nothing is left behind and an older file at ``path`` stays as it was. The temporary
    name keeps the suffix, so that writers that choose a format by suffix work.

    Raises:
        DataError: if the folder does not exist or cannot be written to, or if ``path`` is a folder.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "out.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the name of a file to write")
    _check_writable(path)
    temporary = _sibling(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary directory beside ``path`` to fill; rename it to ``path`` on success.

    Parent directories are created. On an error nothing is left behind.

    Args:
        path: the directory to make.
        overwrite: replace a directory that exists and is not empty.

    Raises:
        UsageError: if ``path`` exists, is not empty, and ``overwrite`` is false.
        DataError: if the place cannot be written to.
    """
    path = Path(path)
    if path.is_file():
        raise DataError(f"{path} is a file; give the name of a folder to write")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise UsageError(
            f"folder {path} exists and is not empty; choose another or allow it to be overwritten"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make folder {path.parent}: {error.strerror}") from error
    _check_writable(path)
    temporary = _sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.is_dir():
            old = _sibling(path)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Keep every other process that asks for the same lock from writing to a folder.

    The system gives the lock back when the process ends, however it ends.

    Raises:
        DataError: if another process holds it, or the folder cannot be written to.
    """
    path = Path(folder)
    try:
        file = (path / LOCK).open("a")
    except OSError as error:
        raise DataError(f"cannot write to folder {path}: {error.strerror}") from error
    with file:
        try:
            _take(file)
        except OSError as error:
            raise DataError(
                f"another process writes to {path}; wait for it, or name another folder"
            ) from error
        yield


def _take(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sha256(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sibling(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")


def _check_writable(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise DataError(f"cannot write {path}: folder {folder} does not exist; make it first")
    if not os.access(folder, os.W_OK):
        raise DataError(f"cannot write {path}: no permission to write in folder {folder}")
