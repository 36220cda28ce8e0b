"""``xmpress demo``: the whole way on bundled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.analyze import analyze
from xmpress.cli.console import out, say, size_text
from xmpress.cli.extras import need


def demo(
    out_dir: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for what is made.")
    ] = Path("xmpress-demo"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Train, compress and use a small model on bundled data, in a few minutes.

    The data is the bundled sample: feedback in 12 languages, labelled for five tasks. The model
    starts from random weights and is small, so that it trains here and now; it shows the way, not
    how good a model can be.

    Example:
      xmpress demo -o xmpress-demo
    """
    need("train", "xmpress demo")
    from xmpress.compression.passes import Artefact
    from xmpress.demo import run
    from xmpress.evaluation.render import to_table

    result = run(out_dir, say=say, quiet=quiet)
    reference, student = result.speed
    teacher_bytes = Artefact(result.teacher.path).bytes
    student_bytes = Artefact(result.student.bundle).bytes

    out.rule("the teacher on the test split")
    out.print(to_table(result.comparison.reference))
    out.rule("the compressed student on the test split")
    out.print(to_table(result.comparison.candidate))
    out.rule("what compression cost")
    out.print(to_table(result.comparison))
    out.rule("what it gained")
    out.print(
        f"throughput  {reference.texts_per_second:,.0f} -> {student.texts_per_second:,.0f} texts/s,"
        f" {student.speedup:.1f}x (between {student.low:.1f}x and {student.high:.1f}x)\n"
        f"size        {size_text(teacher_bytes)} -> {size_text(student_bytes)}"
    )
    out.rule(str(result.feedback.name))
    analyze([str(result.feedback)], model=str(result.student.bundle), rows=12)
    out.rule("what is where")
    out.print(
        f"{result.teacher.path}  the teacher (a Hugging Face directory)\n"
        f"{result.student.bundle}  the student (a bundle: no torch needed)\n"
        f"{out_dir / 'student' / 'report.json'}  what each pass cost, by task and language\n"
        f"{result.scored}  the feedback with predictions\n\n"
        "Try next:\n"
        f'  echo "Trop d\'attente au guichet." | xmpress analyze - -m {result.student.bundle}\n'
        f"  xmpress analyze your.csv -m {result.student.bundle} -o scored.csv\n"
        f"  xmpress info {result.student.bundle}\n"
        "  xmpress train --data your-labels.csv --encoder xlm-roberta-base -o runs/teacher"
    )
