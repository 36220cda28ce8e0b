"""``xmpress score``: large files and folders, in parts that survive an interruption."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from xmpress.cli.console import emit_json, progress, say, warn
from xmpress.cli.options import Encoding, Engine, Tasks, Threads, split_names
from xmpress.errors import DataError, Problem


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders or globs (CSV, TSV, JSONL, Parquet, XLSX).",
            show_default=False,
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", help="Folder to write.", show_default=False),
    ],
    model: Annotated[
        str,
        typer.Option(
            "-m", "--model", metavar="MODEL", help="A bundle's folder, or a name of the zoo."
        ),
    ] = "default",
    text: Annotated[str, typer.Option(metavar="COL", help="Column of the text.")] = "text",
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the language, for the counts; 'lang' if there is one.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of the question that the text answers; 'context' if there is one.",
            show_default=False,
        ),
    ] = None,
    tasks: Tasks = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of every label too.")
    ] = False,
    format_: Annotated[
        Literal["parquet", "jsonl", "csv"], typer.Option("--format", help="Of the parts.")
    ] = "parquet",
    rows_per_part: Annotated[
        int, typer.Option(min=1, help="Rows of an input that make a part.")
    ] = 16_384,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what DIR holds; begin if it holds nothing."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Score on a Ray cluster: its address, 'auto' for the one of this machine, or "
            "'local' for a new one here; --threads is then the CPUs of one actor.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Write the summary as JSON to standard output.")
    ] = False,
    encoding: Encoding = "utf-8",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Score files larger than memory into a folder of parts, which survives interruptions.

    Each part holds the input's columns unchanged and the predictions beside them. Rows that cannot
    be read go to DIR/rejected.jsonl with the reason, and the others go on. DIR/manifest.json has
    the counts and checksums. After an interruption of any kind, --resume goes on with the same
    result as if there had been none.

    Examples:
      xmpress score feedback.csv -o scored
      xmpress score lake/2026/*.parquet -o scored --text comment --resume
      xmpress score lake -o scored --ray ray://head:10001 --threads 4
    """
    from xmpress.scoring import ScoreSettings
    from xmpress.scoring import score as run

    names = split_names(tasks)
    settings = ScoreSettings(
        text=text,
        lang=lang,
        context=context,
        tasks=None if names is None else tuple(names),
        probabilities=probabilities,
        format=format_,
        rows_per_part=rows_per_part,
        encoding=encoding,
        engine=engine,
    )
    try:
        with _terminable(), progress("score") as advance:
            report = run(
                inputs,
                out_dir,
                model=model,
                settings=settings,
                resume=resume,
                threads=threads,
                ray=ray,
                on_rows=advance,
            )
    except KeyboardInterrupt:
        say(f"interrupted: the parts in {out_dir} are whole; go on with --resume")
        sys.exit(130)
    for usual, name in report.renamed.items():
        if not usual.endswith("_confidence"):
            warn(f"there is a column '{usual}' already; the prediction is named '{name}'")
    totals = report.totals
    if totals.rejected:
        warn(f"{totals.rejected:,} rows could not be scored, see {out_dir / 'rejected.jsonl'}")
    if json:
        emit_json(report.summary())
    else:
        blank = f", {totals.blank:,} of them without text" if totals.blank else ""
        say(f"wrote {totals.scored:,} rows{blank} to {len(report.parts):,} parts in {out_dir}")
    if report.unreadable:
        raise DataError(
            "all else is scored, but of some inputs the rest cannot be read",
            [Problem(file, why) for file, why in report.unreadable.items()],
        )


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work like Ctrl-C, in good order."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
