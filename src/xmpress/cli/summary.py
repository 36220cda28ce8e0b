"""What many predictions come to: shares of labels per task and per language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from xmpress.cli.palette import WIDE, label_text, listed, style_of, title_of
from xmpress.tasks import Task, TaskSet

SHOWN_PER_TASK = 6
"""Of a task's labels that occur, the most frequent so many are shown."""


class Summary:
    """Counts predicted labels; rows without text are left out.

    Attributes:
        rows: rows counted.
        blank: rows that had no text.
    """

    def __init__(self, tasks: TaskSet) -> None:
        self.tasks = tasks
        self.rows = 0
        self.blank = 0
        self._labels: dict[str, Counter[str]] = {task.name: Counter() for task in tasks}
        self._languages: dict[str, dict[str, Counter[str]]] = {}
        self._rows: Counter[str] = Counter()

    def add(
        self, predictions: Mapping[str, Sequence[Any]], langs: Sequence[str | None] | None
    ) -> None:
        """Count rows.

        Args:
            predictions: per task the label or list of labels of each row, ``None`` if blank.
            langs: the language of each row, where known.
        """
        first = predictions[self.tasks.names[0]]
        present = [row for row, value in enumerate(first) if value is not None]
        self.rows += len(present)
        self.blank += len(first) - len(present)
        by_language: dict[str, list[int]] = {}
        if langs is not None:
            for row in present:
                by_language.setdefault(langs[row] or "und", []).append(row)
        for task in self.tasks:
            values = predictions[task.name]
            self._labels[task.name].update(_labels(task, values, present))
            for lang, rows in by_language.items():
                self._of_language(lang)[task.name].update(_labels(task, values, rows))
        self._rows.update({lang: len(rows) for lang, rows in by_language.items()})

    def _of_language(self, lang: str) -> dict[str, Counter[str]]:
        if lang not in self._languages:
            self._languages[lang] = {task.name: Counter() for task in self.tasks}
        return self._languages[lang]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: counts by task and label, and the same by language."""
        return {
            "rows": self.rows,
            "blank": self.blank,
            "tasks": {task.name: self._counts(task, self._labels) for task in self.tasks},
            "languages": {
                lang: {
                    "rows": self._rows[lang],
                    "tasks": {task.name: self._counts(task, counts) for task in self.tasks},
                }
                for lang, counts in self._by_size()
            },
        }

    @staticmethod
    def _counts(task: Task, counts: dict[str, Counter[str]]) -> dict[str, int]:
        return {label: counts[task.name][label] for label in task.labels}

    def _by_size(self) -> list[tuple[str, dict[str, Counter[str]]]]:
        return sorted(self._languages.items(), key=lambda item: (-self._rows[item[0]], item[0]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._task_table()
        if len(self._languages) > 1:
            yield ""
            yield self._language_table(wide=options.max_width >= WIDE)

    def _task_table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for task in self.tasks:
            table.add_row(title_of(task), self._shares(task))
        return table

    def _shares(self, task: Task) -> Text:
        """The labels that occur with their share of the rows, ordinal tasks in label order."""
        counts = self._labels[task.name]
        frequent = [label for label, _ in counts.most_common(SHOWN_PER_TASK)]
        if task.kind == "ordinal":
            frequent.sort(key=task.labels.index)
        shares = [
            Text(f"{label.replace('_', ' ')} {counts[label] / self.rows:.0%}", style_of(label))
            for label in frequent
        ]
        hidden = len(counts) - len(frequent)
        if hidden > 0:
            shares.append(Text(f"and {hidden} more", "dim"))
        return listed(shares) if shares else Text("none", "dim")

    def _language_table(self, *, wide: bool) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("lang")
        table.add_column("rows", justify="right")
        for task in self.tasks:
            table.add_column(title_of(task), no_wrap=True)
        for lang, counts in self._by_size():
            cells = [self._most_frequent(counts[task.name], lang, wide) for task in self.tasks]
            table.add_row(lang, f"{self._rows[lang]:,}", *cells)
        return table

    def _most_frequent(self, counts: Counter[str], lang: str, with_share: bool) -> Text:
        if not counts:
            return label_text([])
        ((label, count),) = counts.most_common(1)
        text = label_text(label)
        return text.append(f" {count / self._rows[lang]:.0%}", "dim") if with_share else text


def _labels(task: Task, values: Sequence[Any], rows: Sequence[int]) -> Iterable[str]:
    """Every label of some rows."""
    found = (values[row] for row in rows)
    return chain.from_iterable(found) if task.multi else found
