"""From which certainty on a first stage may answer: as low as the limits allow.

The thresholds of the tasks have a common measure, the share of labels that the first stage and the
main model agree on among the texts at least so certain. First the lowest common level is sought at
which the limits hold on validation rows, then each task's own below that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xmpress.compression.guard import Guard, Verdict, judge
from xmpress.data import Dataset
from xmpress.evaluation import Comparison, compare
from xmpress.runtime.cascade import certainty
from xmpress.tasks import Bools, Calibration, FloatArray, TaskSet

NEVER = 2.0
"""A certainty that no text has."""
LEVELS = (*(round(0.02 * i, 2) for i in range(48)), 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)
"""The shares of equal labels to choose from; after the last comes `NEVER`."""
RESAMPLES = 300
"""While seeking."""


@dataclass(frozen=True)
class Rivals:
    """Both models' scores on the same rows.

    Attributes:
        tasks: what both predict.
        calibration: of both.
        main: the main model's logits per task, float [n, L].
        first: the first stage's, on the same scale.
        rows: the labelled rows.
    """

    tasks: TaskSet
    calibration: Mapping[str, Calibration]
    main: Mapping[str, FloatArray]
    first: Mapping[str, FloatArray]
    rows: Dataset

    @cached_property
    def certainty(self) -> dict[str, FloatArray]:
        """The first stage's per task, float [n]."""
        return {
            t.name: certainty(t, self.first[t.name], self.calibration[t.name]) for t in self.tasks
        }

    @cached_property
    def equal(self) -> dict[str, Bools]:
        """Per task which rows both give the same labels, bool [n]."""
        found = {}
        for task in self.tasks:
            own = self.calibration[task.name]
            sides = [
                task.decide(task.probabilities(side[task.name], own), own)
                for side in (self.main, self.first)
            ]
            found[task.name] = np.asarray((sides[0] == sides[1]).all(axis=1))
        return found

    def thresholds(self, task: str) -> list[float]:
        """The certainty for each of `LEVELS`, and `NEVER`."""
        order = np.argsort(-self.certainty[task], kind="stable")
        falling = self.certainty[task][order]
        share = np.cumsum(self.equal[task][order]) / np.arange(1, len(order) + 1)
        # Texts of one certainty are answered together, or none of them.
        last = np.append(falling[1:] < falling[:-1], True)
        found = []
        for level in LEVELS:
            reached = np.flatnonzero(last & (share >= level))
            found.append(float(falling[reached[-1]]) if len(reached) else NEVER)
        return [*found, NEVER]

    def early(self, thresholds: Mapping[str, float]) -> Bools:
        """The rows that the first stage answers, bool [n]."""
        sure = [self.certainty[name] >= threshold for name, threshold in thresholds.items()]
        return np.asarray(np.all(sure, axis=0))

    def compare(self, early: Bools, *, resamples: int = 1000) -> Comparison:
        """The cascade against the main model."""
        mixed = {
            name: np.where(early[:, None], self.first[name], logits)
            for name, logits in self.main.items()
        }
        return compare(
            (self.main, self.calibration),
            (mixed, self.calibration),
            self.rows,
            resamples=resamples,
            names=("main model", "cascade"),
        )


def choose(
    rivals: Rivals, limits: Guard, say: Callable[[str], None] = lambda line: None
) -> dict[str, float]:
    """The thresholds that let the first stage answer most, within limits.

    The limits hold where all of each interval lies within: what is undecided is not answered early.

    Args:
        rivals: on validation rows.
        limits: on the degradation against the main model.
        say: told what is tried.

    Returns:
        The certainty per task; all `NEVER` where the limits leave nothing.
    """
    ladder = {name: rivals.thresholds(name) for name in rivals.tasks.names}
    tried: dict[bytes, bool] = {}

    def holds(places: Mapping[str, int]) -> bool:
        early = rivals.early({name: ladder[name][place] for name, place in places.items()})
        key = np.packbits(early).tobytes()
        if key not in tried:
            comparison = rivals.compare(early, resamples=RESAMPLES)
            tried[key] = judge(limits, comparison).verdict is Verdict.KEPT or not early.any()
            percent = comparison.average.percent or 0.0
            say(
                f"cascade: {100 * early.mean():.1f} % early would cost {percent:.2f} %"
                f"{'' if tried[key] else ', too much'}"
            )
        return tried[key]

    common = _lowest(len(LEVELS), lambda place: holds(dict.fromkeys(ladder, place)))
    places = dict.fromkeys(ladder, common)
    # Those that hold back most texts first.
    for name in sorted(ladder, key=lambda n: _share(rivals.certainty[n], ladder[n][common])):
        places[name] = _lowest(places[name], lambda place: holds({**places, name: place}))  # noqa: B023
    return {name: ladder[name][place] for name, place in places.items()}


def _share(values: FloatArray, threshold: float) -> float:
    return float((values >= threshold).mean())


def _lowest(highest: int, holds: Callable[[int], bool]) -> int:
    """The lowest place from which on something holds, which it does at the highest; by halving."""
    low = 0
    while low < highest:
        middle = (low + highest) // 2
        if holds(middle):
            highest = middle
        else:
            low = middle + 1
    return highest


def shares(groups: Sequence[str], early: Bools) -> dict[str, float]:
    """The share that is early by group, such as language."""
    names = np.asarray(groups)
    return {str(name): float(early[names == name].mean()) for name in np.unique(names)}
