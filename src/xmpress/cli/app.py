"""The command ``xmpress``: its verbs, and how errors reach a person."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from xmpress import __version__
from xmpress.cli import (
    analyze,
    benchmark,
    compare,
    compress,
    data,
    demo,
    doctor,
    evaluate,
    export,
    help,
    info,
    pretrain,
    recipe,
    report,
    score,
    serve,
    study,
    train,
)
from xmpress.cli.console import emit, fail
from xmpress.errors import XmpressError

app = typer.Typer(
    name="xmpress",
    help="One cross-lingual, multi-task classifier for open feedback: "
    "train it, compress it, prove what that cost, and use it without torch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

USE, MAKE, LOOK = "Use a model", "Make a model", "Look and check"
help.add(app, "analyze", analyze.analyze, USE)
help.add(app, "score", score.score, USE)
help.add(app, "serve", serve.serve, USE)
help.add(app, "train", train.train, MAKE)
help.add(app, "pretrain", pretrain.pretrain, MAKE)
help.add(app, "compress", compress.compress, MAKE)
help.add(app, "export", export.export, MAKE)
help.add(app, "study", study.study, MAKE)
help.add(app, "demo", demo.demo, MAKE)
help.add(app, "evaluate", evaluate.evaluate, LOOK)
help.add(app, "benchmark", benchmark.benchmark, LOOK)
help.add(app, "report", report.report, LOOK)
help.add(app, "compare", compare.compare, LOOK)
help.add(app, "info", info.info, LOOK)
help.add(app, "doctor", doctor.doctor, LOOK)
app.add_typer(data.app, name="data", rich_help_panel=LOOK)
app.add_typer(recipe.app, name="recipe", rich_help_panel=LOOK)


def _version(wanted: bool) -> None:
    if wanted:
        emit(f"xmpress {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error; may stand anywhere."),
    ] = False,
) -> None:
    """Options of all verbs; `main` takes care of --debug."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 ok, 1 error, 2 wrong usage, 3 a guard failed.

    Args:
        arguments: by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # People add --debug to the end of the line that failed, where it belongs to no verb.
    debug = "--debug" in words
    try:
        app(args=[word for word in words if word != "--debug"], prog_name="xmpress")
    except XmpressError as error:
        _give_up(str(error), error.exit_code, debug=debug)
    except OSError as error:
        # What the machine refuses: a full disk, a forbidden folder.
        place = f": {error.filename}" if error.filename else ""
        _give_up(f"{error.strerror or error}{place}", 1, debug=debug)
    sys.exit(0)


def _give_up(message: str, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    fail(message)
    sys.exit(code)
