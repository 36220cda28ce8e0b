"""Numbers about repeated measurements: medians, ratios of runs that took turns, percentiles."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value.

    Attributes:
        median: of the values.
        low: the smallest.
        high: the largest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: ArrayLike) -> Spread:
        """Of at least one value.

        Example:
            >>> Spread.of([3.0, 1.0, 2.0])
            Spread(median=2.0, low=1.0, high=3.0)
        """
        array = np.asarray(values, dtype=np.float64)
        return cls(float(np.median(array)), float(array.min()), float(array.max()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def ratios(reference: ArrayLike, seconds: ArrayLike) -> Spread:
    """How much faster than a reference: the ratio within each round, then the median of these.

    A machine that is busy in one round is busy for both, so the ratio of a round is steadier than
    the ratio of two medians.

    Args:
        reference: seconds of the reference, per round.
        seconds: seconds of the other on the same work, per round.

    Example:
        >>> ratios([4.0, 8.0], [1.0, 4.0])
        Spread(median=3.0, low=2.0, high=4.0)
    """
    return Spread.of(np.asarray(reference, dtype=np.float64) / np.asarray(seconds))


@dataclass(frozen=True)
class Latency:
    """Milliseconds of many answers.

    Attributes:
        count: answers.
        p50: half of them were not slower.
        p95: 95 % were not.
        p99: 99 % were not.
        worst: the slowest.
    """

    count: int
    p50: float
    p95: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: ArrayLike) -> Latency:
        """Of at least one answer's seconds.

        Example:
            >>> Latency.of([0.001, 0.003, 0.002]).p50
            2.0
        """
        values = 1000 * np.asarray(seconds, dtype=np.float64)
        p50, p95, p99 = (float(np.percentile(values, q)) for q in (50, 95, 99))
        return cls(len(values), p50, p95, p99, float(values.max()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
