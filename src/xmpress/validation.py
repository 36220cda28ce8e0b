"""Turns pydantic's errors into ours: every problem at once, with the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError

from xmpress.errors import Problem


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Describe each error by its path in the file; for an unknown key suggest the nearest known."""
    items = error.errors(include_url=False)
    places = [item["loc"] for item in items]
    problems = []
    for item in items:
        loc = item["loc"]
        if item["type"] == "too_short" and any(p[: len(loc)] == loc != p for p in places):
            continue  # it counts only the items that are right; the others are reported themselves
        what = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            what = "unknown key" + _suggestion(str(loc[-1]), _keys_at(model, loc[:-1]))
        elif item["type"] not in {"value_error", "missing"}:
            what += f" (found {_short(item['input'])})"
        problems.append(Problem(_path(loc), what))
    return problems


def expects(what: str, fits: Callable[[Any], bool]) -> BeforeValidator:
    """For a field of several forms: one error that says what is expected, not one per form."""

    def check(value: Any) -> Any:
        if not fits(value):
            raise ValueError(f"give {what} (found {_short(value)})")
        return value

    return BeforeValidator(check)


def is_number(value: Any, least: int) -> bool:
    """Whether a value is an integer of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def nearest(word: str, known: list[str]) -> str | None:
    """The known word most like this one, if any is like it."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return found[0] if found else None


def _suggestion(key: str, known: list[str]) -> str:
    close = nearest(key, known)
    if close:
        return f"; did you mean '{close}'?"
    return f"; the keys here are {', '.join(known)}" if known else ""


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in loc:
        fields = _fields(current)
        if isinstance(part, str) and part in fields:
            current = fields[part].annotation
    return list(_fields(current))


def _fields(annotation: Any) -> dict[str, Any]:
    """The fields of the first pydantic model found in an annotation such as ``list[A] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return dict(annotation.model_fields)
    if get_origin(annotation) in {list, tuple, dict, set, frozenset, Union, UnionType}:
        for arg in get_args(annotation):
            found = _fields(arg)
            if found:
                return found
    if hasattr(annotation, "__metadata__"):
        return _fields(get_args(annotation)[0])
    return {}
