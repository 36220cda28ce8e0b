"""Where messages for people go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """A remark beside the result."""
    err.print(message, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    """A remark that should not be missed."""
    err.print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def fail(message: str) -> None:
    """Why a command gives up."""
    err.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def emit(text: str) -> None:
    """Part of the result, as it is: for other programs."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


@contextmanager
def piped() -> Iterator[None]:
    """Ends quietly where the reader of standard output has seen enough, as ``head`` has."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(content: Any) -> None:
    """The result as JSON; numbers that JSON does not know become null."""
    emit(json.dumps(_finite(content), ensure_ascii=False, indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def size_text(count: float) -> str:
    """Bytes for people.

    Example:
        >>> size_text(34_500_000)
        '34.5 MB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class Advance(Protocol):
    """Reports that so many further rows are done."""

    def __call__(self, rows: int) -> None:
        """So many more."""


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Advance]:
    """Count rows on a terminal's standard error while the block runs."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda rows: bar.advance(task, rows)
