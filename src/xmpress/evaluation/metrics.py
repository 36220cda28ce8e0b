"""Classification metrics on plain numpy arrays, equal to scikit-learn's where it has them.

``actual`` and ``predicted`` are bool [n, K], one column per label or choice. A single-label row has
exactly one true column, a multi-label row any number, so that one definition serves both.

Conventions: a label counts in macro-F1 if it occurs in ``actual`` or ``predicted`` (scikit-learn's
default for single-label input). Where no label occurs at all there was nothing to find and nothing
was found: F1 is 1. Metrics that are undefined (kappa when both sides are one and the same
constant, average precision without a positive) are NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmpress.tasks import Bools, FloatArray

Floats = NDArray[np.float64]
BINS = 15
"""Bins of the expected calibration error, as in Guo et al. (2017)."""


def f1_from_counts(hits: NDArray[Any], predicted: NDArray[Any], actual: NDArray[Any]) -> Floats:
    """F1 from counts of the same shape: true positives, predicted and actual positives.

    NaN where a label neither occurs nor is predicted.
    """
    total = np.asarray(predicted, dtype=np.float64) + actual
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2.0 * hits / total)


def mean_f1(f1: Floats) -> Floats:
    """Mean over the last axis of the F1 that are defined; 1 where none is."""
    defined = ~np.isnan(f1)
    number = defined.sum(axis=-1)
    total = np.where(defined, f1, 0.0).sum(axis=-1)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), 1.0))


def label_f1(actual: Bools, predicted: Bools) -> Floats:
    """F1 of each column, float [K]; NaN where a label neither occurs nor is predicted."""
    hits = (actual & predicted).sum(axis=0)
    return f1_from_counts(hits, predicted.sum(axis=0), actual.sum(axis=0))


def macro_f1(actual: Bools, predicted: Bools) -> float:
    """Mean F1 over the labels that occur or are predicted.

    Example:
        >>> gold = np.eye(3, dtype=bool)[[0, 0, 1, 1]]
        >>> guess = np.eye(3, dtype=bool)[[0, 1, 1, 1]]
        >>> round(macro_f1(gold, guess), 3)  # F1 of 2/3 and 4/5; the third label does not occur
        0.733
    """
    return float(mean_f1(label_f1(actual, predicted)))


def micro_f1(actual: Bools, predicted: Bools) -> float:
    """F1 over all (row, label) pairs at once; equals accuracy where rows have one label each."""
    pairs = label_f1(actual.reshape(-1, 1), predicted.reshape(-1, 1))
    return float(mean_f1(pairs))


def accuracy(actual: Bools, predicted: Bools) -> float:
    """Share of rows with every label right (multi-label: subset accuracy); NaN without rows."""
    if not len(actual):
        return float("nan")
    return float((actual == predicted).all(axis=1).mean())


def quadratic_weighted_kappa(actual: Bools, predicted: Bools) -> float:
    """Agreement beyond chance with squared distances between ordered labels (Cohen, 1968).

    Columns are in the labels' order. NaN where all rows of both sides have one and the same label.
    """
    size = actual.shape[1]
    confusion = actual.T.astype(np.float64) @ predicted.astype(np.float64)
    distance = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
    chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / max(confusion.sum(), 1.0)
    expected = float((distance * chance).sum())
    return 1.0 - float((distance * confusion).sum()) / expected if expected > 0 else float("nan")


def average_precision(actual: Bools, scores: FloatArray) -> float:
    """Area under precision over recall, as a sum of steps; both arguments [n], NaN if no positive.

    Rows with equal scores count as one step, so that their order does not matter.
    """
    positives = int(actual.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores)
    ends = step_ends(scores[order])
    found = np.cumsum(actual[order])[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) / positives) @ precision)


def step_ends(falling: FloatArray) -> NDArray[np.intp]:
    """Where each run of equal values ends in scores sorted from high to low, indices [steps]."""
    return np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)


def expected_calibration_error(confidence: FloatArray, correct: Bools, bins: int = BINS) -> float:
    """Mean gap between confidence and frequency over equal-width bins, weighted by their rows.

    Args:
        confidence: probabilities [n].
        correct: whether what the probability was given to came true, [n].
        bins: how many bins the range 0 to 1 has.

    Returns:
        A number from 0 to 1, NaN without rows. Naeini et al. (2015).
    """
    if not len(confidence):
        return float("nan")
    which = np.clip((confidence * bins).astype(np.intp), 0, bins - 1)
    gap = confidence.astype(np.float64) - correct
    return float(np.abs(np.bincount(which, weights=gap, minlength=bins)).sum() / len(confidence))
