"""Predictions put beside labels in the terms the annotator had: the step before any metric.

Rows of a single-label or ordinal task are grouped by the set of choices they were annotated with
(their *scheme*). The probability of a choice is the sum over its labels, among the choices on
offer; the prediction is the most probable choice. So a model of five sentiment classes is scored
on a three-class source by three classes, and is not blamed for an answer nobody could give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmpress.errors import ModelError
from xmpress.evaluation.protocols import Calibrations, LabelledRows, Logits
from xmpress.tasks import COARSE_SEPARATOR, Bools, Calibration, FloatArray, Labels, Task

TINY = np.float32(1e-30)
"""Keeps a division by a sum of probabilities that underflowed to zero defined."""


@dataclass(frozen=True)
class Outcomes:
    """Labels and predictions of m rows annotated with the same K choices.

    Attributes:
        choices: names of the choices; a coarse choice joins its labels: ``negative|neutral``.
        rows: which rows of the dataset these are, [m].
        offered: bool [m, K]; where a choice was not on offer (multi-label scope), the other arrays
            are false or 0.
        actual: bool [m, K], the annotator's answer.
        predicted: bool [m, K], the model's.
        probabilities: float [m, K].
    """

    choices: tuple[str, ...]
    rows: NDArray[np.intp]
    offered: Bools
    actual: Bools
    predicted: Bools
    probabilities: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, mask: Bools) -> Outcomes:
        """Only the rows where the mask, bool [m], is true."""
        return Outcomes(
            self.choices,
            self.rows[mask],
            self.offered[mask],
            self.actual[mask],
            self.predicted[mask],
            self.probabilities[mask],
        )


def outcomes(
    task: Task, logits: FloatArray, labels: Labels, calibration: Calibration
) -> list[Outcomes]:
    """Compare one task's logits [n, L] with its labels; one entry per scheme.

    Rows that are not annotated are left out, and so are rows whose annotator had a single choice,
    since no answer to them can be wrong. Multi-label tasks have at most one entry.
    """
    if task.multi:
        return _multi_label(task, logits, labels, calibration)
    return [
        _single_label(task, logits[rows], labels.take(rows), scheme, rows, calibration)
        for scheme, rows in _schemes(labels)
    ]


def _multi_label(
    task: Task, logits: FloatArray, labels: Labels, calibration: Calibration
) -> list[Outcomes]:
    rows = np.flatnonzero(labels.annotated)
    if not len(rows):
        return []
    offered = labels.choice[rows] > 0
    probabilities = task.probabilities(logits[rows], calibration)
    return [
        Outcomes(
            task.labels,
            rows,
            offered,
            labels.targets[rows] & offered,
            task.decide(probabilities, calibration) & offered,
            np.where(offered, probabilities, np.float32(0)),
        )
    ]


def _single_label(
    task: Task,
    logits: FloatArray,
    labels: Labels,
    scheme: NDArray[np.int8],
    rows: NDArray[np.intp],
    calibration: Calibration,
) -> Outcomes:
    numbers = range(1, int(scheme.max()) + 1)
    members = np.stack([scheme == number for number in numbers], axis=1)  # [L, K]
    sums = task.probabilities(logits, calibration) @ members.astype(np.float32)
    probabilities = sums / np.maximum(sums.sum(axis=1, keepdims=True), TINY)
    names = np.asarray(task.labels, dtype=object)
    return Outcomes(
        tuple(COARSE_SEPARATOR.join(names[column]) for column in members.T),
        rows,
        np.ones(sums.shape, dtype=bool),
        labels.targets @ members,
        task.decide(sums, Calibration()),
        probabilities,
    )


def _schemes(labels: Labels) -> list[tuple[NDArray[np.int8], NDArray[np.intp]]]:
    """Distinct sets of at least two choices, each as int8 [L] with the rows that had it."""
    rows = np.flatnonzero(labels.annotated)
    if not len(rows):
        return []
    patterns, which = np.unique(labels.choice[rows], axis=0, return_inverse=True)
    # The same choices may have been numbered in different orders.
    schemes, merged = np.unique(
        np.stack([_renumbered(pattern) for pattern in patterns]), axis=0, return_inverse=True
    )
    scheme_of_row = merged.reshape(-1)[which.reshape(-1)]
    return [
        (scheme, rows[scheme_of_row == i]) for i, scheme in enumerate(schemes) if scheme.max() > 1
    ]


def _renumbered(pattern: NDArray[np.int8]) -> NDArray[np.int8]:
    """Number the choices from 1 by the position of their first label."""
    numbers: dict[int, int] = {0: 0}
    return np.array([numbers.setdefault(int(c), len(numbers)) for c in pattern], dtype=np.int8)


def outcomes_by_task(
    logits: Logits, dataset: LabelledRows, calibration: Calibrations
) -> dict[str, list[Outcomes]]:
    """`outcomes` of every task that the model predicts and the dataset has, in the dataset's order.

    Raises:
        ModelError: the logits do not fit the dataset, or are not finite.
    """
    found = {}
    for task in dataset.tasks:
        if task.name in logits:
            scores = checked(task, logits[task.name], len(dataset))
            chosen = calibration.get(task.name, Calibration())
            found[task.name] = outcomes(task, scores, dataset.labels[task.name], chosen)
    return found


def checked(task: Task, logits: FloatArray, rows: int) -> FloatArray:
    """The logits as float32, after a check of their shape and values.

    Raises:
        ModelError: naming the task and what was expected.
    """
    scores = np.asarray(logits, dtype=np.float32)
    if scores.shape != (rows, len(task)):
        raise ModelError(
            f"task '{task.name}': expected logits of shape ({rows}, {len(task)}), one row per row "
            f"of the dataset and one column per label, found {scores.shape}"
        )
    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise ModelError(
            f"task '{task.name}': the logits of {len(broken)} of {rows} rows are not finite (the "
            f"first is row {broken[0]}); the model's weights are damaged or its training diverged"
        )
    return scores
