"""Which compressed model to take: the fastest on the front that keeps what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xmpress.study.figures import Figure, bracket, number, size, times
from xmpress.study.view import Group, View

LIMIT = 3.0
"""Average degradation in % that is allowed where no guard has judged; the recipes' guards allow the
same."""


@dataclass(frozen=True)
class Candidate:
    """A compressed model with what it gains and loses.

    Attributes:
        group: the model.
        loss: average degradation in %.
        gain: speedup, or how many times smaller it is where no speed was measured.
        over: what it is so many times as fast as, or smaller than.
        range: lowest and highest of the speedup.
        best: on the front.
    """

    group: Group
    loss: Figure
    gain: float
    over: str
    range: tuple[float, float] | None
    best: bool

    @property
    def verdicts(self) -> set[str]:
        """Of the guard, over the seeds."""
        return {model.verdict for model in self.group.models if model.verdict}

    @property
    def allowed(self) -> bool:
        """Whether it may be recommended: the guard is kept, or the average is within `LIMIT`."""
        if "broken" in self.verdicts:
            return False
        return self.verdicts == {"kept"} or self.loss.value <= LIMIT


@dataclass(frozen=True)
class Recommendation:
    """The model to take.

    Attributes:
        candidate: which.
        reason: why, in a sentence.
        kept: whether it is within what is allowed; otherwise it is the least bad.
    """

    candidate: Candidate
    reason: str
    kept: bool

    @property
    def group(self) -> Group:
        """The model."""
        return self.candidate.group


def by_speed(view: View) -> bool:
    """Whether gain is speed; otherwise it is size."""
    rows = [view.speed(group) for group in view.of_role("compressed")]
    return any(row is not None and row.speedup is not None for row in rows)


def candidates(view: View) -> list[Candidate]:
    """All compressed models whose gain and loss are known."""
    speed = by_speed(view)
    found: list[tuple[Group, Figure, float, str, tuple[float, float] | None]] = []
    for group in view.of_role("compressed"):
        loss = group.average
        gain = _speedup(view, group) if speed else _smaller(view, group)
        if loss is not None and gain is not None:
            found.append((group, loss, *gain))
    points = [(gain, loss.value) for _, loss, gain, _, _ in found]
    return [
        Candidate(group, loss, gain, over, ends, not _beaten((gain, loss.value), points))
        for group, loss, gain, over, ends in found
    ]


def recommend(view: View) -> Recommendation | None:
    """The recommended model; ``None`` where nothing compressed could be compared."""
    found = candidates(view)
    front = [one for one in found if one.best]
    if not front:
        return None
    allowed = [one for one in found if one.allowed]
    if not allowed:
        least = min(front, key=lambda one: one.loss.value)
        reason = (
            f"No compressed model keeps the guard or loses {LIMIT:g} % at most; "
            f"{least.group.label} loses the least, {bracket(least.loss, 1, ' %')} on average."
        )
        return Recommendation(least, reason, kept=False)
    best = max(allowed, key=lambda one: (one.gain, -one.loss.value))
    return Recommendation(best, _reason(view, best, found), kept=True)


def _reason(view: View, best: Candidate, found: Sequence[Candidate]) -> str:
    speed = by_speed(view)
    held = (
        "keeps its guard" if best.verdicts == {"kept"} else f"loses {LIMIT:g} % at most on average"
    )
    word = "fastest model" if speed else "smallest model"
    if len({one.over for one in found}) > 1:
        # Gains over different models do not tell which is the fastest of all.
        word = f"model with the largest {'speedup' if speed else 'reduction'}"
    parts = [
        f"{best.group.label} is the {word} that {held}: {times(best.gain)} times "
        f"{'as fast as' if speed else 'smaller than'} {best.over}"
    ]
    if best.group.bytes is not None:
        parts[0] += f", {size(best.group.bytes)}"
    parts[0] += f", at {bracket(best.loss, 1, ' %')} average degradation"
    if best.loss.sure and best.loss.value < 0:
        parts.append("it scores higher than what it was made from")
    elif not best.loss.judged:
        parts.append("on too few labelled rows to judge")
    elif not best.loss.sure:
        what = "a loss" if best.loss.value > 0 else "a gain"
        parts.append(f"{what} that the interval does not tell from none" if best.loss.interval else
                     "one seed and no interval")  # fmt: skip
    faster = [one for one in found if one.gain > best.gain]
    if faster:
        nearest = min(faster, key=lambda one: one.loss.value)
        why = "breaks its guard" if "broken" in nearest.verdicts else "loses"
        loss = f"{number(nearest.loss.value)} %"
        parts.append(
            f"{nearest.group.label}, at {times(nearest.gain)} times, "
            + (f"{why} ({loss})" if why != "loses" else f"{why} {loss}")
        )
    return "; ".join(parts) + "."


def _speedup(view: View, group: Group) -> tuple[float, str, tuple[float, float] | None] | None:
    row = view.speed(group)
    if row is None or row.speedup is None:
        return None
    ends = None if row.low is None or row.high is None else (row.low, row.high)
    return row.speedup, view.named(row.reference or "the reference"), ends


def _smaller(view: View, group: Group) -> tuple[float, str, None] | None:
    reference = view.reference(group)
    if reference is None or not reference.bytes or not group.bytes:
        return None
    return reference.bytes / group.bytes, reference.label, None


def _beaten(point: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    gain, loss = point
    return any(g >= gain and x <= loss and (g, x) != point for g, x in others)
