"""The output folder: who may write to it, what is in it, and what of that is known to be whole.

manifest.json      the plan at first; in the end also counts, checksums and times
parts/             one file per window of an input
rejected.jsonl     in the end: the rows that could not be scored, with file, row and reason
.journal.jsonl     while it runs: one line per part that is whole, and per input that was read
.lock              held while a process writes here
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from xmpress.data.files import LOCK, atomic_path, locked, sha256
from xmpress.errors import DataError, UsageError
from xmpress.scoring.plan import Plan

MANIFEST = "manifest.json"
PARTS = "parts"
REJECTED = "rejected.jsonl"
_JOURNAL = ".journal.jsonl"


class Part(BaseModel):
    """What was made of one window.

    The file's name follows from ``input`` and ``number``; there is none if no row could be scored.
    """

    input: int
    """Number of the input, from 1."""
    number: int
    """Of the part within its input, from 1."""
    first_row: int
    """Number of its first row among the input's data rows, from 1."""
    rows: int
    """Rows of the input, rejected ones included."""
    scored: int
    """Rows of the part."""
    blank: int
    """Of them those without text, which have no prediction."""
    file: str | None = None
    bytes: int = 0
    sha256: str | None = None


class InputEnd(BaseModel):
    """An input was read to its end, or to where it is damaged."""

    input: int
    parts: int
    unreadable: str | None = None


class OutputFolder:
    """An output folder that this process alone writes to; use `open_folder`."""

    def __init__(self, path: Path, format_: str) -> None:
        self.path = path
        self._suffix = f".{format_}"
        self._journal: IO[bytes] | None = None
        self._writing = Lock()

    def manifest(self) -> dict[str, Any] | None:
        """What ``manifest.json`` says; ``None`` if there is none.

        Raises:
            DataError: if it cannot be read.
        """
        file = self.path / MANIFEST
        if not file.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            Plan.model_validate(content["plan"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise DataError(f"{file} is not the manifest of a run: {error}") from error
        return content

    def write_manifest(self, content: dict[str, Any]) -> None:
        """Replace ``manifest.json``."""
        with atomic_path(self.path / MANIFEST) as temporary:
            temporary.write_text(
                json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
            )

    def part_path(self, input_number: int, number: int) -> Path:
        """Where a part belongs."""
        return self.path / PARTS / f"part-{input_number:05d}-{number:06d}{self._suffix}"

    def clear_leftovers(self) -> None:
        """Remove what a process that was killed left under temporary names."""
        for folder in (self.path, self.path / PARTS):
            for file in folder.glob(".*"):
                if file.is_file() and file.name not in {LOCK, _JOURNAL}:
                    file.unlink()

    # ---- the journal ------------------------------------------------------------------------

    def entries(self) -> Iterator[dict[str, Any]]:
        """The journal's whole lines."""
        file = self.path / _JOURNAL
        if file.is_file():
            with file.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):  # else the process was killed as it wrote
                        yield json.loads(line)

    def open_journal(self) -> None:
        """Begin to append, after the last whole line."""
        journal = (self.path / _JOURNAL).open("ab+")
        journal.seek(0)
        whole = sum(len(line) for line in journal if line.endswith(b"\n"))
        journal.truncate(whole)
        self._journal = journal

    def note(self, entry: dict[str, Any]) -> None:
        """Append a line that survives the process."""
        if self._journal is None:
            raise RuntimeError("the journal is not open")
        line = json.dumps(entry).encode() + b"\n"
        with self._writing:  # inputs are read in a thread of their own
            self._journal.write(line)
            self._journal.flush()
            os.fsync(self._journal.fileno())

    def close_journal(self, *, remove: bool = False) -> None:
        """End appending."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if remove:
            (self.path / _JOURNAL).unlink(missing_ok=True)

    def write_rejected(self, files: Sequence[str], unreadable: Mapping[int, str]) -> int:
        """Write the rows that were rejected, in the order of the inputs.

        Args:
            files: the inputs.
            unreadable: by number of the input, why the rest of it could not be read.

        Returns:
            How many rows there are.
        """
        places: dict[tuple[int, int], int] = {}
        with (self.path / _JOURNAL).open("rb") as journal:
            place = 0
            for line in journal:
                entry = json.loads(line)
                if entry.get("rejected"):
                    part = entry["part"]
                    places[part["input"], part["number"]] = place
                place += len(line)
            places |= {(number, sys.maxsize): -1 for number in unreadable}
            if not places:
                return 0
            rows = 0
            with (
                atomic_path(self.path / REJECTED) as temporary,
                temporary.open("w", encoding="utf-8") as out,
            ):
                for (number, _), place in sorted(places.items()):
                    file = {"file": files[number - 1]}
                    if place < 0:
                        rest = {"row": None, "line": None, "reason": unreadable[number]}
                        out.write(json.dumps(file | rest, ensure_ascii=False) + "\n")
                        continue
                    journal.seek(place)
                    for row in json.loads(journal.readline())["rejected"]:
                        out.write(json.dumps(file | row, ensure_ascii=False) + "\n")
                        rows += 1
        return rows

    def is_whole(self, part: Part) -> bool:
        """Whether a part's file is there as it was written."""
        if part.file is None:
            return True
        file = self.path / part.file
        return file.is_file() and file.stat().st_size == part.bytes and sha256(file) == part.sha256


@contextmanager
def open_folder(path: Path, format_: str, *, resume: bool) -> Iterator[OutputFolder]:
    """Make or take a folder, and keep every other process from writing to it.

    Raises:
        UsageError: if it holds something else, or a run and ``resume`` is false.
        DataError: if another process writes to it, or it cannot be made.
    """
    if path.is_file():
        raise UsageError(f"{path} is a file; give the name of a folder to write (-o DIR)")
    # A folder of ours has a lock from its first moment on.
    ours = (path / LOCK).is_file() or (path / MANIFEST).is_file()
    if path.is_dir() and not ours and any(path.iterdir()):
        raise UsageError(f"folder {path} is not empty; name another")
    try:
        (path / PARTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to folder {path}: {error.strerror}") from error
    with locked(path):
        if (path / MANIFEST).is_file() and not resume:
            raise UsageError(
                f"folder {path} holds a run already: go on with it (--resume) or name another"
            )
        yield OutputFolder(path, format_)
