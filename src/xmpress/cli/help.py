"""Help texts come from docstrings: prose is reflowed, examples are shown as at a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer


def add(app: typer.Typer, name: str, verb: Callable[..., Any], panel: str | None = None) -> None:
    """Make a function a verb of the command line."""
    app.command(name, help=help_text(verb), rich_help_panel=panel)(verb)


def help_text(verb: Callable[..., Any]) -> str:
    """A docstring with one line per paragraph, but one per example."""
    paragraphs = (inspect.getdoc(verb) or "").split("\n\n")
    return "\n\n".join(
        part.replace("\n  ", "\n$ ") if part.startswith("Example") else " ".join(part.split())
        for part in paragraphs
    )
