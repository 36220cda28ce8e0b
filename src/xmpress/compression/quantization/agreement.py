"""How often two forms of one model give the same label, per task and language."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xmpress.evaluation import Predictor
from xmpress.tasks import Calibration, FloatArray, TaskSet

_Z = 1.96
"""Of an interval that holds 95 %."""


@dataclass(frozen=True)
class Share:
    """A share of texts, with its interval (Wilson, 1927).

    Attributes:
        task: the task.
        lang: the language; ``None`` for all.
        rows: texts.
        share: of them with equal labels, 0 to 1.
        low: lower end of the interval that holds 95 %.
        high: its upper end.
    """

    task: str
    lang: str | None
    rows: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, task: str, lang: str | None, same: FloatArray) -> Share:
        """From the agreement of each text, 0 to 1 each."""
        n, p = len(same), float(same.mean())
        centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        return cls(task, lang, n, p, max(0.0, centre - half), min(1.0, centre + half))

    def __str__(self) -> str:
        where = self.task if self.lang is None else f"{self.task}/{self.lang}"
        return f"{where} {100 * self.share:.2f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True)
class Agreement:
    """Equal labels of two forms of one model; multi-label: equal decisions, over all labels.

    Attributes:
        tasks: by task.
        cells: by task and language.
        largest: the largest difference of a logit.
    """

    tasks: dict[str, Share]
    cells: tuple[Share, ...]
    largest: float

    def holds(self, target: float) -> bool:
        """Whether no task is below a target, and no task in a language is so beyond doubt."""
        return all(share.share >= target for share in self.tasks.values()) and not self.below(
            target
        )

    def below(self, target: float) -> list[Share]:
        """The tasks in a language that are below a target beyond doubt."""
        return [cell for cell in self.cells if cell.high < target]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: per task the share, and every cell."""
        return {
            "agreement": {name: share.share for name, share in self.tasks.items()},
            "agreement_cells": [asdict(cell) for cell in self.cells],
            "largest_difference": self.largest,
        }


def agreement(
    tasks: TaskSet,
    calibrations: Mapping[str, Calibration],
    before: Mapping[str, FloatArray],
    after: Mapping[str, FloatArray],
    langs: Sequence[str | None],
) -> Agreement:
    """Compare the labels of two forms of one model.

    Args:
        tasks: what both predict.
        calibrations: of both, per task.
        before: logits per task, float [n, L].
        after: the same of the other form.
        langs: the language of each text.
    """
    names = np.array([lang or "und" for lang in langs])
    per_task, cells = {}, []
    for task in tasks:
        calibration = calibrations[task.name]
        first, second = (
            task.decide(task.probabilities(logits[task.name], calibration), calibration)
            for logits in (before, after)
        )
        equal = first == second
        same = (equal.mean(axis=1) if task.multi else equal.all(axis=1)).astype(np.float64)
        per_task[task.name] = Share.of(task.name, None, same)
        cells += [Share.of(task.name, str(lang), same[names == lang]) for lang in np.unique(names)]
    largest = max(float(np.abs(before[name] - after[name]).max()) for name in before)
    return Agreement(per_task, tuple(cells), largest)


def agree(
    reference: Predictor,
    candidate: Predictor,
    texts: Sequence[str],
    contexts: Sequence[str | None],
    langs: Sequence[str | None],
) -> Agreement:
    """Score texts with both forms of a model and compare their labels."""
    before, after = reference.logits(texts, contexts), candidate.logits(texts, contexts)
    return agreement(reference.tasks, reference.calibration, before, after, langs)
