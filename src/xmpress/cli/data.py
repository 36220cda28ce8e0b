"""``xmpress data``: is the data fit to train on, and what is in it."""

from __future__ import annotations

import typer

app = typer.Typer(help="Check and describe labelled feedback.", no_args_is_help=True)
