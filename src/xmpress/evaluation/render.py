"""Scorecards and comparisons as tables for a terminal, as GitHub Markdown and as JSON.

Languages go down and tasks across, so that a dozen languages fit a terminal of 80 columns. Metrics
are shown times 100. A value that rests on fewer than `MIN_ROWS` rows is dimmed, in brackets.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xmpress.evaluation.comparison import Comparison, Degradation
from xmpress.evaluation.scorecard import METRICS, MIN_ROWS, Scorecard, judged

NOTHING = "–"
MEAN = "mean"
TITLES = {
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "micro_f1": "micro-F1",
    "kappa": "kappa",
    "average_precision": "avg prec",
    "ece": "ECE",
}


@dataclass(frozen=True)
class Entry:
    """One value of a grid.

    Attributes:
        text: the value.
        interval: its ends; below the value in a terminal, beside it in Markdown.
        unsure: too few rows to judge; dimmed and in brackets.
        style: rich style in a terminal; bold in Markdown if there is one.
    """

    text: str
    interval: tuple[str, str] | None = None
    unsure: bool = False
    style: str = ""

    def to_text(self, width: int) -> Text:
        """For a terminal, right-aligned in a column of this width."""
        style = "dim" if self.unsure else self.style
        return Text("\n").join(
            Text(_aligned(line, width), style=line_style)
            for line, line_style in zip(self.lines, (style, "dim"), strict=False)
        )

    def to_markdown(self) -> str:
        """For a cell of a Markdown table."""
        value = self.lines[0]
        text = f"**{value}**" if self.style else value
        return f"{text} [{', '.join(self.interval)}]" if self.interval else text

    @property
    def lines(self) -> tuple[str, ...]:
        """The value, and on a second line its interval."""
        value = f"({self.text})" if self.unsure else self.text
        return (value, "…".join(self.interval)) if self.interval else (value,)


@dataclass(frozen=True)
class Grid:
    """A table before it has a form.

    Attributes:
        title: above the table.
        corner: head of the first column, which names the rows.
        columns: heads of the others.
        rows: name and entries of each row; a row named ``mean`` is set off.
        notes: below the table.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    notes: tuple[str, ...] = ()

    def to_table(self) -> Group:
        """For a terminal: columns as wide as their content, whatever the width of the terminal."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
        table.add_column(Text(self.corner), no_wrap=True)
        widths = []
        for j, name in enumerate(self.columns):
            texts = [name, *(line for _, entries in self.rows for line in entries[j].lines)]
            widths.append(max(map(len, texts)) + 1)
            table.add_column(Text(_aligned(name, widths[-1])), width=widths[-1], no_wrap=True)
        for name, entries in self.rows:
            if name == MEAN:
                table.add_section()
            table.add_row(
                Text(name), *(e.to_text(width) for e, width in zip(entries, widths, strict=True))
            )
        # Rich would wrap a title or caption of the table at the table's width.
        notes = [Text(note, style="dim") for note in self.notes]
        return Group(Text(self.title, style="bold"), table, *notes, Text())

    def to_markdown(self) -> str:
        """A GitHub table under a bold title, notes below."""
        lines = [f"**{_escaped(self.title)}**", ""]
        lines.append(_line([self.corner, *self.columns]))
        lines.append(_line(["---", *("---:" for _ in self.columns)]))
        for name, entries in self.rows:
            lines.append(_line([name, *(entry.to_markdown() for entry in entries)]))
        for note in self.notes:
            lines += ["", _escaped(note)]
        return "\n".join(lines) + "\n"


def grids(result: Scorecard | Comparison) -> list[Grid]:
    """The tables that show a result, before they have a form."""
    if isinstance(result, Scorecard):
        return [_by_language(result), _by_metric(result)]
    return [_degradation_by_language(result), _degradation_by_task(result)]


def to_table(result: Scorecard | Comparison) -> Group:
    """For `rich.console.Console.print`."""
    return Group(*(grid.to_table() for grid in grids(result)))


def to_markdown(result: Scorecard | Comparison) -> str:
    """For a report or a model card, as GitHub renders it."""
    return "\n".join(grid.to_markdown() for grid in grids(result))


def to_json(result: Scorecard | Comparison) -> str:
    """For other programs; ``from_dict`` of the result's class reads it again."""
    return json.dumps(result.to_dict(), ensure_ascii=False, indent=2, allow_nan=False)


