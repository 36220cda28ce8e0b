"""The first rows of an analysis, as a table for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from xmpress.cli.palette import WIDE, label_text, title_of
from xmpress.tasks import TaskSet


class Preview:
    """Keeps the first rows and shows them.

    Args:
        tasks: what was predicted.
        rows: how many rows to keep.
    """

    def __init__(self, tasks: TaskSet, rows: int) -> None:
        self._tasks = tasks
        self._left = rows
        self._texts: list[str | None] = []
        self._langs: list[str | None] | None = None
        self._predictions: dict[str, list[Any]] = {task.name: [] for task in tasks}

    def add(
        self, texts: list[Any], langs: list[Any] | None, predictions: dict[str, list[Any]]
    ) -> None:
        """Keep rows, as long as there are too few.

        Args:
            texts: the texts.
            langs: their languages, where known.
            predictions: per task the label or list of labels of each row.
        """
        part = slice(0, self._left)
        self._left -= len(texts[part])
        self._texts += texts[part]
        if langs is not None:
            self._langs = (self._langs or []) + langs[part]
        for name, values in predictions.items():
            self._predictions[name] += values[part]

    def table(self, width: int) -> Table:
        """Text, language and labels; the text gets what the rest leaves of the width."""
        tasks = list(self._tasks)
        narrow = width < WIDE
        if narrow and len(tasks) > 4:
            # intensity says least beside the others
            tasks = [task for task in tasks if task.name != "intensity"]
        most, gap = (1, 1) if narrow else (2, 2)
        columns: list[tuple[str, list[Text]]] = [
            (title_of(task), [label_text(v, most=most) for v in self._predictions[task.name]])
            for task in tasks
        ]
        if self._langs:
            columns.insert(0, ("lang", [Text(lang or "-", "dim") for lang in self._langs]))
        taken = sum(
            gap + max([len(title), *(cell.cell_len for cell in cells)]) for title, cells in columns
        )
        table = Table(box=None, header_style="bold", padding=(0, gap, 0, 0), pad_edge=False)
        table.add_column(
            "text", width=max(width - taken - gap, 16), no_wrap=True, overflow="ellipsis"
        )
        for title, _ in columns:
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for text, *cells in zip(self._texts, *(cells for _, cells in columns), strict=True):
            table.add_row(Text(" ".join((text or "").split())), *cells)
        return table
