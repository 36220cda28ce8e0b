"""What a person sees of a training: a progress bar on stderr, and TensorBoard if asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from xmpress.errors import MissingExtraError

SMOOTHING = 0.95


class Monitor:
    """Shows loss, validation metric, texts per second and the time left.

    Args:
        title: stands before the bar.
        quiet: show nothing.
        tensorboard: a directory for event files.
    """

    def __init__(
        self, title: str = "train", *, quiet: bool = False, tensorboard: Path | None = None
    ) -> None:
        self._title = title
        self._writer = _writer(tensorboard) if tensorboard else None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
            refresh_per_second=2,
        )
        self._task: TaskID | None = None
        self._loss: float | None = None
        self._rate: float | None = None
        self._metric: float | None = None

    @contextlib.contextmanager
    def training(self, total: int, done: int) -> Iterator[None]:
        """Show the bar while the block runs; its length is in steps or seconds."""
        with self._bar:
            self._task = self._bar.add_task(self._title, total=total, completed=done, numbers="")
            yield
        if self._writer:
            self._writer.close()

    def step(
        self,
        number: int,
        *,
        loss: float,
        parts: dict[str, float],
        learning_rate: float,
        texts: int,
        seconds: float,
        completed: int,
    ) -> None:
        """Report an optimizer step, after which the bar stands at ``completed``."""
        self._loss = _smooth(self._loss, loss)
        self._rate = _smooth(self._rate, texts / seconds)
        numbers = f"loss {self._loss:.3f}  {self._rate:.0f} texts/s"
        if self._metric is not None:
            numbers += f"  validation {self._metric:.3f}"
        if self._task is not None:
            self._bar.update(self._task, completed=completed, numbers=numbers)
        if self._writer:
            self._writer.add_scalar("loss/total", loss, number)
            self._writer.add_scalar("learning_rate", learning_rate, number)
            self._writer.add_scalar("texts_per_second", texts / seconds, number)
            for name, value in parts.items():
                self._writer.add_scalar(f"loss/{name}", value, number)

    def evaluated(self, number: int, metric: float) -> None:
        """Report a validation."""
        self._metric = metric
        if self._writer:
            self._writer.add_scalar("validation", metric, number)


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new


def _writer(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "TensorBoard logging") from error
    return SummaryWriter(str(directory))
