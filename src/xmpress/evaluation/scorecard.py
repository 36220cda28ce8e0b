"""The scorecard: quality of one model by task and language."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from xmpress.errors import DataError, UsageError
from xmpress.evaluation import metrics
from xmpress.evaluation.outcomes import Outcomes, outcomes_by_task
from xmpress.evaluation.protocols import (
    Calibrations,
    LabelledRows,
    LabelledTexts,
    Logits,
    Predictor,
)
from xmpress.tasks import Task, TaskKind

MIN_ROWS = 50
"""Languages with fewer labelled rows of a task are reported but not judged or averaged."""


@dataclass(frozen=True)
class SchemeScore:
    """Quality on the rows of a cell that were annotated with one set of choices.

    Attributes:
        choices: what the annotators could choose from.
        rows: how many rows.
        macro_f1: mean of ``f1`` over the choices that occur or are predicted.
        f1: per choice; ``None`` where it neither occurs nor is predicted.
    """

    choices: tuple[str, ...]
    rows: int
    macro_f1: float
    f1: tuple[float | None, ...]


@dataclass(frozen=True)
class Cell:
    """Quality of one task in one language.

    Every number is the mean over the schemes weighted by their rows; all lie between 0 and 1 except
    kappa (-1 to 1). A metric that does not apply or is undefined here is ``None``.

    Attributes:
        task: name of the task.
        lang: the language.
        rows: labelled rows.
        macro_f1: the task metric.
        accuracy: multi-label: every label of a row right (subset accuracy).
        micro_f1: equals accuracy for single-label and ordinal tasks.
        kappa: quadratic weighted kappa; ordinal tasks.
        average_precision: mean over the labels with a positive; multi-label tasks.
        ece: expected calibration error of the predicted choice's probability; multi-label: of the
            probability of every label on offer.
        schemes: the same by set of choices.
    """

    task: str
    lang: str
    rows: int
    macro_f1: float
    accuracy: float
    micro_f1: float
    kappa: float | None
    average_precision: float | None
    ece: float
    schemes: tuple[SchemeScore, ...]

    @property
    def judged(self) -> bool:
        """Whether there are enough rows to hold a model to the result."""
        return self.rows >= MIN_ROWS


METRICS = ("macro_f1", "accuracy", "micro_f1", "kappa", "average_precision", "ece")
"""The metrics of a cell, the task metric first."""


@dataclass(frozen=True)
class Scorecard:
    """Quality of one model on one dataset.

    Means count only judged cells (at least `MIN_ROWS` rows), unless a task or language has no
    others. A task's value is the mean over languages, the average the mean over tasks, so that
    neither large languages nor well-labelled tasks drown the others.

    Attributes:
        model: name of the model.
        data: fingerprint of the dataset.
        cells: by task, then language; only cells with labelled rows.
    """

    model: str
    data: str
    cells: tuple[Cell, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with at least one cell, in order."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with at least one cell, sorted."""
        return tuple(sorted({cell.lang for cell in self.cells}))

    def cell(self, task: str, lang: str) -> Cell | None:
        """The cell of a task and language, ``None`` where no row was labelled."""
        for cell in self.cells:
            if (cell.task, cell.lang) == (task, lang):
                return cell
        return None

    def task(self, name: str, metric: str = "macro_f1") -> float:
        """A task's metric, mean over its languages; NaN where the metric does not apply.

        Raises:
            UsageError: there is no such task or metric in this scorecard.
        """
        self._check(name, self.tasks, "task")
        return self._mean((cell for cell in self.cells if cell.task == name), metric)

    def language(self, name: str, metric: str = "macro_f1") -> float:
        """A language's metric, mean over its tasks; NaN where the metric does not apply.

        Raises:
            UsageError: there is no such language or metric in this scorecard.
        """
        self._check(name, self.languages, "language")
        return self._mean((cell for cell in self.cells if cell.lang == name), metric)

    @property
    def average(self) -> float:
        """Mean over the tasks of their macro-F1."""
        return float(np.mean([self.task(name) for name in self.tasks]))

    @property
    def summary(self) -> dict[str, float]:
        """Macro-F1 of each task, and ``average``: what a bundle's manifest carries."""
        return {**{name: self.task(name) for name in self.tasks}, "average": self.average}

    def _mean(self, cells: Iterable[Cell], metric: str) -> float:
        self._check(metric, METRICS, "metric")
        values = [getattr(cell, metric) for cell in judged(list(cells))]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else math.nan

    def _check(self, name: str, known: Sequence[str], what: str) -> None:
        if name not in known:
            raise UsageError(
                f"the scorecard of '{self.model}' has no {what} '{name}'; "
                f"it has {', '.join(known) or 'none'}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the means beside the cells for those who read the file."""
        return {
            "model": self.model,
            "data": self.data,
            "average": self.average,
            "tasks": {name: self.task(name) for name in self.tasks},
            "languages": {name: self.language(name) for name in self.languages},
            "cells": [asdict(cell) for cell in self.cells],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            DataError: the content is not a scorecard.
        """
        try:
            cells = tuple(_cell_from_dict(cell) for cell in content["cells"])
            return cls(content["model"], content["data"], cells)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"this is not a scorecard ({type(error).__name__}: {error}); "
                "expected what `xmpress evaluate --json` writes"
            ) from error


def judged(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that count in a mean: those with enough rows, or all if none has."""
    return [cell for cell in cells if cell.judged] or list(cells)


def score(name: str, logits: Logits, dataset: LabelledRows, calibration: Calibrations) -> Scorecard:
    """Score a model's logits on a labelled dataset.

    Args:
        name: what to call the model.
        logits: per task float [n, L], one row per row of the dataset. Tasks that only the model or
            only the dataset has are left out.
        dataset: the labelled rows.
        calibration: temperature and thresholds per task, from `calibrate`.

    Raises:
        ModelError: the logits do not fit the dataset, or are not finite.
        DataError: no row is labelled for any of the model's tasks.
    """
    return scorecard(name, outcomes_by_task(logits, dataset, calibration), dataset)


def scorecard(
    name: str, outcomes: Mapping[str, Sequence[Outcomes]], dataset: LabelledRows
) -> Scorecard:
    """The scorecard of a model whose predictions have been put beside the labels already.

    Raises:
        DataError: no row is labelled for any of the model's tasks.
    """
    langs = np.asarray(dataset.langs, dtype=str)
    cells = []
    for task, parts in outcomes.items():
        for lang in sorted({str(lang) for part in parts for lang in np.unique(langs[part.rows])}):
            inside = [part.take(langs[part.rows] == lang) for part in parts]
            cells.append(_cell(dataset.tasks[task], lang, [part for part in inside if len(part)]))
    if not cells:
        raise DataError(
            f"nothing to score: no row is labelled for a task that '{name}' predicts; "
            f"the dataset's tasks are {', '.join(dataset.tasks.names)}"
        )
    return Scorecard(name, dataset.fingerprint, tuple(cells))


def evaluate(predictor: Predictor, dataset: LabelledTexts) -> Scorecard:
    """Run a model over a dataset's texts and `score` it."""
    logits = predictor.logits(dataset.texts, dataset.contexts)
    return score(predictor.name, logits, dataset, predictor.calibration)


def _cell(task: Task, lang: str, parts: Sequence[Outcomes]) -> Cell:
    rows = [len(part) for part in parts]

    def mean(values: list[float]) -> float | None:
        known = [(value, n) for value, n in zip(values, rows, strict=True) if value == value]
        return sum(v * n for v, n in known) / sum(n for _, n in known) if known else None

    def always(values: list[float]) -> float:
        return sum(v * n for v, n in zip(values, rows, strict=True)) / sum(rows)

    ordinal, multi = task.kind is TaskKind.ORDINAL, task.multi
    pairs = [(part.actual, part.predicted) for part in parts]
    schemes = tuple(_scheme_score(part) for part in parts)
    return Cell(
        task=task.name,
        lang=lang,
        rows=sum(rows),
        macro_f1=always([scheme.macro_f1 for scheme in schemes]),
        accuracy=always([metrics.accuracy(*pair) for pair in pairs]),
        micro_f1=always([metrics.micro_f1(*pair) for pair in pairs]),
        kappa=mean([metrics.quadratic_weighted_kappa(*p) for p in pairs]) if ordinal else None,
        average_precision=mean([_average_precision(part) for part in parts]) if multi else None,
        ece=always([_calibration_error(part, multi=multi) for part in parts]),
        schemes=schemes,
    )


def _scheme_score(part: Outcomes) -> SchemeScore:
    f1 = metrics.label_f1(part.actual, part.predicted)
    return SchemeScore(
        choices=part.choices,
        rows=len(part),
        macro_f1=float(metrics.mean_f1(f1)),
        f1=tuple(None if math.isnan(value) else float(value) for value in f1),
    )


def _average_precision(part: Outcomes) -> float:
    values = []
    for j in range(len(part.choices)):
        on_offer = part.offered[:, j]
        values.append(
            metrics.average_precision(part.actual[on_offer, j], part.probabilities[on_offer, j])
        )
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _calibration_error(part: Outcomes, *, multi: bool) -> float:
    if multi:
        return metrics.expected_calibration_error(
            part.probabilities[part.offered], part.actual[part.offered]
        )
    correct = np.asarray((part.actual & part.predicted).any(axis=1))
    return metrics.expected_calibration_error(part.probabilities.max(axis=1), correct)


def _cell_from_dict(content: dict[str, Any]) -> Cell:
    values = {field.name: content[field.name] for field in fields(Cell)}
    values["schemes"] = tuple(
        SchemeScore(
            tuple(scheme["choices"]), scheme["rows"], scheme["macro_f1"], tuple(scheme["f1"])
        )
        for scheme in values["schemes"]
    )
    return Cell(**values)
