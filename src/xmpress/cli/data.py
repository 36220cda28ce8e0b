"""``xmpress data``: is labelled feedback fit to train on, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmpress.cli import help
from xmpress.cli.console import emit_json, fail, out, say
from xmpress.cli.options import Encoding, Json

if TYPE_CHECKING:
    from xmpress.data import Dataset
    from xmpress.data.checks import DataReport

app = typer.Typer(help="Check and describe labelled feedback.", no_args_is_help=True)

SHOWN = 5
"""Examples of each finding that are shown."""

Source = Annotated[
    str,
    typer.Argument(
        help="A file, a folder, a data config (.yaml), 'sample' or hf:owner/name.",
        show_default=False,
    ),
]
TaskSetOption = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        help="A task file, or a packaged task set; if left out, those of the data config, "
        "else experience.",
        show_default=False,
    ),
]
TextColumn = Annotated[str, typer.Option("--text", metavar="COL", help="Column of the text.")]
LangColumn = Annotated[str, typer.Option("--lang", metavar="COL", help="Column of the language.")]


def check(
    source: Source,
    tasks: TaskSetOption = None,
    text: TextColumn = "text",
    lang: LangColumn = "lang",
    near: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Also count texts as the same that share this part of their character 5-grams.",
            show_default=False,
        ),
    ] = None,
    encoding: Encoding = "utf-8",
    json: Json = False,
) -> None:
    """Find bad rows, duplicates, contradictions, and texts that stand in more than one split.

    The exit code is 1 if a row cannot be read, or if a text of the test or validation split is also
    in train: what is measured on such data cannot be believed.

    Examples:
      xmpress data check reviews.csv
      xmpress data check studies/data/public.yaml --json
    """
    from xmpress.cli.datasets import load
    from xmpress.data.checks import check as run

    dataset = load(source, tasks, encoding=encoding, text=text, lang=lang)
    report = run(dataset, near=near)
    if json:
        emit_json(report.to_dict())
    else:
        _show_report(dataset, report)
    if not report.clean:
        fail(f"{len(report.leaks):,} texts are in more than one split; take them out of one")
        raise typer.Exit(1)


def stats(
    source: Source,
    tasks: TaskSetOption = None,
    text: TextColumn = "text",
    lang: LangColumn = "lang",
    encoding: Encoding = "utf-8",
    json: Json = False,
) -> None:
    """Count rows and labels by language, split and task.

    Example:
      xmpress data stats sample
    """
    from xmpress.cli.datasets import load
    from xmpress.data.stats import summarise

    summary = summarise(load(source, tasks, encoding=encoding, text=text, lang=lang))
    if json:
        emit_json(summary)
    else:
        _show_stats(summary)


def _show_report(dataset: Dataset, report: DataReport) -> None:
    from rich.table import Table

    numbers = report.to_dict()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("rows", f"{numbers['rows']:,}")
    table.add_row(
        "duplicates",
        f"{numbers['duplicate_rows']:,} rows have the text of an earlier row",
    )
    for task, count in numbers["conflicts"].items():
        if count:
            table.add_row("contradictions", f"{count:,} texts have two opinions on {task}")
    for where, count in numbers["leaks"].items():
        table.add_row("leakage", f"{where}: {count:,} texts", style="red" if count else "")
    table.add_row("without label", f"{numbers['unlabelled_rows']:,} rows")
    table.add_row("without language", f"{numbers['rows_without_language']:,} rows")
    for task, labels in numbers["labels_without_train_rows"].items():
        if labels:
            table.add_row("never seen", f"{task}: {', '.join(labels)} has no train row")
    out.print(table)
    for leak in report.leaks[:SHOWN]:
        here, there = (
            ", ".join(dataset.ids[row] for row in rows[:3]) for rows in (leak.rows, leak.other_rows)
        )
        say(f"  {leak.split} {here} = {leak.other} {there}")
    if len(report.leaks) > SHOWN:
        say(f"  and {len(report.leaks) - SHOWN:,} more")


def _show_stats(summary: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from xmpress.cli.palette import label_text, listed

    lengths = summary["characters"]
    say(
        f"{summary['rows']:,} rows of "
        f"{', '.join(f'{name} {count:,}' for name, count in summary['splits'].items())}; "
        f"characters: median {lengths['median']}, 95 % up to {lengths['p95']}, "
        f"longest {lengths['max']:,}"
    )
    tasks = summary["tasks"]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("lang")
    table.add_column("rows", justify="right")
    for name in tasks:
        table.add_column(name, justify="right")
    for lang, rows in summary["languages"].items():
        counts = [sum(task["languages"].get(lang, {}).values()) for task in tasks.values()]
        table.add_row(lang, f"{rows:,}", *(f"{count:,}" for count in counts))
    out.print(table)
    for name, task in tasks.items():
        shares = [
            label_text(label).append(" –" if values["share"] is None else f" {values['share']:.1%}")
            for label, values in task["labels"].items()
        ]
        out.print()
        out.print(Text.assemble((f"{name}  ", "bold"), listed(shares)))


help.add(app, "check", check)
help.add(app, "stats", stats)
