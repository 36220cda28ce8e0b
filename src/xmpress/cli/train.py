"""``xmpress train``: labelled feedback in, a multi-task model directory out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.console import emit_json, out, say
from xmpress.cli.extras import need
from xmpress.cli.options import Json, OutDirectory, Overwrite, Sets
from xmpress.errors import UsageError


def train(
    out_dir: OutDirectory,
    config: Annotated[
        Path | None,
        typer.Argument(help="A training config (YAML).", metavar="[CONFIG]", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A file, a folder, a data config (.yaml), 'sample' or hf:owner/name.",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="A task file, or a packaged task set; if left out, those of the data config, "
            "else experience.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="A hub name, a folder, a zoo name, or a configuration for random weights.",
            show_default=False,
        ),
    ] = None,
    sets: Sets = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where an interrupted training stopped.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    json: Json = False,
) -> None:
    """Train one model for several tasks in many languages.

    Rows may be labelled for some of the tasks only. A training that was interrupted goes on with
    --resume, to the same result.

    Examples:
      xmpress train --data reviews.csv --encoder xlm-roberta-base -o runs/teacher
      xmpress train teacher.yaml --set fit.learning_rate=1e-4 -o runs/teacher
      xmpress train teacher.yaml --set only_tasks='[sentiment]' -o runs/sentiment
    """
    if config is None and (data is None or encoder is None):
        raise UsageError("give a training config (CONFIG), or both --data and --encoder")
    need("train", "xmpress train")
    from xmpress.evaluation.render import to_table
    from xmpress.training.config import TrainConfig
    from xmpress.training.train import train as run

    settings = TrainConfig.load(config, sets or (), data=data, tasks=tasks, encoder=encoder)
    try:
        result = run(settings, out_dir, resume=resume, overwrite=overwrite, quiet=quiet)
    except KeyboardInterrupt:
        say("interrupted; go on with the same command and --resume")
        raise
    if json:
        emit_json(
            {
                "path": str(result.path),
                "steps": result.steps,
                "best_step": result.best_step,
                "validation": result.scorecard.to_dict(),
            }
        )
        return
    out.print(to_table(result.scorecard))
    say(f"wrote {result.path} (weights of step {result.best_step} of {result.steps})")
    say(f"next: xmpress export {result.path} --to onnx -o {result.path}-bundle")
