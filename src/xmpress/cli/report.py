"""``xmpress report``: a study's report, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.console import emit_json, out
from xmpress.cli.options import Json


def report(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A directory that xmpress study wrote.", show_default=False
        ),
    ],
    json: Json = False,
) -> None:
    """Write a study's report anew: HTML, Markdown, plots and the recommended model's card.

    It is made from DIR/results.json alone, needs no torch, and works while the study still runs.

    Examples:
      xmpress report runs/study
      xmpress report runs/study --json
    """
    from xmpress.study.report import summary, write_report

    path = write_report(directory)
    if json:
        emit_json({"report": str(path), **summary(directory)})
        return
    # Paths are not to be broken at the edge of a terminal.
    out.print(str(path), markup=False, soft_wrap=True)
