"""Open-loop load: texts arrive when they arrive, whether the answers keep up or not.

A client that waits for an answer before it asks again slows down with the server and hides the
queue ("coordinated omission"). Here arrivals are a Poisson process, drawn beforehand, and a
latency counts from the moment a text was to arrive.

The same loop runs against a model in real time and against measured service times on a clock that
is only counted (`ServiceTimes`), so that the rate a model can bear is found in a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

MAX_BATCH = 64
"""Texts answered together at most, as a server's batcher would take them."""
SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes whose service times are measured."""
_SIMULATED = 10_000
"""Arrivals of one simulation: 100 of them are above its p99."""
_STEPS = 10
"""Halvings of the interval in which the capacity is sought: to 0.1 % of the highest rate."""


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> float:
        """Seconds since any fixed moment."""

    def wait(self, seconds: float) -> None:
        """Come back so many seconds later."""


class RealClock:
    """The clock on the wall."""

    def now(self) -> float:
        """Seconds since any fixed moment."""
        return time.perf_counter()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class CountedClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Seconds so far."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds


def poisson_arrivals(rate: float, *, count: int, seed: int = 0) -> Seconds:
    """When each of so many texts arrives, in seconds, at ``rate`` texts per second on average."""
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate, count))


def open_loop(
    arrivals: Seconds,
    answer: Callable[[int, int], None],
    *,
    clock: Clock,
    max_batch: int = MAX_BATCH,
) -> Seconds:
    """Answer texts as they arrive: one batch after the other, each of all that wait by then.

    Args:
        arrivals: when each text arrives, ascending, [n].
        answer: called with the first text of a batch and the one after its last.
        clock: what passes while nothing waits, and while ``answer`` works.
        max_batch: texts of a batch at most.

    Returns:
        Per text the seconds from its arrival to the end of its batch, [n].
    """
    latencies = np.empty(len(arrivals))
    begun = clock.now()
    first = 0
    while first < len(arrivals):
        now = clock.now() - begun
        if arrivals[first] > now:
            clock.wait(float(arrivals[first] - now))
            continue
        there = int(np.searchsorted(arrivals, now, side="right"))
        last = min(there, first + max_batch)
        answer(first, last)
        latencies[first:last] = clock.now() - begun - arrivals[first:last]
        first = last
    return latencies


@dataclass(frozen=True)
class ServiceTimes:
    """How long a model works on a batch, measured.

    Attributes:
        samples: texts in the batch to the seconds of several such batches.
    """

    samples: Mapping[int, Sequence[float]]

    @property
    def highest_rate(self) -> float:
        """Texts per second when it never waits, at the best of the batch sizes."""
        return max(size / float(np.median(times)) for size, times in self.samples.items())

    def simulate(self, rate: float, *, count: int = _SIMULATED, seed: int = 0) -> Seconds:
        """The latencies at a rate, on a counted clock.

        A batch takes one of the times measured at the next larger size, drawn at random.
        """
        clock, draw = CountedClock(), np.random.default_rng(seed + 1)
        sizes = sorted(self.samples)
        # One number per batch; there are at most as many batches as texts.
        luck = draw.random(count)
        batches = iter(luck)

        def answer(first: int, last: int) -> None:
            at = min(int(np.searchsorted(sizes, last - first)), len(sizes) - 1)
            times = self.samples[sizes[at]]
            clock.wait(times[int(next(batches) * len(times))])

        return open_loop(
            poisson_arrivals(rate, count=count, seed=seed),
            answer,
            clock=clock,
            max_batch=sizes[-1],
        )

    def capacity(self, p99: float) -> float:
        """The highest rate, in texts per second, at which 99 % are answered within ``p99`` seconds.

        0 if not even a text that comes alone is.
        """
        low, high = 0.0, self.highest_rate
        alone = float(np.percentile(self.samples[min(self.samples)], 99))
        if alone > p99:
            return 0.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if float(np.percentile(self.simulate(middle), 99)) <= p99:
                low = middle
            else:
                high = middle
        return low
