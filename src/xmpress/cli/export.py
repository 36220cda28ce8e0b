"""``xmpress export``: from a model directory to a bundle that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.console import say, size_text
from xmpress.cli.extras import need
from xmpress.cli.options import OutDirectory, Overwrite, split_names


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="A model directory; with --to openvino or triton also a bundle.",
            show_default=False,
        ),
    ],
    out_dir: OutDirectory,
    to: Annotated[
        str,
        typer.Option(
            metavar="ENGINE,...",
            help="What the bundle runs on: onnx, openvino, torch (for GPUs); or several, of which "
            "the fastest is taken where it runs. Or triton: a model repository for that server.",
        ),
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

    The graph is compared with the model, task by task, before anything is written. Of a bundle,
    quantized or not, --to openvino makes one that OpenVINO runs too.

    Examples:
      xmpress export runs/student --to onnx -o runs/student-bundle
      xmpress export runs/student --to onnx,openvino -o runs/student-bundle
      xmpress export runs/student-int8 --to openvino -o runs/student-int8-both
      xmpress export runs/student-int8 --to triton -o models
    """
    need("train", "xmpress export")
    from xmpress.cli.info import validation_summary
    from xmpress.errors import UsageError
    from xmpress.export import add_openvino, export_bundle
    from xmpress.runtime.bundle import MANIFEST, Bundle
    from xmpress.zoo import resolve

    source = resolve(model)
    if to == "triton":
        _to_triton(source, out_dir, name=name, version=version, overwrite=overwrite)
        return
    engines = split_names(to) or []
    if (source / MANIFEST).is_file():
        if engines != ["openvino"] or name or version != "1":
            raise UsageError(
                f"{source} is a bundle, which keeps its name and version: --to openvino alone adds "
                "to it; anything else is exported from a model directory"
            )
        path = add_openvino(source, out_dir, overwrite=overwrite)
    else:
        path = export_bundle(
            source,
            out_dir,
            to=engines,
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
