"""``xmpress demo``: the whole way on bundled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmpress.cli.console import out, say, size_text
from xmpress.cli.extras import need

if TYPE_CHECKING:
    from rich.table import Table

    from xmpress.demo import DemoResult

ROWS = 12
"""Rows of the analysed file that are shown."""


def demo(
    out_dir: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for everything it makes.")
    ] = Path("xmpress-demo"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Train a small model on bundled data, compress it, show what that cost, use it, and report.

    It takes a few minutes on two cores, and ends with the study that ships as `quick` and its
    report. The models are too small for real work; the way is the same.

    Example:
      xmpress demo -o xmpress-demo
    """
    need("train", "xmpress demo")
    from xmpress.cli.study import models_table
    from xmpress.demo import run
    from xmpress.evaluation.render import to_table

    result = run(out_dir, say=say, quiet=quiet)
    comparison = result.comparison
    for part in (comparison.reference, comparison.candidate, comparison):
        out.print(to_table(part))
        out.print()
    out.print(_models(result))
    out.print()
    _show_feedback(result)
    out.print()
    out.print(models_table(result.study.results))
    out.print()
    out.print(_next(result, out_dir), soft_wrap=True, markup=False)
    result.study.check()


def _models(result: DemoResult) -> Table:
    """Quality, size and speed of both, side by side."""
    from rich.table import Table

    teacher, student = result.speed
    cards = (result.comparison.reference, result.comparison.candidate)
    sizes = (
        (result.teacher.path / "model.safetensors").stat().st_size,
        (result.student.bundle / "onnx" / "model.onnx").stat().st_size,
    )
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for title in ("macro-F1", "model file", "texts/s", "speedup"):
        table.add_column(title, justify="right")
    for title, card, size, speed in (
        ("teacher (torch, fp32)", cards[0], sizes[0], teacher),
        ("student (bundle, int8)", cards[1], sizes[1], student),
    ):
        table.add_row(
            title,
            f"{100 * card.average:.1f}",
            size_text(size),
            f"{speed.texts_per_second:,.0f}",
            f"{speed.speedup:.1f}x ({speed.low:.1f} to {speed.high:.1f})",
        )
    return table


def _show_feedback(result: DemoResult) -> None:
    """The analysed file, one comment per language, and its summary."""
    from xmpress.cli.preview import Preview
    from xmpress.cli.summary import Summary
    from xmpress.data.readers import column, read_table
    from xmpress.zoo import load

    analyzer = load(result.student.bundle)
    table = read_table(result.feedback)
    texts, langs = column(table, "text"), column(table, "lang")
    analyses = analyzer.analyze(texts)
    predictions = {
        task.name: [
            list(a[task.name].labels) if task.multi else a[task.name].label for a in analyses
        ]
        for task in analyzer.tasks
    }
    first = [langs.index(lang) for lang in dict.fromkeys(langs)][:ROWS]
    preview = Preview(analyzer.tasks, ROWS)
    preview.add(
        [texts[row] for row in first],
        [langs[row] for row in first],
        {name: [values[row] for row in first] for name, values in predictions.items()},
    )
    out.print(preview.table(out.width))
    out.print()
    summary = Summary(analyzer.tasks)
    summary.add(predictions, None)
    out.print(summary)


def _next(result: DemoResult, out_dir: Path) -> str:
    return "\n".join(
        [
            f"Everything is in {out_dir}:",
            f"  {result.teacher.path}  the teacher, a model directory",
            f"  {result.student.bundle}  the student's bundle; runs without torch",
            f"  {out_dir / 'student' / 'report.json'}  what each pass cost",
            f"  {result.scored}  {result.feedback.name} with predictions",
            f"  {result.study.report}  the report of the quick study",
            "Next:",
            f"  xmpress analyze YOUR.csv -m {result.student.bundle}",
            f"  xmpress info {result.student.bundle}",
            "  xmpress recipe list",
            "  xmpress study quick -o runs/quick",
            "  xmpress train --data YOUR-LABELS.csv --encoder xlm-roberta-base -o runs/teacher",
        ]
    )
