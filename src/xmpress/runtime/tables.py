"""Predictions as columns of an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table, list_array

from xmpress.errors import DataError
from xmpress.runtime.decoding import Decoded, check_texts
from xmpress.tasks import Task, TaskSet

_LABELS = DataType.list(Field("item", DataType.utf8(), nullable=True))


def prediction_columns(
    existing: Iterable[str], tasks: TaskSet, *, probabilities: bool = False
) -> dict[str, str]:
    """Name the columns that predictions are written to.

    Args:
        existing: the table's columns, none of which is overwritten.
        tasks: what is predicted.
        probabilities: whether there is a column for each label's probability.

    Returns:
        By its usual name (``<task>``, ``<task>_confidence``, ``<task>.<label>``) the name of each
        column, in order. They differ where the usual name is taken: then it is
        ``<usual name>_predicted``.

    Example:
        >>> tasks = TaskSet.load("experience").select(["intensity"])
        >>> prediction_columns(["text", "intensity"], tasks)
        {'intensity': 'intensity_predicted', 'intensity_confidence': 'intensity_confidence'}
    """
    taken = set(existing)
    names = {}
    for task in tasks:
        for usual in _usual_names(task, probabilities):
            name = usual
            while name in taken:
                name += "_predicted"
            taken.add(name)
            names[usual] = name
    return names


def read_table(table: Any) -> Table:
    """Any object with ``__arrow_c_stream__`` (or ``__arrow_c_array__``) as an Arrow table.

    Raises:
        DataError: if it is not a table.
    """
    try:
        return Table.from_arrow(table)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"a {type(table).__name__} is not an Arrow table; expected one of pyarrow, polars, "
            "arro3, pandas (2.2 or later) or another with __arrow_c_stream__; "
            "collect lazy frames first"
        ) from error


def like(original: Any, table: Table) -> Any:
    """The table as the kind of ``original``; an arro3 table if the kind is not known."""
    library = type(original).__module__.partition(".")[0]
    module: Any = sys.modules.get(library)
    if library == "polars":
        return module.DataFrame(table)
    if library == "pyarrow":
        return module.table(table)
    if library == "pandas":
        return module.DataFrame.from_arrow(table)
    return table


def find_column(table: Table, name: str) -> int:
    """The position of a column.

    Raises:
        DataError: listing the columns there are.
    """
    if name not in table.column_names:
        raise DataError(
            f"there is no column '{name}'; the columns are {', '.join(table.column_names)}. "
            "Say which one holds the text or the context (--text, --context)"
        )
    return table.column_names.index(name)


def texts_of(batch: RecordBatch, column: int, *, first_row: int) -> list[str | None]:
    """The texts of a column.

    Raises:
        DataError: naming the rows that hold something else, counted from ``first_row``.
    """
    name = batch.schema.names[column]
    texts = list(batch.column(column).to_pylist())
    check_texts(texts, lambda row: f"row {row + first_row}, column {name}")
    return texts


def predicted_schema(
    schema: Schema, tasks: TaskSet, names: dict[str, str], *, probabilities: bool
) -> Schema:
    """The schema with the prediction columns appended."""
    fields: list[Field] = []
    for task in tasks:
        label, *numbers = _usual_names(task, probabilities)
        fields.append(Field(names[label], _LABELS if task.multi else DataType.utf8()))
        fields += [Field(names[number], DataType.float32()) for number in numbers]
    for field in fields:
        schema = schema.append(field)
    return schema


def append_predictions(
    batch: RecordBatch, decoded: Decoded, tasks: TaskSet, schema: Schema, *, probabilities: bool
) -> RecordBatch:
    """The batch with its predictions appended, null where the text is blank."""
    columns: list[Any] = [batch.column(i) for i in range(batch.num_columns)]
    for task in tasks:
        labels = task.names(decoded.decided[task.name])
        columns.append(
            _lists(labels, decoded)
            if task.multi
            else Array(_spread([label for (label,) in labels], decoded), type=DataType.utf8())
        )
        columns.append(_floats(decoded.confidence(task).tolist(), decoded))
        if probabilities:
            by_label = decoded.probabilities[task.name].T
            columns += [_floats(values.tolist(), decoded) for values in by_label]
    return RecordBatch.from_arrays(columns, schema=schema)


def _usual_names(task: Task, probabilities: bool) -> list[str]:
    labels = [f"{task.name}.{label}" for label in task.labels] if probabilities else []
    return [task.name, f"{task.name}_confidence", *labels]


def _spread(values: Sequence[Any], decoded: Decoded) -> list[Any]:
    """One value per text, null for the blank ones."""
    present = iter(values)
    return [next(present) if is_present else None for is_present in decoded.present.tolist()]


def _floats(values: Sequence[float], decoded: Decoded) -> Array:
    return Array(_spread(values, decoded), type=DataType.float32())


def _lists(labels: Sequence[Sequence[str]], decoded: Decoded) -> Array:
    sizes = np.zeros(len(decoded.present) + 1, dtype=np.int32)
    sizes[1:][decoded.present] = [len(row) for row in labels]
    return list_array(
        Array.from_numpy(np.cumsum(sizes, dtype=np.int32)),
        Array([label for row in labels for label in row], type=DataType.utf8()),
        type=_LABELS,
        mask=Array.from_numpy(~decoded.present),
    )
