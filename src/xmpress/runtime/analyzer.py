"""`Analyzer`: texts in, one analysis per text out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from arro3.core import Table

from xmpress.errors import BundleError, UsageError
from xmpress.runtime import tables
from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.cache import Pair, ScoreCache
from xmpress.runtime.decoding import Decoded, check_texts, is_blank
from xmpress.runtime.engines import open_engine
from xmpress.tasks import FloatArray, TaskSet

AnyTable = TypeVar("AnyTable")

TOKEN_BUDGET = 1024
"""Padded tokens per batch: enough to keep the cores busy, and small enough that what a layer leaves
for the next stays in cache (a third faster than 4096 for a model of 6 layers x 384)."""
TABLE_ROWS = 10_000
"""Rows of a table worked on at a time, which bounds the memory beside the table itself."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one task says about one text.

    Attributes:
        label: the label; ``None`` for multi-label tasks and for blank texts.
        labels: the labels that apply, in the task's order; for other kinds the one label.
        confidence: probability of the label; multi-label: of the most probable label, whether it
            applies or not. ``None`` for blank texts.
        probabilities: per label; they sum to 1 except for multi-label tasks. Empty if blank.
        multi: whether the task is multi-label.
    """

    label: str | None
    labels: tuple[str, ...]
    confidence: float | None
    probabilities: dict[str, float]
    multi: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``label`` or ``labels`` (null for a blank text), confidence, probabilities."""
        if self.multi:
            label = {"labels": None if self.confidence is None else list(self.labels)}
            return {**label, "confidence": self.confidence, "probabilities": self.probabilities}
        return {
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
        }


class Analysis(Mapping[str, Prediction]):
    """The predictions for one text, by task.

    Attributes:
        text: the text as it was given.
    """

    __slots__ = ("_predictions", "text")

    def __init__(self, text: str | None, predictions: Mapping[str, Prediction]) -> None:
        self.text = text
        self._predictions = predictions

    def __getitem__(self, task: str) -> Prediction:
        return self._predictions[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._predictions)

    def __len__(self) -> int:
        return len(self._predictions)

    def __repr__(self) -> str:
        said = ", ".join(
            f"{task}={list(p.labels) if p.multi else p.label}" for task, p in self.items()
        )
        return f"Analysis({self.text!r}, {said})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the text, then each task's prediction by its name."""
        return {"text": self.text, **{task: p.to_dict() for task, p in self.items()}}


