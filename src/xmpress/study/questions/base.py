"""The form of an answer: a sentence, a plot, tables, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xmpress.evaluation.render import MEAN, Entry, Grid
from xmpress.evaluation.scorecard import MIN_ROWS
from xmpress.study.charts import Chart
from xmpress.study.figures import Figure, bracket, entry
from xmpress.study.results import Question
from xmpress.study.view import Group, View, shown

NO_DIFFERENCE = "no difference shown"
"""What is said where an interval includes zero."""

TOO_FEW = "too few labelled rows to judge"
"""What is said where a number rests on too little."""


@dataclass(frozen=True)
class Table:
    """A table, and where its numbers come from.

    Attributes:
        grid: the table.
        runs: per row the anchors of the models behind it, separated by spaces.
        folded: shown on demand only.
    """

    grid: Grid
    runs: tuple[str, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Answer:
    """What a study says to one question.

    Attributes:
        key: the question's name.
        title: the question, in words.
        finding: the answer, in a sentence or two.
        chart: the plot, if there is anything to show.
        tables: the numbers.
        unjudged: what could not be judged, and why.
        reading: how the numbers are made.
        ours: the figure to stand beside the paper's.
        more: further plots, shown on demand.
    """

    key: Question
    title: str
    finding: str
    chart: Chart | None = None
    tables: tuple[Table, ...] = ()
    unjudged: tuple[str, ...] = ()
    reading: str = ""
    ours: str = ""
    more: tuple[Chart, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.tables)


def unanswered(view: View, key: Question, title: str, why: str) -> Answer:
    """An answer that says why there is none."""
    reasons = view.missing(key) or [why]
    if not view.results.complete:
        reasons = [*reasons, "The study is not finished."]
    return Answer(key, title, "Could not be judged.", unjudged=tuple(dict.fromkeys(reasons)))


def runs(groups: Iterable[Group | None]) -> str:
    """Anchors of groups in the appendix."""
    return " ".join(dict.fromkeys(group.anchor for group in groups if group is not None))


def behind(figure: Figure) -> str:
    """How many seeds and rows a number rests on."""
    seeds = f"{figure.seeds} seed{'s' if figure.seeds != 1 else ''}"
    return f"{figure.rows:,} rows, {seeds}" if figure.rows else seeds


def told(name: str, figure: Figure, unit: str = " %") -> str:
    """A number in words, for those who point at it."""
    judged = "" if figure.judged else f", fewer than {MIN_ROWS} rows: not judged"
    std = "" if figure.std is None else f", ±{figure.std:.1f} over the seeds"
    return f"{name}: {bracket(figure, 1, unit)}{std} ({behind(figure)}{judged})"


def cells_table(
    title: str,
    languages: Sequence[str],
    columns: Sequence[str],
    cells: dict[tuple[str, str], Figure | None],
    means: tuple[dict[str, Figure | None], dict[str, Figure | None], Figure | None],
    run: str,
    notes: Sequence[str] = (),
    *,
    intervals: bool = True,
) -> Table:
    """Languages downwards and columns across, with means at the right and the bottom.

    Args:
        title: of the table.
        languages: rows.
        columns: tasks or models.
        cells: by (column, language).
        means: by language, by column, and of all; empty mappings for none.
        run: anchors of all numbers.
        notes: below the table.
        intervals: shown, and bold where they exclude 0.
    """

    def cell(figure: Figure | None) -> Entry:
        return entry(figure, interval=intervals, style=intervals)

    by_language, by_column, total = means
    rows = []
    for lang in languages:
        entries = [cell(cells.get((name, lang))) for name in columns]
        if by_language:
            entries.append(cell(by_language.get(lang)))
        rows.append((shown(lang, 20), tuple(entries)))
    if by_column and len(languages) > 1:
        last = [cell(by_column.get(name)) for name in columns]
        rows.append((MEAN, (*last, *([cell(total)] if by_language else []))))
    heads = (*columns, *([MEAN] if by_language else []))
    return Table(
        Grid(title, "lang", heads, tuple(rows), (*notes, *_remarks(rows))), (run,) * len(rows)
    )


def _remarks(rows: Sequence[tuple[str, Sequence[Entry]]]) -> list[str]:
    entries = [one for _, row in rows for one in row]
    remarks = []
    if any(one.interval for one in entries):
        bold = "; in bold where it excludes 0" if any(one.style for one in entries) else ""
        remarks.append(f"In brackets the 95 % interval{bold}.")
    if any("±" in one.text for one in entries):
        remarks.append("± is the standard deviation over the seeds.")
    if any(one.unsure for one in entries):
        remarks.append(
            f"(In parentheses): fewer than {MIN_ROWS} labelled rows, not judged; in no mean, "
            "unless there is nothing else."
        )
    if any(one.text == "–" for one in entries):
        remarks.append("–: not measured, or no labelled test rows.")
    return remarks


def with_remarks(grid: Grid) -> Grid:
    """A table with the notes that its cells call for."""
    return Grid(
        grid.title, grid.corner, grid.columns, grid.rows, (*grid.notes, *_remarks(grid.rows))
    )


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence.

    Example:
        >>> listed(["de", "en", "fr"]), listed(["de"])
        ('de, en and fr', 'de')
    """
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
