"""``xmpress compress``: a recipe makes a model cheap, and reports what that cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmpress.cli.console import emit_json, out, say, size_text
from xmpress.cli.extras import need
from xmpress.cli.options import Json, OutDirectory, Sets

if TYPE_CHECKING:
    from rich.table import Table


def compress(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file (.yaml), or the name of one (xmpress recipe list).",
            show_default=False,
        ),
    ],
    out_dir: OutDirectory,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="MODEL",
            help="The model directory or bundle to compress; the recipe's teacher by default.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="What to distil from and to judge on; the recipe's data by default.",
            show_default=False,
        ),
    ] = None,
    sets: Sets = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the teacher's scores, to share them between runs.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    json: Json = False,
) -> None:
    """Compress a model as a recipe says, and show what each pass cost.

    Run again on the same folder, passes whose inputs did not change are skipped. If a limit of the
    recipe's guard is broken there is no bundle and the exit code is 3.

    Examples:
      xmpress compress distill-int8 --model runs/teacher --data reviews.csv -o runs/student
      xmpress compress mine.yaml --set passes.distill.epochs=5 -o runs/student
    """
    need("train", "xmpress compress")
    from xmpress.compression.pipeline import compress as run
    from xmpress.evaluation.render import to_table

    result = run(
        recipe,
        out=out_dir,
        model=model,
        overrides=[*(sets or ()), *([f"data={data}"] if data else [])],
        cache=cache,
        say=say,
        quiet=quiet,
    )
    if json:
        emit_json(result.report)
        return
    if result.comparison is not None:
        out.print(to_table(result.comparison))
        out.print()
    out.print(_passes(result.report["passes"]))
    say(f"wrote {result.bundle}; the whole report is {out_dir / 'report.json'}")
    say(f"next: xmpress analyze comments.csv -m {result.bundle}")


def _passes(entries: list[dict[str, Any]]) -> Table:
    """What each pass changed, one line each."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("pass")
    for title in ("seconds", "size", "macro-F1", "degradation", "guard"):
        table.add_column(title, justify="right")
    for entry in entries:
        table.add_row(
            entry["pass"],
            "skipped" if entry["skipped"] else f"{entry['seconds']:.0f}",
            " → ".join(size_text(entry["bytes"][when]) for when in ("before", "after")),
            *_quality(entry),
            entry.get("guard", {}).get("verdict", "–"),
        )
    return table


def _quality(entry: dict[str, Any]) -> tuple[str, str]:
    if "scorecard" not in entry:
        return "–", "–"
    card, average = entry["scorecard"], entry["comparison"]["average"]
    change = " → ".join(f"{100 * card[when]['average']:.1f}" for when in ("before", "after"))
    if average["percent"] is None:
        return change, "–"
    return change, f"{average['percent']:.1f} % ({average['low']:.1f} to {average['high']:.1f})"