# ---- scorecard ------------------------------------------------------------------------------


def _by_language(card: Scorecard) -> Grid:
    rows = []
    for lang in card.languages:
        cells = [card.cell(task, lang) for task in card.tasks]
        entries = [
            Entry(_percent(cell.macro_f1), unsure=not cell.judged) if cell else Entry(NOTHING)
            for cell in cells
        ]
        unsure = not any(cell.judged for cell in cells if cell)
        rows.append((lang, (*entries, Entry(_percent(card.language(lang)), unsure=unsure))))
    means = [_mean_entry(card, task) for task in card.tasks]
    average = Entry(_percent(card.average), unsure=all(entry.unsure for entry in means))
    return Grid(
        f"{card.model}: macro-F1",
        "lang",
        (*card.tasks, MEAN),
        (*rows, (MEAN, (*means, average))),
        _notes(any(not cell.judged for cell in card.cells)),
    )


def _mean_entry(card: Scorecard, task: str, metric: str = "macro_f1") -> Entry:
    unsure = not any(cell.judged for cell in card.cells if cell.task == task)
    return Entry(_percent(card.task(task, metric)), unsure=unsure)


def _by_metric(card: Scorecard) -> Grid:
    rows = []
    for task in card.tasks:
        cells = judged([cell for cell in card.cells if cell.task == task])
        number = Entry(f"{sum(cell.rows for cell in cells):,}")
        rows.append((task, (number, *(_mean_entry(card, task, metric) for metric in METRICS))))
    return Grid(
        f"{card.model}: all metrics, mean over languages",
        "task",
        ("rows", *(TITLES[metric] for metric in METRICS)),
        tuple(rows),
    )


# ---- comparison -----------------------------------------------------------------------------


def _degradation_by_language(result: Comparison) -> Grid:
    tasks = tuple(result.tasks)
    rows = []
    for lang, mean in result.languages.items():
        entries = [_entry(result.cells.get((task, lang))) for task in tasks]
        rows.append((lang, (*entries, _entry(mean))))
    means = (*(_entry(result.tasks[task]) for task in tasks), _entry(result.average))
    clear = "in bold where the interval excludes 0"
    return Grid(
        f"Degradation of {result.candidate.model} against {result.reference.model}, %",
        "lang",
        (*tasks, MEAN),
        (*rows, (MEAN, means)),
        (
            "Relative drop of macro-F1 (negative: better), with the 95 % interval of "
            f"{result.resamples:,} paired bootstrap resamples; {clear}.",
            *_notes(any(not value.judged for value in result.cells.values())),
        ),
    )


def _degradation_by_task(result: Comparison) -> Grid:
    named = [*result.tasks.items(), (MEAN, result.average)]
    return Grid(
        "Macro-F1 by task, mean over languages",
        "task",
        ("rows", result.reference.model, result.candidate.model, "points", "degradation %"),
        tuple(
            (
                name,
                (
                    Entry(f"{value.rows:,}"),
                    Entry(_percent(value.reference), unsure=not value.judged),
                    Entry(_percent(value.candidate), unsure=not value.judged),
                    Entry(_plain(value.points), unsure=not value.judged),
                    _entry(value),
                ),
            )
            for name, value in named
        ),
    )


def _entry(value: Degradation | None) -> Entry:
    if value is None or value.percent is None:
        return Entry(NOTHING)
    if value.low is None or value.high is None:
        return Entry(_plain(value.percent), unsure=not value.judged)
    style = "bold red" if value.low > 0 else "bold green" if value.high < 0 else ""
    return Entry(
        _plain(value.percent),
        (_plain(value.low), _plain(value.high)),
        unsure=not value.judged,
        style=style if value.judged else "",
    )


# ---- forms ----------------------------------------------------------------------------------


def _notes(unsure: bool) -> tuple[str, ...]:
    return (f"In brackets: fewer than {MIN_ROWS} labelled rows, not judged.",) if unsure else ()


def _percent(value: float) -> str:
    return NOTHING if math.isnan(value) else _plain(100 * value)


def _plain(value: float) -> str:
    return f"{value:.1f}".replace("-0.0", "0.0") if abs(value) < 0.1 else f"{value:.1f}"


def _aligned(text: str, width: int) -> str:
    """To the right; a closing bracket hangs over, so that digits stand below one another."""
    return (text if text.endswith(")") else f"{text} ").rjust(width)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
