"""The guard: how much quality compression may cost, and whether that held.

Most limits are on the degradation, the relative drop of macro-F1 against the uncompressed model in
%. What was measured on a test set is one draw, so the verdict uses the interval (of degradations
from the bootstrap): *kept* if all of it lies within the limit, *broken* if all of it lies beyond,
otherwise *undecided*, for lack of test data. Only a broken limit stops a compression. With many
cells under one limit some intervals lie beyond it by chance, where the truth lies on it exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from xmpress.evaluation import Comparison, Degradation

Percent = Annotated[float, Field(ge=0, le=100)]


class Guard(BaseModel):
    """The limits, in %; a limit that is left out is not judged.

    Languages with fewer than `xmpress.evaluation.MIN_ROWS` labelled rows of a task are not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    average: Percent | None = None
    """Mean over tasks."""
    worst_task: Percent | None = None
    """Each task."""
    worst_language: Percent | None = None
    """Each language."""
    worst_task_language: Percent | None = None
    """Each task in each language."""
    disagreement: Percent | None = None
    """Labels that quantization changes, each task in each language; of passes that quantize."""
    on_violation: Literal["stop", "report"] = "stop"
    """Once the settings that a pass falls back on are tried: ``stop``: no final artefact and exit
    code 3. ``report``: only say so."""


class Verdict(StrEnum):
    """Whether a limit held."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """One limit held against one degradation or disagreement.

    Attributes:
        limit: which limit, a field of `Guard`.
        where: the task, language or ``task/language``; ``average``.
        allowed: the limit, in %.
        percent: what was found, in %; ``None`` where the reference scored 0.
        low: lower end of its interval.
        high: upper end.
        verdict: whether the limit held.
    """

    limit: str
    where: str
    allowed: float
    percent: float | None
    low: float | None
    high: float | None
    verdict: Verdict

    def __str__(self) -> str:
        what = "labels changed" if self.limit == "disagreement" else "degradation"
        if self.percent is None or self.low is None or self.high is None:
            return f"{self.limit} ({self.where}): {what} undefined, {self.allowed:g} % allowed"
        return (
            f"{self.limit} ({self.where}): {what} {self.percent:.2f} % "
            f"[{self.low:.2f}, {self.high:.2f}], {self.allowed:g} % allowed: {self.verdict}"
        )


@dataclass(frozen=True)
class Judgement:
    """What the guard found.

    Attributes:
        findings: one per degradation under a limit, as they stand in the guard and scorecard.
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Broken if any limit is, else undecided if any is, or if nothing could be judged."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.BROKEN in verdicts:
            return Verdict.BROKEN
        return Verdict.KEPT if verdicts == {Verdict.KEPT} else Verdict.UNDECIDED

    def of(self, verdict: Verdict) -> list[Finding]:
        """The findings with this verdict."""
        return [finding for finding in self.findings if finding.verdict is verdict]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"verdict": self.verdict, "findings": [asdict(f) for f in self.findings]}


def judge(
    guard: Guard, comparison: Comparison, shares: Sequence[Mapping[str, Any]] = ()
) -> Judgement:
    """Hold a comparison with the uncompressed model against the limits.

    Args:
        guard: the limits.
        comparison: with the uncompressed model.
        shares: of labels that quantization kept, as `Share` has them: task, lang, share, low, high.
    """
    cells = {"/".join(key): value for key, value in comparison.cells.items()}
    groups: list[tuple[str, float | None, Iterable[tuple[str, Degradation]]]] = [
        ("average", guard.average, [("average", comparison.average)]),
        ("worst_task", guard.worst_task, comparison.tasks.items()),
        ("worst_language", guard.worst_language, comparison.languages.items()),
        ("worst_task_language", guard.worst_task_language, cells.items()),
    ]
    findings = [
        Finding(limit, where, allowed, d.percent, d.low, d.high, _verdict(d.low, d.high, allowed))
        for limit, allowed, named in groups
        if allowed is not None
        for where, d in named
        if d.judged
    ]
    if guard.disagreement is not None:
        findings += [_changed(share, guard.disagreement) for share in shares]
    return Judgement(tuple(findings))


def _changed(share: Mapping[str, Any], allowed: float) -> Finding:
    percent, low, high = (100 * (1 - share[key]) for key in ("share", "high", "low"))
    where = f"{share['task']}/{share['lang']}"
    return Finding("disagreement", where, allowed, percent, low, high, _verdict(low, high, allowed))


def _verdict(low: float | None, high: float | None, allowed: float) -> Verdict:
    if low is None or high is None:
        return Verdict.UNDECIDED
    if high <= allowed:
        return Verdict.KEPT
    return Verdict.BROKEN if low > allowed else Verdict.UNDECIDED
