"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        envvar="XMPRESS_THREADS",
        min=1,
        help="CPU threads; by default one per core.",
        show_default=False,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        envvar="XMPRESS_ENGINE",
        metavar="ENGINE",
        help="What runs a bundle: onnx, openvino or torch; auto takes the fastest here "
        "(xmpress doctor -m MODEL).",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting, such as fit.steps=500; may be repeated.",
        show_default=False,
    ),
]
Encoding = Annotated[str, typer.Option("--encoding", help="Encoding of CSV, TSV and JSONL files.")]
OutDirectory = Annotated[
    Path, typer.Option("-o", "--out", metavar="DIR", help="Folder to write.", show_default=False)
]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="TASK,...",
        help="Only these tasks, separated by commas.",
        show_default=False,
    ),
]


def split_names(names: str | None) -> list[str] | None:
    """The names in ``a,b,c``."""
    if names is None:
        return None
    return [name.strip() for name in names.split(",") if name.strip()]
