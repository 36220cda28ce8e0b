"""Means over seeds, with intervals that hold the test rows' chance and the seeds' chance.

Every seed's degradation comes with an interval of its own, from redrawn test rows; all seeds are
tested on the same rows. The interval of their mean has that standard error (its mean over the
seeds, for the rows are shared) and the standard error of the mean of the seeds, added as variances.
Its width follows Student's t with Welch & Satterthwaite's degrees of freedom, so that seeds that
differ much make a wide interval, and seeds that agree leave that of the test rows. Two or three
seeds tell little about the spread of one cell; cells of one kind (tasks, languages, or tasks in
languages) of a model therefore share a pooled variance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import Self

import numpy as np

from xmpress.evaluation import Degradation
from xmpress.evaluation.render import Entry

Z = 1.959964
"""Half the width of a 95 % interval, in standard errors, for a normal distribution."""

_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 8: 2.306, 10: 2.228, 15: 2.131,
      20: 2.086, 30: 2.042, 60: 2.000}  # fmt: skip
"""The same for Student's t, by degrees of freedom."""


@dataclass(frozen=True)
class Pool:
    """The variance between seeds, estimated from several cells at once.

    Attributes:
        variance: of one seed's value.
        freedom: degrees of freedom of the estimate.
    """

    variance: float
    freedom: float

    @classmethod
    def of(cls, cells: Iterable[Sequence[float]]) -> Self | None:
        """From the values by seed of each cell; ``None`` where no cell has two."""
        several = [values for values in cells if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        if not freedom:
            return None
        total = sum((len(values) - 1) * variance(values) for values in several)
        return cls(total / freedom, freedom)


@dataclass(frozen=True)
class Figure:
    """A number, over one seed or several.

    Attributes:
        value: the mean over the seeds.
        std: their standard deviation (n - 1); ``None`` with one seed.
        low: lower end of a 95 % interval of ``value``, where one can be told.
        high: its upper end.
        seeds: how many.
        rows: labelled rows behind it; 0 where that does not apply.
        judged: whether they are enough.
    """

    value: float
    std: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    rows: int = 0
    judged: bool = True

    @property
    def sure(self) -> bool:
        """Whether its interval excludes 0, and there are rows enough to judge."""
        if self.low is None or self.high is None or not self.judged:
            return False
        return self.low > 0 or self.high < 0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def scaled(self, factor: float) -> Figure:
        """In another unit."""
        ends = sorted(factor * end for end in self.interval or ())
        low, high = ends or (None, None)
        std = None if self.std is None else abs(factor) * self.std
        return Figure(factor * self.value, std, low, high, self.seeds, self.rows, self.judged)

    @classmethod
    def of(cls, values: Sequence[float]) -> Self | None:
        """Plain values by seed: without an interval where there is only one."""
        if not values:
            return None
        mean, std = fmean(values), stdev(values) if len(values) > 1 else None
        if std is None:
            return cls(mean)
        half = student(len(values) - 1) * std / math.sqrt(len(values))
        return cls(mean, std, mean - half, mean + half, len(values))

    @classmethod
    def of_degradations(cls, found: Sequence[Degradation], pool: Pool | None = None) -> Self | None:
        """Degradations by seed, in %, on the same test rows.

        Args:
            found: by seed.
            pool: the seeds' variance; by default that of ``found`` alone.

        Returns:
            ``None`` where no reference scored above 0.
        """
        known = [(one, one.percent) for one in found if one.percent is not None]
        if not known:
            return None
        values = [percent for _, percent in known]
        mean, std = fmean(values), stdev(values) if len(values) > 1 else None
        pool = pool or Pool.of([values])
        ends = [(d.low, d.high) for d, _ in known if d.low is not None and d.high is not None]
        low = high = None
        if len(ends) == len(known):
            # The ends about the mean: a bootstrap's interval need not be symmetric.
            below = mean - fmean(low for low, _ in ends)
            above = fmean(high for _, high in ends) - mean
            low = mean - _half(below, pool, len(known))
            high = mean + _half(above, pool, len(known))
        first = known[0][0]
        judged = all(one.judged for one, _ in known)
        return cls(mean, std, low, high, len(known), first.rows, judged)

    @classmethod
    def of_share(cls, shares: Sequence[float], items: int) -> Self | None:
        """Shares by seed of the same items: Wilson's interval, and the seeds' chance."""
        if not shares:
            return None
        mean, std = fmean(shares), stdev(shares) if len(shares) > 1 else None
        if items < 1:
            return cls(mean, std, seeds=len(shares))
        low, high = wilson(mean, items)
        return cls(
            mean,
            std,
            max(0.0, mean - _half(mean - low, Pool.of([shares]), len(shares))),
            min(1.0, mean + _half(high - mean, Pool.of([shares]), len(shares))),
            len(shares),
            items,
        )


def mean_of(figures: Sequence[Figure], *, independent: bool) -> Figure | None:
    """The mean of figures; of judged ones only, if there are any.

    Args:
        figures: to be averaged.
        independent: whether their chances are: those of languages are, for rows are redrawn within
            each language; those of tasks are not, for tasks share texts. Ends of intervals are then
            averaged, as if chance were wholly shared, which makes the interval too wide rather
            than too narrow.
    """
    counted = [one for one in figures if one.judged] or list(figures)
    if not counted:
        return None
    mean = fmean(one.value for one in counted)
    low = high = None
    ends = [one.interval for one in counted if one.interval]
    if len(ends) == len(counted):
        below = [one.value - low for one, (low, _) in zip(counted, ends, strict=True)]
        above = [high - one.value for one, (_, high) in zip(counted, ends, strict=True)]
        total = math.hypot if independent else lambda *parts: math.fsum(parts)
        low, high = mean - total(*below) / len(counted), mean + total(*above) / len(counted)
    return Figure(
        mean,
        None,
        low,
        high,
        min(one.seeds for one in counted),
        sum(one.rows for one in counted),
        counted[0].judged,
    )


def student(freedom: float) -> float:
    """Half the width of a 95 % interval in standard errors, for Student's t.

    Example:
        >>> [round(student(freedom), 2) for freedom in (1, 6, 25, math.inf)]
        [12.71, 2.45, 2.06, 1.96]
    """
    known = [*_T.items(), (math.inf, Z)]
    # Its logarithm is close to linear in 1 / freedom, which numpy wants to rise.
    inverse = [1 / found for found, _ in reversed(known)]
    logs = [math.log(t) for _, t in reversed(known)]
    return math.exp(np.interp(1 / max(1.0, freedom), inverse, logs))


def wilson(share: float, items: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Example:
        >>> [round(end, 3) for end in wilson(0.9, 100)]
        [0.826, 0.945]
    """
    scale = 1 + Z**2 / items
    centre = (share + Z**2 / (2 * items)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / items + (Z / (2 * items)) ** 2)
    return centre - half, centre + half


def _half(sampling: float, pool: Pool | None, seeds: int) -> float:
    """Half the width of an interval, from that of the test rows and the spread of the seeds."""
    if pool is None or not pool.variance or seeds < 2:
        return sampling
    rows, runs = (sampling / Z) ** 2, pool.variance / seeds
    freedom = (rows + runs) ** 2 / (runs**2 / pool.freedom)
    return student(freedom) * math.sqrt(rows + runs)


# ---- in words and in cells ------------------------------------------------------------------


def number(value: float, places: int = 1) -> str:
    """A number with a minus sign, and no minus before a zero.

    Example:
        >>> number(-0.04), number(-1.25, 2), number(1234.5)
        ('0.0', '−1.25', '1,234.5')
    """
    text = f"{value:,.{places}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def times(value: float) -> str:
    """How many times as fast or as small, to two digits at least.

    Example:
        >>> times(15.61), times(3.294), times(0.0312)
        ('15.6', '3.29', '0.031')
    """
    if value >= 10:
        return number(value)
    return number(value, 2) if value >= 1 or not value else f"{value:.2g}"


def spread(figure: Figure, places: int = 1) -> str:
    """A mean with its standard deviation over the seeds.

    Example:
        >>> spread(Figure(2.0, 0.25)), spread(Figure(2.0))
        ('2.0 ±0.2', '2.0')
    """
    value = number(figure.value, places)
    return value if figure.std is None else f"{value} ±{number(figure.std, places)}"


def bracket(figure: Figure, places: int = 1, unit: str = "") -> str:
    """A number with its interval, for a sentence."""
    text = f"{number(figure.value, places)}{unit}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{number(figure.low, places)}, {number(figure.high, places)}]"


def entry(
    figure: Figure | None, places: int = 1, *, interval: bool = True, style: bool = True
) -> Entry:
    """A cell of a table: in bold where the interval excludes 0, in brackets where not judged."""
    if figure is None:
        return Entry("–")
    ends = figure.interval if interval else None
    bold = style and figure.sure
    return Entry(
        spread(figure, places),
        None if ends is None else (number(ends[0], places), number(ends[1], places)),
        unsure=not figure.judged,
        style=("bold red" if figure.value > 0 else "bold green") if bold else "",
    )


def size(count: float) -> str:
    """Bytes for people.

    Example:
        >>> size(34_500_000), size(900)
        ('34.5 MB', '900 B')
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def threads_text(count: int) -> str:
    """Threads for people.

    Example:
        >>> threads_text(1), threads_text(4)
        ('1 thread', '4 threads')
    """
    return f"{count} thread{'s' if count != 1 else ''}"
