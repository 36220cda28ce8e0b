"""Python values to Arrow arrays and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from arro3.core import Array, DataType, Table, list_array

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with lone surrogates, which no encoding can hold, replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def column(table: Table, name: str) -> list[Any]:
    """The values of a column as Python objects, ``None`` for null."""
    values: list[Any] = table[name].to_pylist()  # type: ignore[assignment]  # a list, whatever the stub says
    return values


def kind_of(values: Iterable[Any]) -> str:
    """The narrowest of null, bool, int, float, text, list and json that holds all values.

    ``json`` is anything else; it is written as JSON text. A list holds scalars, kept as text.
    """
    return reduce(joined_kind, {_kind(value) for value in values}, "null")


def joined_kind(one: str, other: str) -> str:
    """The kind that holds the values of both."""
    if "null" in {one, other}:
        return other if one == "null" else one
    if one == other:
        return one
    if {one, other} == {"int", "float"}:
        return "float"
    return "json" if {one, other} & {"json", "list"} else "text"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "text"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "list" if all(v is None or isinstance(v, str) for v in value) else "json"
    return "json"


def to_array(values: Sequence[Any], kind: str | None = None) -> Array:
    """An Arrow array of values; its type follows from the values, or from a kind of `kind_of`."""
    kind = kind or kind_of(values)
    if kind == "bool":
        return Array(values, type=DataType.bool())
    if kind == "int":
        return Array(values, type=DataType.int64())
    if kind == "float":
        floats = [None if v is None else float(v) for v in values]
        return Array(floats, type=DataType.float64())
    if kind == "list":
        return _lists(values)
    texts = [None if v is None else clean(v if isinstance(v, str) else _json(v)) for v in values]
    return Array(texts, type=DataType.utf8())


def to_table(columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, str] | None = None) -> Table:
    """A table of columns of Python values."""
    kinds = kinds or {}
    return Table.from_pydict({n: to_array(v, kinds.get(n)) for n, v in columns.items()})


def _lists(values: Sequence[Any]) -> Array:
    offsets: list[int] = [0]
    flat: list[str | None] = []
    for value in values:
        flat.extend(None if v is None else clean(v) for v in value or ())
        offsets.append(len(flat))
    return list_array(
        Array(offsets, type=DataType.int32()),
        Array(flat, type=DataType.utf8()),
        mask=Array([v is None for v in values], type=DataType.bool()),
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
