"""``xmpress study``: a matrix of trainings and compressions, and the report on it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated

import typer

from xmpress.cli.console import emit_json, err, out, say
from xmpress.cli.extras import need
from xmpress.cli.options import Json, OutDirectory, Sets

if TYPE_CHECKING:
    from rich.table import Table

    from xmpress.study import StudyResults
    from xmpress.study.execution import KindProgress


EVERY = 10.0
"""Seconds between two tables of what is done and left."""


def study(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="A study file (.yaml), or the name of one that ships: quick, public, paper.",
            show_default=False,
        ),
    ],
    out_dir: OutDirectory,
    sets: Sets = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in a folder that is there.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    json: Json = False,
) -> None:
    """Train, compress, score and measure a matrix of models, and write the report.

    What was made before from the same inputs is not made again, after any interruption and after
    any change of the study. A step that fails is told at the end, with exit code 1; what does not
    depend on it is done.

    Examples:
      xmpress study quick -o runs/quick
      xmpress study mine.yaml -o runs/mine --resume
      xmpress study public --set seeds='[1]' -o runs/public
    """
    need("train", "xmpress study")
    from xmpress.study import run_study

    try:
        found = run_study(
            study,
            out_dir,
            overrides=sets or (),
            resume=resume,
            say=say,
            watch=_Board(),
            quiet=quiet,
        )
    except KeyboardInterrupt:
        say("interrupted; go on with the same command and --resume")
        raise
    if json:
        emit_json(found.results.model_dump(mode="json"))
    else:
        out.print(models_table(found.results))
    say(f"wrote {found.directory / 'results.json'}")
    say(f"the report is {found.report}")
    found.check()


class _Board:
    """Shows how far the study is, but not for every step of a second."""

    def __init__(self) -> None:
        self._shown = -math.inf

    def __call__(self, board: list[KindProgress]) -> None:
        now, over = time.monotonic(), not any(row.left for row in board)
        if over or now - self._shown >= EVERY:
            err.print(progress_table(board))
            self._shown = now


def progress_table(board: list[KindProgress]) -> Table:
    """What is done, running and left, and how long that will take."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("step", "done", "failed", "left", "time left", "running"):
        table.add_column(title, justify="left" if title in {"step", "running"} else "right")
    for row in board:
        table.add_row(
            row.kind,
            str(row.done),
            Text(str(row.failed), style="bold red") if row.failed else "",
            str(row.left or ""),
            "?" if row.remaining is None else time_text(row.remaining) if row.left else "",
            row.running or "",
        )
    return table


def models_table(results: StudyResults) -> Table:
    """Every model with its quality, size and speed, one line each."""
    from rich.table import Table
    from rich.text import Text

    from xmpress.cli.console import size_text

    rates = {row.model: row for row in reversed(results.speed.rows)} if results.speed else {}
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("model")
    for title in ("macro-F1", "degradation", "size", "texts/s", "speedup"):
        table.add_column(title, justify="right")
    for model in results.models:
        card, comparison, speed = model.card(), model.compared(), rates.get(model.id)
        percent = comparison.average.percent if comparison else None
        table.add_row(
            Text(model.id),
            f"{100 * card.average:.1f}" if card else "–",
            "–" if percent is None else f"{percent:.1f} %",
            "–" if model.bytes is None else size_text(model.bytes),
            f"{speed.texts_per_second:,.0f}" if speed else "–",
            f"{speed.speedup:.1f}x" if speed and speed.speedup else "–",
        )
    return table


def time_text(seconds: float) -> str:
    """A span of time for people.

    Example:
        >>> time_text(8000)
        '2 h 13 min'
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
