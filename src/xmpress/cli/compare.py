"""``xmpress compare``: two studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.console import emit_json, out, say
from xmpress.cli.options import Json


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="DIR", help="The study before.", show_default=False)
    ],
    second: Annotated[
        Path, typer.Argument(metavar="DIR2", help="The study after.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Write Markdown to a file.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Put two studies side by side: models of the same name, and the settings that differ.

    Shows the change of macro-F1 by task and language, of degradation, speedup and size.

    Examples:
      xmpress compare runs/study-before runs/study-after
      xmpress compare runs/study-before runs/study-after -o change.md
    """
    from xmpress.data.files import atomic_path
    from xmpress.study import compare as sides

    found = sides.compare(first, second)
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(sides.to_markdown(found), encoding="utf-8")
        say(f"wrote {output}")
    if json:
        emit_json(found.to_dict())
    elif output is None:
        out.print(found.caution, markup=False)
        out.print()
        for grid in sides.grids(found):
            out.print(grid.to_table())
        for name, only in zip(found.names, found.only, strict=True):
            if only:
                out.print(f"only in {name}: {', '.join(only)}", markup=False)
