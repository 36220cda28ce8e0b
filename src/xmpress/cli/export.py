"""``xmpress export``: from a model directory to a bundle that runs without torch."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from xmpress.cli.console import say, size_text
from xmpress.cli.extras import need
from xmpress.cli.options import OutDirectory, Overwrite


def export(
    model: Annotated[str, typer.Argument(help="A model directory.", show_default=False)],
    out_dir: OutDirectory,
    to: Annotated[Literal["onnx"], typer.Option(help="What the bundle runs on.")] = "onnx",
    name: Annotated[
        str | None,
        typer.Option(
            help="The model's name, kept in the bundle; the folder's by default.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[str, typer.Option(help="The model's version, kept in the bundle.")] = "1",
    overwrite: Overwrite = False,
) -> None:
    """Make a bundle of a model directory: one graph with one output per task.

    The graph is compared with the model, task by task, before anything is written.

    Example:
      xmpress export runs/student --to onnx -o runs/student-bundle
    """
    need("train", "xmpress export")
    from xmpress.cli.info import validation_summary
    from xmpress.export import export_bundle
    from xmpress.runtime.bundle import Bundle
    from xmpress.zoo import resolve

    source = resolve(model)
    path = export_bundle(
        source,
        out_dir,
        to=to,
        name=name,
        version=version,
        scorecard=validation_summary(source),
        overwrite=overwrite,
    )
    say(f"wrote {path} ({size_text(Bundle.open(path).size)})")
    say(f"next: xmpress analyze comments.csv -m {path}")
