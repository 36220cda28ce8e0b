"""`Analyzer`: texts in, one analysis per text out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar, cast

import numpy as np
from arro3.core import RecordBatch, Schema, Table

from xmpress.errors import BundleError
from xmpress.runtime import tables as arrow
from xmpress.runtime.analysis import Analysis, Prediction, analyses
from xmpress.runtime.batching import Rows, pad
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.cache import Pair, ScoreCache
from xmpress.runtime.cascade import STAGE, FirstStage, is_on
from xmpress.runtime.decoding import Decoded, check_texts
from xmpress.runtime.engines import TOKEN_BUDGET, default_threads, open_engine, token_budget
from xmpress.runtime.pipeline import Lanes, score_window, score_windows
from xmpress.runtime.texts import Texts, contexts_of
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import Bools, FloatArray, TaskSet

__all__ = ["TOKEN_BUDGET", "Analysis", "Analyzer", "AnalyzerOptions", "Prediction"]

AnyTable = TypeVar("AnyTable")
T = TypeVar("T")

TABLE_ROWS = 8_192
"""Rows of a table worked on at a time, which bounds the memory beside the table itself."""
WINDOW = 4_096
"""Texts tokenised and batched together: enough that those of like length find each other, and so
few that tokenising the next keeps up with running these."""


class AnalyzerOptions(TypedDict, total=False):
    """The keyword arguments of `Analyzer`, for functions that pass them on."""

    engine: str
    """What runs the graph; ``auto`` takes the fastest here."""
    threads: int | None
    """CPU threads; ``None`` means ``XMPRESS_THREADS``, or else all cores."""
    streams: int | None
    """Batches that run at the same time; ``None`` means one per thread."""
    cache: int
    """Number of texts whose scores are remembered; 0 for none."""
    variant: str | None
    """Of the graph, whatever the processor."""
    cascade: bool | None
    """Whether the bundle's first stage answers; ``None`` means yes, unless ``XMPRESS_CASCADE`` is
    ``off``."""


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
        streams: int | None = None,
        cache: int = 0,
        variant: str | None = None,
        cascade: bool | None = None,
    ) -> None:
        """Open a bundle.

        Args:
            bundle: a bundle, or its directory.
            engine: what runs the graph; ``auto`` takes the fastest here that the bundle has a graph
                for and that is installed (`xmpress.runtime.engines.selection`).
            threads: CPU threads; ``None`` means ``XMPRESS_THREADS``, or else all cores.
            streams: batches that run at the same time, each on its share of the threads; ``None``
                means one per thread: batches side by side are faster than one on all cores. With 1
                a single text is answered soonest.
            cache: number of texts whose scores are remembered from call to call; 0 for none.
            variant: of the graph, whatever the processor (`xmpress.runtime.engines.variants`).
            cascade: whether the bundle's first stage, if it has one, answers what it is certain of
                (`xmpress.runtime.cascade`); ``None`` means yes, unless ``XMPRESS_CASCADE`` is
                ``off``.

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
        threads = threads or default_threads()
        self._streams = min(streams or threads, threads)
        self._engine = open_engine(
            self.bundle.path, engine, threads=threads, streams=self._streams, variant=variant
        )
        self._first = self._first_stage() if is_on(cascade) else None
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
        some = Texts.of(texts, contexts_of(contexts, len(texts)))
        decoded = self._decoded(some, self._score(some.distinct, chosen), chosen)
        return analyses(texts, decoded, chosen)

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
        source = arrow.read_table(table)
        parts = self.analyze_tables(
            [source], text=text, context=context, tasks=tasks, probabilities=probabilities
        )
        return cast(AnyTable, arrow.like(table, arrow.joined(parts)))

    def analyze_tables(
        self,
        tables: Iterable[Any],
        *,
        text: str = "text",
        context: str | None = None,
        tasks: Sequence[str] | None = None,
        probabilities: bool = False,
    ) -> Generator[Table, None, None]:
        """Append predictions to tables one after the other, such as the chunks of a large file.

        The next table is read (in a thread) and tokenised while this one runs, and only few are in
        memory. For the arguments and errors see `analyze_table`.

        Yields:
            Tables of at most `TABLE_ROWS` rows, with all rows in their order; for a table without
            rows one without rows.
        """
        chosen = self._choose(tasks)

        def read() -> Iterator[tuple[_Part, list[Pair]]]:
            row = 1
            for table in map(arrow.read_table, tables):
                place = arrow.find_column(table, text)
                context_place = None if context is None else arrow.find_column(table, context)
                schema = arrow.predicted_schema(table.schema, chosen, probabilities=probabilities)
                for batch in arrow.batches(table, TABLE_ROWS):
                    texts = arrow.texts_of(batch, place, first_row=row)
                    contexts = (
                        [None] * len(texts)
                        if context_place is None
                        else arrow.texts_of(batch, context_place, first_row=row)
                    )
                    part = _Part(batch, schema, Texts.of(texts, contexts))
                    yield part, part.texts.distinct
                    row += batch.num_rows

        for part, scores in self._stream(read(), chosen):
            decoded = self._decoded(part.texts, scores, chosen)
            done = arrow.append_predictions(
                part.batch, decoded, chosen, part.schema, probabilities=probabilities
            )
            yield Table.from_batches([done], schema=part.schema)

    def logits(
        self, texts: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> dict[str, FloatArray]:
        """Score texts, blank ones too: per task float32 [n, L], in the order of the texts.

        With `tasks`, `calibration` and `name` this makes an analyzer a predictor for evaluation.

        Raises:
            DataError: naming what is not text.
        """
        check_texts(texts, "texts[{}]".format)
        contexts = contexts_of(contexts, len(texts))
        some = Texts.of_all(
            [(text or "", context) for text, context in zip(texts, contexts, strict=True)]
        )
        return self._by_task(self._score(some.distinct, self.tasks)[some.places])

    def early(
        self,
        texts: Sequence[str],
        contexts: Sequence[str | None] | None = None,
        *,
        tasks: Sequence[str] | None = None,
    ) -> Bools:
        """Which texts the bundle's first stage answers, bool [n], asked for these tasks."""
        if self._first is None:
            return np.zeros(len(texts), dtype=bool)
        encoded = self._tokenizer.encode(texts, contexts_of(contexts, len(texts)))
        return self._first.answer(encoded, self._choose(tasks))[1]

    def score_tokens(self, encoded: Encoded) -> FloatArray:
        """The main model's scores of texts that are tokenised, all tasks side by side, [n, S]."""
        return score_window(encoded, self._lanes)

    def _choose(self, tasks: Sequence[str] | None) -> TaskSet:
        return self.tasks if tasks is None else self.tasks.select(tasks)

    def _by_task(self, scores: FloatArray) -> dict[str, FloatArray]:
        return {name: scores[:, columns] for name, columns in self._columns.items()}

    def _decoded(self, some: Texts, scores: FloatArray, tasks: TaskSet) -> Decoded:
        """The predictions of all texts, from the scores of the distinct ones."""
        logits = self._by_task(scores[some.places])
        return Decoded.of(some.present, logits, tasks, self.calibration)

    # ---- scores of all tasks side by side, [n, S] ---------------------------------------------

    def _score(self, pairs: list[Pair], tasks: TaskSet) -> FloatArray:
        """The scores of pairs that are distinct, asked for some tasks."""
        if len(pairs) <= WINDOW:
            window, encoded = self._look_up(None, pairs, tasks)
            return self._complete(window, score_window(encoded, self._lanes))
        parts = ((None, pairs[i : i + WINDOW]) for i in range(0, len(pairs), WINDOW))
        return np.concatenate([scores for _, scores in self._stream(parts, tasks)])

    def _stream(
        self, parts: Iterable[tuple[T, list[Pair]]], tasks: TaskSet
    ) -> Iterator[tuple[T, FloatArray]]:
        """The scores of parts, each of distinct pairs."""
        windows = (self._look_up(name, pairs, tasks) for name, pairs in parts)
        for window, scores in score_windows(windows, self._lanes):
            yield window.name, self._complete(window, scores)

    @property
    def _lanes(self) -> Lanes:
        budget = token_budget(self._engine)
        return Lanes(self._run, self._streams, budget, self._width)

    def _look_up(self, name: T, pairs: list[Pair], tasks: TaskSet) -> tuple[_Window[T], Encoded]:
        """Set apart what is remembered, tokenise the rest, and answer early what can be."""
        new = rest = np.arange(len(pairs))
        if self._cache is None and self._first is None:
            return _Window(name, pairs, None, new, rest), self._encode(pairs)
        known = np.empty((len(pairs), self._width), dtype=np.float32)
        # With a first stage, what is asked decides who answers.
        asked = b"" if self._first is None else ",".join(tasks.names).encode()
        if self._cache is not None:
            remembered = self._cache.get(pairs, asked)
            for i, found in enumerate(remembered):
                if found is not None:
                    known[i] = found
            new = rest = np.flatnonzero([found is None for found in remembered])
        encoded = self._encode([pairs[i] for i in new.tolist()])
        if self._first is not None:
            scores, early = self._first.answer(encoded, tasks)
            known[new[early]] = scores[early]
            rest, encoded = new[~early], encoded.take(np.flatnonzero(~early))
        return _Window(name, pairs, known, new, rest, asked), encoded

    def _encode(self, pairs: Sequence[Pair]) -> Encoded:
        return self._tokenizer.encode([text for text, _ in pairs], [c for _, c in pairs])

    def _run(self, encoded: Encoded, rows: Rows) -> FloatArray:
        inputs = pad(encoded, rows, self._tokenizer.pad_id, inputs=self.bundle.manifest.inputs)
        outputs = self._engine.run(inputs)
        return np.concatenate([outputs[name] for name in self._columns], axis=1)

    def _complete(self, window: _Window[Any], scores: FloatArray) -> FloatArray:
        """Put what was known beside the engine's scores, and remember what is new."""
        if window.known is None:
            return scores
        window.known[window.rest] = scores
        if self._cache is not None:
            new = [window.pairs[i] for i in window.new.tolist()]
            self._cache.put(new, window.known[window.new], window.asked)
        return window.known

    def _first_stage(self) -> FirstStage | None:
        manifest = self.bundle.manifest
        if manifest.cascade is None:
            return None
        return FirstStage.open(
            self.bundle.path / STAGE,
            manifest.cascade,
            self.tasks,
            self.calibration,
            pieces=self._tokenizer.vocab_size,
        )


@dataclass(frozen=True)
class _Part:
    """Some rows of a table, and the schema they get."""

    batch: RecordBatch
    schema: Schema
    texts: Texts


@dataclass(frozen=True)
class _Window(Generic[T]):
    """Distinct pairs of which some may be known before the engine runs.

    Attributes:
        name: what the window is called.
        pairs: the pairs.
        known: the scores of those remembered or answered early, [n, S]; ``None`` if there can be
            none.
        new: numbers of those not remembered.
        rest: of those that the engine scores.
        asked: see `ScoreCache.get`.
    """

    name: T
    pairs: list[Pair]
    known: FloatArray | None
    new: Rows
    rest: Rows
    asked: bytes = b""
