"""Writes docs/reference/cli.md from the code, to standard output; a test compares the two."""

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from xmpress.cli.app import app

HEAD = """# Command line

Written from the code by `make docs/reference/cli.md`.

Results go to standard output, everything else to standard error. Exit codes: 0 ok, 1 error, 2 wrong
usage, 3 a guard failed, 130 interrupted. `--debug`, anywhere on the line, shows the traceback of an
error. `python -m xmpress` is the same command.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_verbs(app, "xmpress")])


def _verbs(group: typer.Typer, prefix: str) -> Iterator[str]:
    for command in group.registered_commands:
        yield from _verb(f"{prefix} {command.name}", command.help or "", command.callback)
    for inner in group.registered_groups:
        yield from _verbs(inner.typer_instance, f"{prefix} {inner.name}")


def _verb(title: str, text: str, function: Callable[..., Any]) -> Iterator[str]:
    yield f"## {title}\n"
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("Example"):
            yield "\n".join(["```console", *paragraph.splitlines()[1:], "```"]) + "\n"
        else:
            yield paragraph + "\n"
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    rows = sorted((_row(parameter) for parameter in parameters), key=lambda row: row[0])
    if rows:
        yield (
            "\n".join(["| | | default |", "| --- | --- | --- |", *(row for _, row in rows)]) + "\n"
        )


def _row(parameter: inspect.Parameter) -> tuple[bool, str]:
    """Whether it is an option (they come after the arguments), and its line of the table."""
    kind, info = get_args(parameter.annotation)
    if isinstance(info, OptionInfo):
        # Within Annotated, typer keeps the first flag as if it were the default.
        given = (info.default, *(info.param_decls or ()))
        flags = [flag for flag in given if isinstance(flag, str)]
        flags = flags or [f"--{parameter.name.replace('_', '-')}"]
        name = ", ".join(f"`{flag}`" for flag in flags)
        if kind is not bool:
            name += f" `{info.metavar or _type(kind)}`"
    elif isinstance(info, ArgumentInfo):
        name = f"`{(info.metavar or parameter.name.upper()).strip('[]')}`"
    else:
        raise TypeError(f"parameter {parameter.name} is neither an option nor an argument")
    default = parameter.default
    if default is inspect.Parameter.empty:
        shown = "required"
    else:
        shown = "" if default is None or default is False else f"`{default}`"
    cells = [name, (info.help or "").replace("|", "\\|"), shown]
    return isinstance(info, OptionInfo), f"| {' | '.join(cells)} |"


def _type(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind)).replace("|", "\\|")
    known = [part for part in (kind, *get_args(kind)) if part in {int, float, str}]
    return {int: "N", float: "X", str: "TEXT"}[known[0]] if known else "PATH"


if __name__ == "__main__":
    sys.stdout.write(reference())