class Analyzer:
    """Runs a bundle on texts.

    Safe to use from several threads. With fp32 weights a text's scores do not depend on the texts
    it comes with, beyond rounding (1e-4); with dynamically quantized activations they may, a
    little, because a batch shares its quantization ranges.

    Example:
        >>> analyzer = Analyzer("runs/student/bundle")  # doctest: +SKIP
        >>> analyzer.analyze("Trop d'attente au guichet.")[0]["sentiment"].label  # doctest: +SKIP
        'negative'

    Attributes:
        bundle: what runs.
        name: the model's name.
        tasks: what it predicts.
        calibration: per task, how its scores become probabilities and labels.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        engine: str = "auto",
        threads: int | None = None,
        cache: int = 0,
        variant: str | None = None,
    ) -> None:
        """Open a bundle.

        Args:
            bundle: a bundle, or its directory.
            engine: what runs the graph; ``auto`` takes the first that the bundle has a graph for.
            threads: CPU threads; ``None`` means all cores.
            cache: number of texts whose scores are remembered from call to call; 0 for none.
            variant: of the graph, whatever the processor (`xmpress.runtime.engines.variants`).

        Raises:
            BundleError: if the bundle is incomplete, altered or of another schema.
            EngineError: if the engine cannot open it.
        """
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        manifest = self.bundle.manifest
        self.name = manifest.name
        self.tasks = manifest.task_set
        self.calibration = manifest.calibrations()
        self._tokenizer = self.bundle.tokenizer()
        self._engine = open_engine(self.bundle.path, engine, threads=threads, variant=variant)
        self._cache = ScoreCache(cache) if cache else None
        missing = set(self.tasks.names) - set(self._engine.outputs)
        if missing:
            raise BundleError(
                f"bundle {self.bundle.path}: its graph has no output for {', '.join(missing)}; "
                "export it again"
            )
        ends = np.cumsum([len(task) for task in self.tasks])
        self._columns = {
            task.name: slice(end - len(task), end)
            for task, end in zip(self.tasks, map(int, ends), strict=True)
        }
        self._width = int(ends[-1])

    def __repr__(self) -> str:
        return f"Analyzer({str(self.bundle.path)!r}, tasks={list(self.tasks.names)})"

    def analyze(
        self,
        texts: str | Sequence[str | None],
        contexts: str | Sequence[str | None] | None = None,
        *,
        tasks: Sequence[str] | None = None,
    ) -> list[Analysis]:
        """Predict the labels of texts, in their order.

        For very many texts `analyze_table` is faster and smaller.

        Args:
            texts: texts, or one text. A null or blank one gets null predictions.
            contexts: per text what it answers, such as the survey question; one for all texts; or
                none.
            tasks: only these.

        Raises:
            DataError: naming what is not text.
            TaskError: if there is no such task.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        check_texts(texts, "texts[{}]".format)
        chosen = self._choose(tasks)
        decoded = self._decode(texts, _contexts(contexts, len(texts)), chosen)
        predictions: list[dict[str, Prediction]] = [{} for _ in texts]
        for task in chosen:
            blank = Prediction(None, (), None, {}, task.multi)
            for row in np.flatnonzero(~decoded.present):
                predictions[row][task.name] = blank
            for row, labels, confidence, probabilities in zip(
                np.flatnonzero(decoded.present),
                task.names(decoded.decided[task.name]),
                decoded.confidence(task).tolist(),
                decoded.probabilities[task.name].tolist(),
                strict=True,
            ):
                predictions[row][task.name] = Prediction(
                    None if task.multi else labels[0],
                    tuple(labels),
                    confidence,
                    dict(zip(task.labels, probabilities, strict=True)),
                    task.multi,
                )
        return [Analysis(text, found) for text, found in zip(texts, predictions, strict=True)]

    def analyze_table(
        self,
        table: AnyTable,
        *,
        text: str = "text",
        context: str | None = None,
        tasks: Sequence[str] | None = None,
        probabilities: bool = False,
    ) -> AnyTable:
        """Append predictions to a table.

        The columns given come first, unchanged and in order. Then, per task, ``<task>`` (the label;
        for multi-label tasks a list), ``<task>_confidence``, and with ``probabilities`` one column
        ``<task>.<label>`` per label. No column is overwritten: where a name is taken the prediction
        gets ``_predicted`` appended to its name (`prediction_columns` tells).

        Args:
            table: anything with ``__arrow_c_stream__``: a pyarrow, polars, arro3 or pandas table.
            text: the column with the texts; a null or blank one gets null predictions.
            context: the column with their contexts, if any.
            tasks: only these.
            probabilities: whether to append the probability of every label.

        Returns:
            The same kind of table as given; of other libraries' an ``arro3.core.Table``.

        Raises:
            DataError: if this is not a table, has no such column, or the column holds no text.
            TaskError: if there is no such task.
        """
        source = tables.read_table(table)
        chosen = self._choose(tasks)
        place = tables.find_column(source, text)
        context_place = None if context is None else tables.find_column(source, context)
        names = tables.prediction_columns(source.column_names, chosen, probabilities=probabilities)
        schema = tables.predicted_schema(source.schema, chosen, names, probabilities=probabilities)
        parts, row = [], 1
        for batch in source.rechunk(max_chunksize=TABLE_ROWS).to_batches():
            texts = tables.texts_of(batch, place, first_row=row)
            contexts = (
                None
                if context_place is None
                else tables.texts_of(batch, context_place, first_row=row)
            )
            decoded = self._decode(texts, contexts, chosen)
            parts.append(
                tables.append_predictions(
                    batch, decoded, chosen, schema, probabilities=probabilities
                )
            )
            row += batch.num_rows
        return cast(AnyTable, tables.like(table, Table.from_batches(parts, schema=schema)))

    def logits(
        self, texts: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> dict[str, FloatArray]:
        """Score texts, blank ones too: per task float32 [n, L], in the order of the texts.

        With `tasks`, `calibration` and `name` this makes an analyzer a predictor for evaluation.

        Raises:
            DataError: naming what is not text.
        """
        check_texts(texts, "texts[{}]".format)
        contexts = _contexts(contexts, len(texts))
        pairs = [(text or "", context) for text, context in zip(texts, contexts, strict=True)]
        number = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
        scores = self._score(list(number))[[number[pair] for pair in pairs]]
        return {name: scores[:, columns] for name, columns in self._columns.items()}

    def _choose(self, tasks: Sequence[str] | None) -> TaskSet:
        return self.tasks if tasks is None else self.tasks.select(tasks)

    def _decode(
        self, texts: Sequence[str | None], contexts: Sequence[str | None] | None, tasks: TaskSet
    ) -> Decoded:
        present = np.array([not is_blank(text) for text in texts], dtype=bool)
        rows = np.flatnonzero(present).tolist()
        logits = self.logits(
            [texts[row] or "" for row in rows],
            None if contexts is None else [contexts[row] for row in rows],
        )
        return Decoded.of(present, logits, tasks, self.calibration)

    def _score(self, pairs: Sequence[Pair]) -> FloatArray:
        """The scores of all tasks side by side, [n, S], of pairs that are distinct."""
        if self._cache is None:
            return self._run(pairs)
        scores = np.empty((len(pairs), self._width), dtype=np.float32)
        remembered = self._cache.get(pairs)
        new = [i for i, found in enumerate(remembered) if found is None]
        for i, found in enumerate(remembered):
            if found is not None:
                scores[i] = found
        scores[new] = self._run([pairs[i] for i in new])
        self._cache.put([pairs[i] for i in new], scores[new])
        return scores

    def _run(self, pairs: Sequence[Pair]) -> FloatArray:
        encoded = self._tokenizer.encode([text for text, _ in pairs], [c for _, c in pairs])
        scores = np.empty((len(pairs), self._width), dtype=np.float32)
        inputs = self.bundle.manifest.inputs
        for rows in token_budget_batches(encoded.lengths, budget=TOKEN_BUDGET):
            outputs = self._engine.run(pad(encoded, rows, self._tokenizer.pad_id, inputs=inputs))
            for name, columns in self._columns.items():
                scores[rows, columns] = outputs[name]
        return scores


def _contexts(contexts: str | Sequence[str | None] | None, n: int) -> Sequence[str | None]:
    """One per text; blank ones are no context."""
    if contexts is None or isinstance(contexts, str):
        contexts = [contexts] * n
    if len(contexts) != n:
        raise UsageError(f"{n} texts but {len(contexts)} contexts; expected one per text")
    check_texts(contexts, "contexts[{}]".format)
    return [None if is_blank(context) else context for context in contexts]
