"""Honest floors: what a model must beat before its size is worth anything.

They are predictors like any model, and their thresholds are tuned on the same validation rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from xmpress.data import Dataset
from xmpress.data.splits import ValidationSettings
from xmpress.errors import UsageError
from xmpress.evaluation import calibrate
from xmpress.tasks import Calibration, FloatArray, Labels, Task, TaskSet
from xmpress.training.train import spread, training_splits

BASELINES = ("majority", "tfidf")
NEVER = -30.0
"""The logit of a label that no training row has."""


@dataclass
class Baseline:
    """A fitted floor; a `Predictor`.

    Attributes:
        name: what to call it in a scorecard.
        tasks: what it predicts.
        scorers: per task a function of features that gives logits [n, L].
        vectorizer: makes the features of texts; ``None`` if the text does not matter.
        calibration: tuned on validation rows.
    """

    name: str
    tasks: TaskSet
    scorers: dict[str, Any]
    vectorizer: Any = None
    calibration: dict[str, Calibration] = field(default_factory=dict)

    def logits(
        self, texts: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> dict[str, FloatArray]:
        """Per task float32 [n, L], in the order of the texts."""
        features: Any = np.zeros((len(texts), 1))
        if self.vectorizer is not None:
            features = self.vectorizer.transform(_joined(texts, contexts))
        return {
            name: np.asarray(score(features), dtype=np.float32)
            for name, score in self.scorers.items()
        }


def fit_baseline(
    kind: str, dataset: Dataset, *, max_rows: int = 100_000, seed: int = 0
) -> Baseline:
    """Fit a floor on the train split and tune it on the validation split.

    ``majority`` predicts the most frequent label. ``tfidf`` is one logistic regression per task
    (per label, if multi-label) on TF-IDF of character n-grams (1 to 4, within words), over all
    languages together. A coarse label counts as each of its labels, with an equal share.

    Args:
        kind: one of `BASELINES`.
        dataset: with its splits.
        max_rows: training rows at most, drawn evenly over languages and tasks.
        seed: of the draw.

    Raises:
        UsageError: if there is no such baseline.
        TrainingError: if there are no training rows.
    """
    if kind not in BASELINES:
        raise UsageError(f"there is no baseline '{kind}'; there are {', '.join(BASELINES)}")
    settings = ValidationSettings()
    training, validation = training_splits(dataset, settings, seed=seed)
    training = spread(training, max_rows, seed=seed)
    validation = spread(validation, settings.calibration_rows, seed=seed)
    if kind == "majority":
        features: Any = np.zeros((len(training), 1))
        vectorizer, fit = None, _majority
    else:
        vectorizer, fit = (
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(1, 4),
                min_df=2,
                max_features=300_000,
                sublinear_tf=True,
                dtype=np.float32,
            ),
            _logistic,
        )
        features = vectorizer.fit_transform(_joined(training.texts, training.contexts))
    scorers = {task.name: fit(task, features, training.labels[task.name]) for task in dataset.tasks}
    baseline = Baseline(kind, dataset.tasks, scorers, vectorizer)
    logits = baseline.logits(validation.texts, validation.contexts)
    baseline.calibration = calibrate(dataset.tasks, logits, validation)
    return baseline


def _joined(texts: Sequence[str], contexts: Sequence[str | None] | None) -> list[str]:
    if contexts is None:
        return list(texts)
    return [f"{text}\n{c}" if c else text for text, c in zip(texts, contexts, strict=True)]


def _majority(task: Task, features: Any, labels: Labels) -> Any:
    shares = _shares(task, labels).sum(axis=0) / np.maximum((labels.choice > 0).sum(axis=0), 1)
    clipped = np.clip(shares, 1e-6, 1 - 1e-6)
    constant = np.log(clipped / (1 - clipped)) if task.multi else np.log(clipped)
    return lambda rows: np.tile(constant, (rows.shape[0], 1))


def _logistic(task: Task, features: Any, labels: Labels) -> Any:
    if task.multi:
        parts = [
            _binary(features[offered], labels.targets[offered, j])
            for j, offered in enumerate((labels.choice > 0).T)
        ]
        return lambda rows: np.stack([part(rows) for part in parts], axis=1)
    shares = _shares(task, labels)
    row, label = np.nonzero(shares)
    model = _fitted(features[row], label, shares[row, label])

    def score(rows: Any) -> Any:
        logits = np.full((rows.shape[0], len(task)), NEVER)
        logits[:, model.classes_] = model.predict_log_proba(rows)
        return logits

    return score


def _binary(features: Any, target: Any) -> Any:
    if target.all() or not target.any():
        constant = -NEVER if target.any() else NEVER
        return lambda rows: np.full(rows.shape[0], constant)
    return _fitted(features, target).decision_function


def _fitted(features: Any, target: Any, weights: Any = None) -> LogisticRegression:
    with warnings.catch_warnings():
        # After so many steps the rest changes decimals, and a floor needs none of them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=4.0, max_iter=60, tol=1e-3).fit(
            features, target, sample_weight=weights
        )


def _shares(task: Task, labels: Labels) -> Any:
    """The targets as numbers; the labels of a coarse row share one row between them."""
    targets = labels.targets.astype(np.float64)
    if task.multi:
        return targets
    return targets / np.maximum(targets.sum(axis=1, keepdims=True), 1.0)
