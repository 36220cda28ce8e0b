"""Turns a source's label cells into a task's labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from xmpress.data.config import DOUBT, Scope, TaskColumn, cell_text
from xmpress.errors import TaskError
from xmpress.tasks import COARSE_SEPARATOR, Labels, Task
from xmpress.validation import nearest


class LabelReader:
    """Reads the label cells of one task.

    Each distinct combination of cells is interpreted once; rows only look it up.
    """

    def __init__(self, task: Task, spec: TaskColumn) -> None:
        self.task = task
        self.spec = spec
        self.columns = spec.column or [task.name]
        self.scope_column = spec.scope.column if isinstance(spec.scope, Scope) else None

    def read(
        self, cells: Sequence[Sequence[Any]], scopes: Sequence[Any] | None = None
    ) -> tuple[Labels, list[tuple[int, str]]]:
        """Interpret rows.

        Args:
            cells: per column of ``self.columns`` the cells of all rows.
            scopes: the cells of the scope column, if there is one.

        Returns:
            The labels, and for each bad row its position and what is wrong (its labels are then
            those of a row that is not annotated).
        """
        columns = cells if scopes is None else [*cells, scopes]
        keys = [[_key(cell) for cell in column] for column in columns]
        number: dict[tuple[Any, ...], int] = {}
        codes = np.fromiter(
            (number.setdefault(key, len(number)) for key in zip(*keys, strict=True)), dtype=np.intp
        )
        size = len(self.task)
        targets = np.zeros((max(len(number), 1), size), dtype=bool)
        choice = np.zeros((max(len(number), 1), size), dtype=np.int8)
        wrong: dict[int, str] = {}
        for key, code in number.items():
            values, scope = (key, None) if scopes is None else (key[:-1], key[-1])
            try:
                one = self._interpret(values, scope)
            except TaskError as error:
                wrong[code] = "; ".join(p.what for p in error.problems) or str(error)
                continue
            except ValueError as error:
                wrong[code] = str(error)
                continue
            targets[code], choice[code] = one.targets[0], one.choice[0]
        problems = (
            [(int(row), wrong[codes[row]]) for row in np.flatnonzero(np.isin(codes, list(wrong)))]
            if wrong
            else []
        )
        return Labels(targets[codes], choice[codes]), problems

    def _interpret(self, cells: Sequence[Any], scope_cell: Any) -> Labels:
        values = [self._values(cell) for cell in cells]
        if all(v is None for v in values):
            return self.task.encode([None])
        read = self._multi if self.task.multi else self._single
        value, scope = read([v for v in values if v is not None], scope_cell)
        if scope is None or value is None:
            return self.task.encode([value])
        return self.task.encode([value if scope else None], [sorted(scope, key=self._position)])

    def _position(self, choice: str) -> int:
        """Orders choices, so that the same scope is the same whichever way it was written."""
        first = choice.split(COARSE_SEPARATOR)[0]
        return self.task.labels.index(first) if first in self.task.labels else len(self.task)

    def _multi(
        self, values: list[list[str]], scope_cell: Any
    ) -> tuple[list[str] | None, list[str] | None]:
        said = []
        for column in values:
            labels = [label for value in column for label in self._mapped(value)]
            sure = {label for label in labels if not label.startswith(DOUBT)}
            unsure = {label.removeprefix(DOUBT) for label in labels} - sure
            said.append((sure, unsure))
        doubtful: set[str] = set().union(*(unsure for _, unsure in said))
        labels = sorted(set().union(*(sure for sure, _ in said)) - doubtful)
        scope = self._scope(scope_cell)
        if doubtful:
            scope = [s for s in scope or self.task.labels if s not in doubtful]
        return labels, scope

    def _single(
        self, values: list[list[str]], scope_cell: Any
    ) -> tuple[list[str] | None, list[str] | None]:
        labels = {
            part
            for column in values
            for value in column
            for label in self._mapped(value)
            for part in label.split(COARSE_SEPARATOR)
        }
        scope = self._scope(scope_cell)
        if not labels:
            return None, scope
        for choice in scope or ():
            if labels <= set(choice.split(COARSE_SEPARATOR)):
                labels = set(choice.split(COARSE_SEPARATOR))
        return sorted(labels), scope

    def _values(self, cell: Any) -> list[str] | None:
        """A cell as source values; ``None`` if the row is not annotated."""
        if cell is None:
            return None
        if isinstance(cell, tuple):
            return [cell_text(value) for value in cell if value is not None]
        if cell in self.spec.map:
            return [cell]
        if self.task.multi and cell == "none" and cell not in self.task.labels:
            return []
        return _split(cell, ";" if self.task.multi else COARSE_SEPARATOR)

    def _mapped(self, value: str) -> list[str]:
        if value in self.spec.map:
            label = self.spec.map[value]
            return [] if label is None else [label] if isinstance(label, str) else label
        if value in self.task.labels:
            return [value]
        if self.spec.others == "drop":
            return []
        known = [*self.task.labels, *self.spec.map]
        close = nearest(value, known)
        hint = f" (did you mean '{close}'?)" if close else ""
        raise ValueError(f"{value!r} is not a label{hint}; expected one of {', '.join(known)}")

    def _scope(self, cell: Any) -> list[str] | None:
        scope = self.spec.scope
        if not isinstance(scope, Scope):
            return scope
        if cell is None:
            if scope.optional:
                return None
            raise ValueError(f"is annotated, but column {scope.column} does not say for what")
        if scope.choices:
            key = cell_text(cell)
            if key not in scope.choices:
                raise ValueError(
                    f"{scope.column} is {key!r}; expected one of {', '.join(scope.choices)}"
                )
            choices = scope.choices[key]
            return None if choices == "all" else choices
        listed = [cell_text(v) for v in cell] if isinstance(cell, tuple) else _split(cell, ";")
        if not self.task.multi:
            return listed
        labels = [label for value in listed for label in self._mapped(value)]
        return [label for label in labels if not label.startswith(DOUBT)]


def _split(cell: str, separator: str) -> list[str]:
    """The parts of ``a;b`` or of a JSON list."""
    if cell.startswith("[") and cell.endswith("]"):
        try:
            return [cell_text(value) for value in json.loads(cell)]
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{cell!r} is neither labels joined by '{separator}' nor a JSON list"
            ) from error
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _key(cell: Any) -> Any:
    """The cell as something hashable: ``None``, text, or a tuple."""
    if cell is None:
        return None
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, list | tuple):
        return tuple(cell_text(value) for value in cell if value is not None)
    return None if cell != cell else cell_text(cell)  # NaN is null
