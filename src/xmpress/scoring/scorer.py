"""Windows of rows to tables with predictions."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from arro3.core import Table
from arro3.io import write_parquet

from xmpress.data.arrow import column
from xmpress.data.dataset import UNDETERMINED
from xmpress.data.files import atomic_path
from xmpress.data.writers import TableWriter
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.tables import joined, prediction_columns
from xmpress.scoring.reading import Window
from xmpress.scoring.settings import ScoreSettings


@dataclass(frozen=True)
class Work:
    """A window to score.

    Attributes:
        input: number of the input, from 1.
        window: its rows.
        lang: the column of the language, if any.
        context: the column of the context, if any.
    """

    input: int
    window: Window
    lang: str | None = None
    context: str | None = None


@dataclass
class Counts:
    """What was predicted.

    Attributes:
        scored: rows with predictions or without text.
        blank: those without text.
        languages: rows by language.
        labels: per task, rows by label.
    """

    scored: int = 0
    blank: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """A window's predictions.

    Attributes:
        work: the window.
        counts: what was predicted.
        save: writes the rows and predictions to a file of the format that its suffix says.
    """

    work: Work
    counts: Counts
    save: Callable[[Path], None]


class Scorer:
    """Scores windows. What it makes of one is a function of that window, settings and bundle."""

    def __init__(self, analyzer: Analyzer, settings: ScoreSettings) -> None:
        self._analyzer = analyzer
        self._settings = settings
        self._tasks = analyzer.tasks.select(settings.tasks or analyzer.tasks.names)

    def score(self, works: Iterable[Work]) -> Iterator[tuple[Work, Table, Counts]]:
        """The rows with predictions, and what they come to; works are read one ahead."""
        for context, group in groupby(works, key=attrgetter("context")):
            yield from self._stream(group, context)

    def _stream(
        self, works: Iterable[Work], context: str | None
    ) -> Iterator[tuple[Work, Table, Counts]]:
        waiting: deque[Work] = deque()

        def tables() -> Iterator[Table]:
            for work in works:
                waiting.append(work)
                yield work.window.table

        parts: list[Table] = []
        for part in self._analyzer.analyze_tables(
            tables(),
            text=self._settings.text,
            context=context,
            tasks=self._tasks.names,
            probabilities=self._settings.probabilities,
        ):
            parts.append(part)  # a long table comes back in several
            if sum(part.num_rows for part in parts) == waiting[0].window.table.num_rows:
                work, table = waiting.popleft(), joined(parts)
                parts = []
                yield work, table, self._count(work, table)

    def _count(self, work: Work, table: Table) -> Counts:
        rows = work.window.table
        names = prediction_columns(
            rows.column_names, self._tasks, probabilities=self._settings.probabilities
        )
        # Every text has a confidence, and a blank one has none.
        blank = table[names[f"{self._tasks.names[0]}_confidence"]].null_count
        counts = Counts(scored=table.num_rows, blank=blank)
        if work.lang is not None:
            counts.languages.update(map(_primary_subtag, column(rows, work.lang)))
        for task in self._tasks:
            values = column(table, names[task.name])
            if task.multi:
                values = [label for value in values for label in value or ()]
            counts.labels[task.name] = Counter(value for value in values if value is not None)
        return counts


def score_here(works: Iterable[Work], scorer: Scorer) -> Generator[Scored, None, None]:
    """Score windows in this process."""
    for work, table, counts in scorer.score(works):
        yield Scored(work, counts, partial(write_table, table))


def write_table(table: Table, path: Path) -> None:
    """Write a table, whole or not at all."""
    if path.suffix != ".parquet":
        with TableWriter(path) as writer:
            writer.write(table)
        return
    # It is in memory anyway, and the library, left to write a file, panics where the disk is full.
    content = BytesIO()
    write_parquet(table, content, compression="zstd(3)")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _primary_subtag(value: object) -> str:
    """``pt`` for ``pt-BR``; a column of something else shall not give countless languages."""
    tag = (
        value.strip().replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else ""
    )
    return tag if tag.isascii() and tag.isalpha() and 2 <= len(tag) <= 3 else UNDETERMINED
