"""Predictions as columns of an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table, list_array

from xmpress.errors import DataError
from xmpress.runtime.decoding import Decoded, check_texts
from xmpress.tasks import Bools, FloatArray, Task, TaskSet

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


def batches(table: Table, rows: int) -> list[RecordBatch]:
    """The table in batches of at most so many rows; one without rows if the table has none."""
    cut = table.rechunk(max_chunksize=rows) if table.num_rows else table.combine_chunks()
    return cut.to_batches()


def joined(parts: Iterable[Table]) -> Table:
    """Tables of the same columns, at least one, as one."""
    parts = list(parts)
    whole = [batch for part in parts for batch in part.to_batches()]
    return Table.from_batches(whole, schema=parts[0].schema)


def predicted_schema(schema: Schema, tasks: TaskSet, *, probabilities: bool) -> Schema:
    """The schema with the prediction columns appended."""
    names = prediction_columns(schema.names, tasks, probabilities=probabilities)
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
    spread = _spread(decoded.present)
    for task in tasks:
        labels = _lists if task.multi else _labels
        columns.append(spread(labels(task, decoded.decided[task.name])))
        columns.append(spread(_floats(decoded.confidence(task))))
        if probabilities:
            columns += [spread(_floats(values)) for values in decoded.probabilities[task.name].T]
    return RecordBatch.from_arrays(columns, schema=schema)


def _usual_names(task: Task, probabilities: bool) -> list[str]:
    labels = [f"{task.name}.{label}" for label in task.labels] if probabilities else []
    return [task.name, f"{task.name}_confidence", *labels]


def _spread(present: Bools) -> Callable[[Array], Array]:
    """What makes one value per text of one per text that is present: null for the others."""
    if present.all():
        return lambda values: values
    places = iter(range(len(present)))
    taken = Array(
        [next(places) if there else None for there in present.tolist()], type=DataType.uint32()
    )
    return lambda values: values.take(taken)


def _floats(values: FloatArray) -> Array:
    return Array.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _labels(task: Task, decided: Bools) -> Array:
    """The one label of each row of bool [m, L]."""
    return _texts(task.labels).take(Array.from_numpy(decided.argmax(axis=1).astype(np.uint32)))


def _lists(task: Task, decided: Bools) -> Array:
    """The labels of each row of bool [m, L], in the task's order."""
    offsets = np.zeros(len(decided) + 1, dtype=np.int32)
    np.cumsum(decided.sum(axis=1), out=offsets[1:])
    labels = np.nonzero(decided)[1].astype(np.uint32)
    flat = _texts(task.labels).take(Array.from_numpy(labels))
    return list_array(Array.from_numpy(offsets), flat, type=_LABELS)


def _texts(labels: Sequence[str]) -> Array:
    return Array(labels, type=DataType.utf8())
