"""Writes docs/reference/study.md from the code, to standard output; a test compares the two."""

import inspect
import sys
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from xmpress.study import StudyConfig

HEAD = """# The study file

Written from the code by `make docs/reference/study.md`. How it is
used: [Run a study](../guides/study.md).

A study is YAML; unknown keys are refused with the nearest known one, and all problems are told at
once. `--set a.b=c` overrides any key. Paths are relative to the working directory; what is not
there is looked for beside the study file.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for title, section in [("The study", StudyConfig), *_inner(StudyConfig)]:
        yield f"## {title}\n"
        if section is not StudyConfig:
            yield f"{_code(section.__doc__ or '')}\n"
        yield "| key | default | meaning |"
        yield "| --- | --- | --- |"
        for name, field in _ordered(section):
            meaning = _code(" ".join((field.description or "").split()))
            yield f"| `{name}` | {_default(field)} | {meaning} |"
        yield ""


def _ordered(section: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Its own keys, then those it shares with other sections."""
    own = inspect.get_annotations(section)
    return sorted(section.model_fields.items(), key=lambda item: item[0] not in own)


def _inner(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        for part, named in _parts(field.annotation, named=False):
            if part.__module__ == StudyConfig.__module__:
                yield f"`{name}`" + (", each" if named else ""), part


def _parts(annotation: Any, *, named: bool) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, named
    for argument in get_args(annotation):
        if get_origin(annotation) is not Literal and argument is not NoneType:
            yield from _parts(argument, named=named or get_origin(annotation) is dict)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    value = field.default
    if value is None or value == "" or value == {} or value == []:
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else value}`"


def _code(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
