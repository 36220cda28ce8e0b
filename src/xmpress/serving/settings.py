"""What can be set about a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from xmpress.errors import UsageError
from xmpress.machine import this_machine
from xmpress.zoo import resolve

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names and versions: they stand in addresses and in metrics."""


@dataclass(frozen=True)
class ModelSpec:
    """One bundle to serve.

    Attributes:
        path: where it is; looked at again when models are reloaded.
        name: by which it is served; ``None`` for the name in the bundle.
        version: by which it is served; ``None`` for the version in the bundle.
    """

    path: Path
    name: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[NAME=]MODEL[@VERSION]``, where MODEL is a bundle or a name of the zoo.

        Raises:
            UsageError: if a name or version has letters that an address cannot have.
            ModelError: if there is no such model.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> spec = ModelSpec.parse(f"student={folder}@3")
            >>> spec.name, spec.version, spec.path == Path(folder)
            ('student', '3', True)
        """
        name = None
        path, version = _without_version(text)
        # A folder may have either sign in its name.
        if not Path(path).is_dir() and "=" in text:
            name, _, rest = text.partition("=")
            path, version = _without_version(rest)
        for what, value in (("name", name), ("version", version)):
            if value is not None and not NAME.fullmatch(value):
                raise UsageError(
                    f"'{text}' has the {what} '{value}'; expected letters, digits, '_', '.', '-'"
                )
        return cls(resolve(path), name, version)


def _without_version(text: str) -> tuple[str, str | None]:
    if Path(text).is_dir() or "@" not in text:
        return text, None
    path, _, version = text.rpartition("@")
    return path, version


class ServeSettings(BaseModel):
    """How the server runs; the models it serves are named beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; ``0.0.0.0`` for every network."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1)] = 1
    """Engine processes per model."""
    threads: Annotated[int | None, Field(ge=1)] = None
    """CPU threads of all engine processes of a model together, each of which runs batches of its
    own; ``None`` means all cores."""
    engine: str = "auto"
    """What runs the graphs."""
    cache: Annotated[int, Field(ge=0)] = 0
    """Texts whose scores are remembered per model, by a hash of the text; 0 for none."""
    api_keys: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Whoever sends one of these is let in; everybody is if there are neither keys nor a file."""
    api_key_file: Path | None = None
    """More keys, one a line; read again when the file changes."""
    queue: Annotated[int, Field(ge=1)] = 2_000
    """Texts accepted and not yet answered, per model; beyond, requests are refused with 429."""
    timeout: Annotated[float, Field(gt=0)] = 30.0
    """Seconds from a request's arrival to its answer, or 504."""
    max_body: Annotated[int, Field(ge=1)] = 4 * 2**20
    """Bytes of a request's body; beyond, 413."""
    max_texts: Annotated[int, Field(ge=1)] = 1_000
    """Texts of one request; beyond, 422."""
    max_characters: Annotated[int, Field(ge=1)] = 50_000
    """Characters of one text; beyond, 422. What exceeds the model's length is cut anyway."""
    watch: Annotated[float | None, Field(gt=0)] = None
    """Look every so many seconds whether a bundle was replaced; ``None`` only on SIGHUP."""
    otel: bool = False
    """Send OpenTelemetry traces, configured by the usual ``OTEL_*`` variables."""

    @property
    def threads_each(self) -> int:
        """CPU threads of one engine process."""
        return max(1, (self.threads or this_machine().threads) // self.workers)
