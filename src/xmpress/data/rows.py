"""Reads the rows of a table as part of a data set, noting every bad one."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmpress.data.arrow import column
from xmpress.data.config import Scope, SourceSettings, TaskColumn, cell_text
from xmpress.data.dataset import SPLITS, UNDETERMINED, Dataset
from xmpress.data.labels import LabelReader
from xmpress.data.readers import Chunk
from xmpress.errors import DataError, Problem
from xmpress.tasks import Labels, Task, TaskSet
from xmpress.validation import nearest

_SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("valid", "val", "dev"), "validation"),
}


class RowReader:
    """Reads one chunk of a source."""

    def __init__(
        self, settings: SourceSettings, name: str | None, chunk: Chunk, tasks: TaskSet
    ) -> None:
        self._found: list[tuple[int, Problem]] = []
        self._settings = settings
        self._columns = settings.columns
        self._source = name or chunk.file.stem
        self._file = chunk.file
        self._table = chunk.table
        self._tasks = tasks
        self._keep = self._filtered()
        self._numbers = (self._keep + chunk.first_row).tolist()

    def read(self) -> Dataset:
        """The rows as a data set; not to be used if there are problems.

        Raises:
            DataError: if a column is missing.
        """
        return Dataset(
            tasks=self._tasks,
            texts=self._texts(),
            contexts=[v if v and v.strip() else None for v in self._strings("context")],
            langs=self._langs(),
            ids=[
                f"{self._file.stem}:{number}" if value is None else value
                for value, number in zip(self._strings("id"), self._numbers, strict=True)
            ],
            sources=[value or self._source for value in self._strings("source")],
            splits=self._splits(),
            labels={task.name: self._labels(task) for task in self._tasks},
        )

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with which rows, in their order, once `read` has run."""
        return [problem for _, problem in sorted(self._found, key=lambda found: found[0])]

    # ---- columns ----------------------------------------------------------------------------

    def _filtered(self) -> Any:
        """The positions of the rows that the filter lets through."""
        keep = np.ones(self._table.num_rows, dtype=bool)
        for name, wanted in self._settings.filter.items():
            allowed = {cell_text(w) for w in (wanted if isinstance(wanted, list) else [wanted])}
            cells = column(self._table, self._present(name))
            keep &= np.array([c is not None and cell_text(c) in allowed for c in cells], dtype=bool)
        return np.flatnonzero(keep)

    def _present(self, name: str, remedy: str = "") -> str:
        names = self._table.column_names
        if name in names:
            return name
        close = nearest(name, names)
        hint = f" (did you mean '{close}'?)" if close else ""
        raise DataError(
            f"{self._file} has no column '{name}'{hint}; its columns are {', '.join(names)}{remedy}"
        )

    def _cells(self, name: str) -> list[Any]:
        values = column(self._table, self._present(name))
        return values if len(self._keep) == len(values) else [values[i] for i in self._keep]

    def _strings(self, role: str) -> list[str | None]:
        """The column in a role; nulls if it is neither there nor named on purpose."""
        name = getattr(self._columns, role)
        on_purpose = role in self._columns.model_fields_set
        if name is None or (name not in self._table.column_names and not on_purpose):
            return [None] * len(self._numbers)
        return [v if v is None or isinstance(v, str) else cell_text(v) for v in self._cells(name)]

    def _bad(self, index: int, name: str, what: str) -> None:
        place = f"{self._file}, row {self._numbers[index]}, column {name}"
        self._found.append((index, Problem(place, what)))

    # ---- values -----------------------------------------------------------------------------

    def _texts(self) -> list[str]:
        name = self._present(self._columns.text, "; name the column of the text (--text COLUMN)")
        cells = self._cells(name)
        for index, value in enumerate(cells):
            if not isinstance(value, str) or not value.strip():
                found = "is empty" if value is None or value == "" else f"is {value!r}"
                self._bad(index, name, f"{found}; expected text (remove the row if there is none)")
        return cells

    def _langs(self) -> list[str]:
        if self._settings.lang is not None:
            return [self._settings.lang] * len(self._numbers)
        cells = self._strings("lang")
        primary = {cell: _primary_subtag(cell) for cell in set(cells)}
        wrong = {cell for cell, lang in primary.items() if lang is None}
        for index, cell in enumerate(cells):
            if cell in wrong:
                what = f"is {cell!r}; expected a BCP 47 tag such as en or pt-BR"
                self._bad(index, self._columns.lang, what)
        return [primary[cell] or UNDETERMINED for cell in cells]

    def _splits(self) -> list[str | None]:
        cells = self._strings("split")
        known = {cell: _SPLIT_NAMES.get((cell or "").strip().lower()) for cell in set(cells)}
        for index, cell in enumerate(cells):
            if cell and known[cell] is None:
                what = f"is {cell!r}; expected one of {', '.join(SPLITS)}"
                self._bad(index, self._columns.split, what)
        return [known[cell] for cell in cells]

    def _labels(self, task: Task) -> Labels:
        spec = self._settings.tasks.get(task.name, TaskColumn())
        renamed = self._columns.tasks.get(task.name)
        names = self._table.column_names
        if spec is None or not (spec.column or renamed or task.name in names):
            return _not_annotated(task, len(self._numbers))
        if renamed:
            spec = spec.model_copy(update={"column": [renamed]})
        if "scope" not in spec.model_fields_set and f"{task.name}_scope" in names:
            scope = Scope(column=f"{task.name}_scope", optional=True)
            spec = spec.model_copy(update={"scope": scope})
        reader = LabelReader(task, spec)
        columns = [self._present(name) for name in reader.columns]
        if all(self._table[name].null_count == self._table.num_rows for name in columns):
            return _not_annotated(task, len(self._numbers))
        scopes = self._cells(reader.scope_column) if reader.scope_column else None
        labels, wrong = reader.read([self._cells(name) for name in columns], scopes)
        for index, what in wrong:
            self._bad(index, " + ".join(columns), what)
        return labels


def _not_annotated(task: Task, rows: int) -> Labels:
    shape = (rows, len(task))
    return Labels(np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int8))


def _primary_subtag(tag: str | None) -> str | None:
    """``pt`` for ``pt-BR`` or ``PT_br``; ``None`` for what is no language tag."""
    lang = (tag or UNDETERMINED).strip().replace("_", "-").split("-")[0].lower()
    return lang if lang.isascii() and lang.isalpha() and 2 <= len(lang) <= 3 else None
