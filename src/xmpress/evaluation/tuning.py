"""Temperature and thresholds, tuned on validation data and then carried with the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xmpress.evaluation.metrics import step_ends
from xmpress.evaluation.outcomes import checked
from xmpress.evaluation.protocols import LabelledRows, Logits
from xmpress.tasks import Bools, Calibration, FloatArray, Labels, Task, TaskSet

TEMPERATURES = (0.1, 10.0)
"""Lowest and highest temperature: a validation set without errors would ask for zero."""

FEW_POSITIVES = 10
"""With fewer positives a label's own best threshold is noise, so it is drawn to the pooled one."""


def calibrate(tasks: TaskSet, logits: Logits, dataset: LabelledRows) -> dict[str, Calibration]:
    """Fit the temperature of each task, then the thresholds of the multi-label ones.

    Use validation data only: values tuned on test data make the scorecard a lie. A task without
    labelled rows keeps temperature 1 and thresholds 0.5.

    Args:
        tasks: what the model predicts.
        logits: per task float [n, L], one row per row of the dataset.
        dataset: labelled validation rows.

    Raises:
        ModelError: the logits do not fit the dataset, or are not finite.
    """
    found = {}
    for task in tasks:
        found[task.name] = Calibration()
        if task.name in logits and task.name in dataset.tasks:
            scores = checked(task, logits[task.name], len(dataset))
            labels = dataset.labels[task.name]
            temperature = fit_temperature(task, scores, labels)
            thresholds = (
                tune_thresholds(task, scores, labels, temperature=temperature)
                if task.multi and labels.annotated.any()
                else None
            )
            found[task.name] = Calibration(temperature=temperature, thresholds=thresholds)
    return found


def fit_temperature(task: Task, logits: FloatArray, labels: Labels) -> float:
    """The temperature under which the labels are most likely (Guo et al., 2017).

    The likelihood is the one the labels allow: single-label and ordinal, the summed probability of
    the labels of the annotated choice, among the labels on offer; multi-label, each label on offer
    for itself. 1 where no row says anything.

    Args:
        task: the task.
        logits: float [n, L].
        labels: of the same rows.
    """
    rows = labels.annotated
    scores: FloatArray = np.asarray(logits[rows], dtype=np.float32)
    offered = labels.choice[rows] > 0
    targets = labels.targets[rows] & offered
    if not task.multi:
        telling = (offered & ~targets).any(axis=1)  # the others have likelihood 1 whatever we do
        scores, offered, targets = scores[telling], offered[telling], targets[telling]
    if not len(scores):
        return 1.0
    if task.multi:
        signed: FloatArray = np.where(targets, -scores, scores)[offered].astype(np.float32)

        def loss(temperature: float) -> float:
            return float(_softplus(signed / np.float32(temperature)).mean(dtype=np.float64))
    else:
        among = np.where(offered, scores, np.float32(-np.inf))
        right = np.where(targets, scores, np.float32(-np.inf))

        def loss(temperature: float) -> float:
            scale = np.float32(1 / temperature)
            gap = _log_sum_exp(among * scale) - _log_sum_exp(right * scale)
            return float(gap.mean(dtype=np.float64))

    low, high = np.log(TEMPERATURES)
    return float(np.exp(_minimum(lambda log_t: loss(float(np.exp(log_t))), low, high)))


def tune_thresholds(
    task: Task, logits: FloatArray, labels: Labels, *, temperature: float = 1.0
) -> tuple[float, ...]:
    """The probability per label from which predicting it gives the best F1, float per label.

    A label with few positives has its threshold drawn toward the best common one, in proportion to
    how many of `FEW_POSITIVES` it lacks.

    Args:
        task: a multi-label task.
        logits: float [n, L].
        labels: of the same rows.
        temperature: the one the probabilities will be computed with.
    """
    rows = labels.annotated
    offered = labels.choice[rows] > 0
    actual = labels.targets[rows]
    probabilities = task.probabilities(logits[rows], Calibration(temperature=temperature))
    pooled = best_threshold(actual[offered], probabilities[offered])
    thresholds = []
    for j in range(len(task)):
        on_offer = offered[:, j]
        own = best_threshold(actual[on_offer, j], probabilities[on_offer, j])
        trust = min(1.0, int(actual[on_offer, j].sum()) / FEW_POSITIVES)
        thresholds.append(trust * own + (1.0 - trust) * pooled)
    return tuple(thresholds)


def best_threshold(actual: Bools, probabilities: FloatArray) -> float:
    """The threshold with the highest F1 on these rows, both arguments [n]; 0.5 if no positive.

    It lies halfway to the next lower probability seen. Of equally good ones, the highest.
    """
    if not actual.any():
        return 0.5
    order = np.argsort(-probabilities)
    falling = probabilities[order]
    ends = step_ends(falling)
    f1 = 2.0 * np.cumsum(actual[order])[ends] / (ends + 1 + actual.sum())
    best = int(f1.argmax())
    last = falling[ends[best]]
    following = falling[ends[best + 1]] if best + 1 < len(ends) else np.float32(0)
    halfway = np.float32((float(last) + float(following)) / 2)
    # Between two neighbouring floats there is nothing, and halfway rounds to one of them.
    return float(halfway if halfway > following else last)


def _softplus(scores: FloatArray) -> FloatArray:
    """log(1 + exp(x)) without overflow."""
    return np.asarray(np.maximum(scores, 0) + np.log1p(np.exp(-np.abs(scores))))


def _log_sum_exp(scores: FloatArray) -> FloatArray:
    """Over the last axis; at least one score of each row is finite."""
    top = scores.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(scores - top).sum(axis=-1)) + top[..., 0])


def _minimum(loss: Callable[[float], float], low: float, high: float, steps: int = 8) -> float:
    """Where a function of one variable is lowest: a grid, then golden-section search around it.

    The grid is there because coarse labels can make the likelihood have more than one optimum.
    """
    grid = np.linspace(low, high, steps + 1)
    best = int(np.argmin([loss(float(x)) for x in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, steps)])
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-3:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2
