"""``xmpress export``: from a model directory to a bundle that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xmpress.cli.console import say, size_text
from xmpress.cli.extras import need
from xmpress.cli.options import OutDirectory, Overwrite


def export(
    model: Annotated[str, typer.Argument(help="A model directory.", show_default=False)],
    out_dir: OutDirectory,
    to: Annotated[
        Literal["onnx", "triton"],
        typer.Option(help="What it runs on: onnx, a bundle; triton, a repository of that server."),
    ] = "onnx",
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
    if to == "triton":
        _to_triton(source, out_dir, name=name, version=version, overwrite=overwrite)
        return
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


def _to_triton(
    source: Path, out_dir: Path, *, name: str | None, version: str, overwrite: bool
) -> None:
    """A repository of models for the Triton server: of a bundle, or of a model directory's."""
    from tempfile import TemporaryDirectory

    from xmpress.cli.info import validation_summary
    from xmpress.errors import UsageError
    from xmpress.export import export_bundle
    from xmpress.export.triton import export_triton
    from xmpress.runtime.bundle import MANIFEST

    with TemporaryDirectory(prefix="xmpress-") as scratch:
        bundle = source
        if not (source / MANIFEST).is_file():
            bundle = export_bundle(
                source,
                Path(scratch) / "bundle",
                name=name or source.name,
                version=version,
                scorecard=validation_summary(source),
            )
        elif name or version != "1":
            raise UsageError(f"{source} is a bundle, which keeps its name and version")
        path = export_triton(bundle, out_dir, overwrite=overwrite)
    say(f"wrote {path}: the models {', '.join(sorted(f.name for f in path.iterdir()))}")
    say(f"next: tritonserver --model-repository={path} (its Python needs 'pip install xmpress')")
