"""What a candidate loses against a reference, with intervals from a paired bootstrap.

Both models are scored on the same resampled rows (Efron & Tibshirani, 1993; Koehn, 2004), so what
makes a text hard for both cancels out. Rows are drawn within each language, and a row keeps all its
tasks together, so the intervals of means respect that tasks share texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from xmpress.errors import DataError, UsageError
from xmpress.evaluation.metrics import Floats, f1_from_counts, mean_f1
from xmpress.evaluation.outcomes import Outcomes, outcomes_by_task
from xmpress.evaluation.protocols import Calibrations, LabelledRows, Logits
from xmpress.evaluation.scorecard import Cell, Scorecard, judged, scorecard

LEVEL = 0.95
"""Share of the resamples that an interval holds."""

WEIGHTS_AT_ONCE = 16_000_000
"""How many resampled row counts are held in memory at a time."""


@dataclass(frozen=True)
class Degradation:
    """The loss of macro-F1 against the reference; negative where the candidate is better.

    Attributes:
        reference: macro-F1 of the reference, 0 to 1.
        candidate: macro-F1 of the candidate.
        percent: the drop relative to the reference, in %; ``None`` if the reference has 0.
        low: lower end of the interval of ``percent`` that holds `LEVEL` of the resamples.
        high: its upper end.
        rows: labelled rows behind it.
        judged: whether they are enough, `xmpress.evaluation.MIN_ROWS` in at least one cell.
    """

    reference: float
    candidate: float
    percent: float | None
    low: float | None
    high: float | None
    rows: int
    judged: bool

    @property
    def points(self) -> float:
        """The drop in points, 100 times the difference of the metric."""
        return 100.0 * (self.reference - self.candidate)


@dataclass(frozen=True)
class Comparison:
    """Degradation of a candidate by cell, task and language, and on average.

    The degradation of a task or language is that of its mean in the scorecard; the average is the
    mean of the tasks' degradations.

    Attributes:
        reference: scorecard of the reference, over the tasks that both predict.
        candidate: scorecard of the candidate, over the same tasks.
        cells: by (task, language).
        tasks: by task.
        languages: by language.
        average: over the tasks.
        resamples: how many times the rows were redrawn.
        seed: of the draws.
    """

    reference: Scorecard
    candidate: Scorecard
    cells: Mapping[tuple[str, str], Degradation]
    tasks: Mapping[str, Degradation]
    languages: Mapping[str, Degradation]
    average: Degradation
    resamples: int
    seed: int

    def worst(self, over: str = "tasks") -> tuple[str, Degradation] | None:
        """The largest judged degradation, with its name.

        Args:
            over: ``"tasks"``, ``"languages"`` or ``"cells"`` (named ``task/language``).

        Returns:
            ``None`` where nothing is judged.

        Raises:
            UsageError: ``over`` is something else.
        """
        named: dict[str, Mapping[str, Degradation]] = {
            "tasks": self.tasks,
            "languages": self.languages,
            "cells": {"/".join(key): value for key, value in self.cells.items()},
        }
        if over not in named:
            raise UsageError(f"'{over}' is not one of {', '.join(named)}")
        ranked = [
            (value.percent, name)
            for name, value in named[over].items()
            if value.judged and value.percent is not None
        ]
        if not ranked:
            return None
        name = max(ranked)[1]
        return name, named[over][name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "reference": self.reference.to_dict(),
            "candidate": self.candidate.to_dict(),
            "resamples": self.resamples,
            "seed": self.seed,
            "average": _to_dict(self.average),
            "tasks": {name: _to_dict(value) for name, value in self.tasks.items()},
            "languages": {name: _to_dict(value) for name, value in self.languages.items()},
            "cells": [
                {"task": task, "lang": lang, **_to_dict(value)}
                for (task, lang), value in self.cells.items()
            ],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            DataError: the content is not a comparison.
        """
        try:
            return cls(
                reference=Scorecard.from_dict(content["reference"]),
                candidate=Scorecard.from_dict(content["candidate"]),
                cells={(c["task"], c["lang"]): _from_dict(c) for c in content["cells"]},
                tasks={name: _from_dict(value) for name, value in content["tasks"].items()},
                languages={name: _from_dict(v) for name, v in content["languages"].items()},
                average=_from_dict(content["average"]),
                resamples=content["resamples"],
                seed=content["seed"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"this is not a comparison ({type(error).__name__}: {error}); "
                "expected what `xmpress evaluate --reference ... --json` writes"
            ) from error


def compare(
    reference: tuple[Logits, Calibrations],
    candidate: tuple[Logits, Calibrations],
    dataset: LabelledRows,
    *,
    resamples: int = 1000,
    seed: int = 0,
    names: tuple[str, str] = ("reference", "candidate"),
) -> Comparison:
    """Compare two models on the tasks that both predict.

    Args:
        reference: logits per task, float [n, L], and calibration; the uncompressed model.
        candidate: the same of the compressed one.
        dataset: the labelled rows, which neither model was tuned on.
        resamples: how many times the rows are redrawn.
        seed: of the draws; the same seed gives the same intervals.
        names: what to call the two.

    Raises:
        ModelError: logits do not fit the dataset, or are not finite.
        DataError: no row is labelled for a task that both predict.
    """
    if resamples < 1:
        raise UsageError(f"resamples must be at least 1, found {resamples}")
    shared = reference[0].keys() & candidate[0].keys()
    sides = [
        outcomes_by_task({t: logits[t] for t in shared}, dataset, calibration)
        for logits, calibration in (reference, candidate)
    ]
    cards = [scorecard(name, side, dataset) for name, side in zip(names, sides, strict=True)]
    pairs = {
        task: [_Pair.of(*both) for both in zip(sides[0][task], sides[1][task], strict=True)]
        for task in cards[0].tasks
    }
    drawn: dict[tuple[str, str], Floats] = {}
    langs = np.asarray(dataset.langs, dtype=str)
    for i, lang in enumerate(cards[0].languages):
        rng = np.random.default_rng([seed, i])
        values = list(_redraw(pairs, np.flatnonzero(langs == lang), resamples, rng))
        for task, value in zip(pairs, np.concatenate(values, axis=2), strict=True):
            drawn[task, lang] = value
    return _summarise(cards[0], cards[1], drawn, resamples, seed)


@dataclass(frozen=True)
class _Pair:
    """Both models on the rows of one scheme, as 0/1 columns whose sums give both macro-F1.

    ``columns`` is uint8 [m, 5K]: hits and predictions of the reference, of the candidate, and the
    answers.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.uint8]

    @classmethod
    def of(cls, a: Outcomes, b: Outcomes) -> _Pair:
        parts = [a.predicted & a.actual, a.predicted, b.predicted & b.actual, b.predicted, a.actual]
        return cls(a.rows, np.concatenate(parts, axis=1).astype(np.uint8))

    def among(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Which of these rows belong to the pair (positions), and their columns."""
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        inside = np.flatnonzero(self.rows[place] == rows)
        return inside, self.columns[place[inside]]


def _redraw(
    pairs: Mapping[str, Sequence[_Pair]],
    rows: NDArray[np.intp],
    resamples: int,
    rng: np.random.Generator,
) -> Iterator[Floats]:
    """Macro-F1 of both models on redrawn rows of one language, float [tasks, 2, resamples].

    Comes in parts along the last axis; NaN where no row of a task was drawn.
    """
    kept, which = _distinct(pairs, rows)
    found = {task: [pair.among(kept) for pair in parts] for task, parts in pairs.items()}
    step = max(1, WEIGHTS_AT_ONCE // len(kept))
    for start in range(0, resamples, step):
        weights = np.empty((min(step, resamples - start), len(kept)), dtype=np.float32)
        for drawn in weights:
            draws = rng.integers(len(rows), size=len(rows))
            drawn[:] = np.bincount(which[draws], minlength=len(kept))
        yield np.stack([_macro_f1(weights, parts) for parts in found.values()])


def _distinct(
    pairs: Mapping[str, Sequence[_Pair]], rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One row for each distinct outcome over all tasks, and which of them each row equals.

    Many rows have the same outcome, and resamples need to know only how often it was drawn.
    """
    codes = np.zeros((len(rows), len(pairs)), dtype=np.int64)
    for column, parts in zip(codes.T, pairs.values(), strict=True):
        used = 0
        for pair in parts:
            inside, columns = pair.among(rows)
            if len(inside):
                packed = np.packbits(columns, axis=1)
                _, code = np.unique(packed, axis=0, return_inverse=True)
                column[inside] = code.reshape(-1) + used + 1
                used = int(column.max())
    _, first, which = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    return rows[first], which.reshape(-1)


def _macro_f1(
    weights: NDArray[np.float32], parts: Sequence[tuple[NDArray[np.intp], NDArray[np.uint8]]]
) -> Floats:
    """Macro-F1 of both models, float [2, resamples], from how often each row was drawn."""
    total = np.zeros((2, len(weights)))
    rows = np.zeros(len(weights))
    for inside, columns in parts:
        drawn = weights[:, inside]
        a_hits, a_said, b_hits, b_said, actual = np.split(
            drawn @ columns.astype(np.float32), 5, axis=1
        )
        number = drawn.sum(axis=1)
        total[0] += number * mean_f1(f1_from_counts(a_hits, a_said, actual))
        total[1] += number * mean_f1(f1_from_counts(b_hits, b_said, actual))
        rows += number
    return np.asarray(np.where(rows > 0, total / np.maximum(rows, 1), np.nan))


def _summarise(
    reference: Scorecard,
    candidate: Scorecard,
    drawn: Mapping[tuple[str, str], Floats],
    resamples: int,
    seed: int,
) -> Comparison:
    def mean(cells: Sequence[Cell]) -> Floats:
        return _mean(np.stack([drawn[cell.task, cell.lang] for cell in judged(cells)]))

    def degradation(a: float, b: float, values: Floats, cells: Sequence[Cell]) -> Degradation:
        counted = judged(cells)
        return Degradation(
            a,
            b,
            _number(_drop(a, b)),
            *_interval(values),
            rows=sum(cell.rows for cell in counted),
            judged=counted[0].judged,
        )

    by_cell = {(cell.task, cell.lang): cell for cell in reference.cells}
    cells = {}
    for cell in candidate.cells:
        key = (cell.task, cell.lang)
        before = by_cell[key].macro_f1
        cells[key] = degradation(before, cell.macro_f1, _drop(*drawn[key]), [cell])
    tasks, drops = {}, []
    for name in reference.tasks:
        column = [cell for cell in reference.cells if cell.task == name]
        drops.append(_drop(*mean(column)))
        tasks[name] = degradation(reference.task(name), candidate.task(name), drops[-1], column)
    languages = {}
    for name in reference.languages:
        row = [cell for cell in reference.cells if cell.lang == name]
        drop = _drop(*mean(row))
        languages[name] = degradation(reference.language(name), candidate.language(name), drop, row)
    low, high = _interval(_mean(np.stack(drops)))
    average = Degradation(
        reference.average,
        candidate.average,
        _number(_mean(np.array([_drop(d.reference, d.candidate) for d in tasks.values()]))),
        low,
        high,
        rows=sum(d.rows for d in tasks.values()),
        judged=any(d.judged for d in tasks.values()),
    )
    return Comparison(
        reference, candidate, cells, tasks, languages, average, resamples=resamples, seed=seed
    )


def _drop(reference: Any, candidate: Any) -> Floats:
    """Relative drop in %; NaN where the reference is 0 and the candidate is not."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(a == b, 0.0, 100.0 * (a - b) / a)
    return np.asarray(np.where(np.isfinite(percent), percent, np.nan))


def _mean(values: Floats) -> Floats:
    """Mean over the first axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=0)
    total = np.where(defined, values, 0.0).sum(axis=0)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _interval(values: Floats) -> tuple[float | None, float | None]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _to_dict(value: Degradation) -> dict[str, Any]:
    return {**asdict(value), "points": value.points}


def _from_dict(content: dict[str, Any]) -> Degradation:
    return Degradation(**{name: content[name] for name in Degradation.__dataclass_fields__})
