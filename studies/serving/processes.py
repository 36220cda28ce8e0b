"""What processes and their children use: memory over time, processor time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import psutil

MEGABYTE = 2**20


class Sample(NamedTuple):
    """Memory at a moment.

    Attributes:
        seconds: since watching began.
        megabytes: resident, of all processes together; pages they share count for each.
        progress: what the caller's function said.
    """

    seconds: float
    megabytes: float
    progress: float


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it; none if it is gone."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(pid: int) -> float:
    """Resident megabytes of a process and all below it."""
    total = 0
    for process in family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MEGABYTE


def processor_seconds(pid: int) -> dict[int, float]:
    """By process, user and system time so far."""
    found = {}
    for process in family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[process.pid] = times.user + times.system
    return found


class Watch:
    """Samples the memory of a process and all below it, in a thread, while a block runs."""

    def __init__(
        self, pid: int, *, every: float = 0.25, progress: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.samples: list[Sample] = []
        self._pid = pid
        self._every = every
        self._progress = progress
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        while True:
            if held := memory(self._pid):
                seconds = time.monotonic() - started
                self.samples.append(Sample(seconds, held, self._progress()))
            if self._stop.wait(self._every):
                return

    @property
    def peak(self) -> float:
        """Megabytes at most."""
        return max((sample.megabytes for sample in self.samples), default=0.0)

    def at(self, share: float) -> float:
        """Megabytes when so much of the time had passed."""
        if not self.samples:
            return 0.0
        return self.samples[min(len(self.samples) - 1, int(share * len(self.samples)))].megabytes


def growth(samples: list[Sample]) -> float:
    """Megabytes more per unit of progress, by least squares over the second half of the work.

    The first half holds what is loaded once.
    """
    done = max((sample.progress for sample in samples), default=0.0)
    # Nor is what is given back at the end of interest.
    late = [sample for sample in samples if done / 2 <= sample.progress < done]
    progress = np.array([sample.progress for sample in late])
    if len(late) < 3 or np.ptp(progress) == 0:
        return 0.0
    return float(np.polyfit(progress, [sample.megabytes for sample in late], 1)[0])
