"""Measures the student against the goals for speed and writes the page.

    python studies/speed/report.py [RUN] > results/speed.md

RUN is what ``xmpress compress`` made, with ``bundle`` and ``model`` in it; runs/zoo/student by
default. Takes about 20 minutes on two cores, most of it XLM-R-base; on a machine that does nothing
else. ``--rows 64 --rounds 1`` shows in two minutes that everything works, and nothing more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from xmpress.benchmark import Report, Settings, benchmark, texts_of
from xmpress.benchmark.render import to_markdown
from xmpress.benchmark.report import Measured
from xmpress.machine import this_machine
from xmpress.peers.collect import ALL, Wishes, collect

BASELINE = "xlm-roberta-base"
GOALS = {
    f"{BASELINE}, pipeline": (100.0, "XLM-R-base in fp32 as people run it: transformers' pipeline, "
                                     "batch 32, padded in input order"),
    f"{BASELINE}, torch fp32": (40.0, "XLM-R-base in fp32 in our batches of like length"),
}  # fmt: skip


def goals(report: Report, student: Measured) -> str:
    """The goals as a table: what was wanted, what was reached."""
    lines = ["| goal | reached | met |", "| --- | --- | --- |"]
    for other in report.candidates:
        if other.name in GOALS:
            wanted, what = GOALS[other.name]
        elif other.candidate.group == "peer":
            wanted, what = 1.0, f"the same student in {other.name.rpartition(' in ')[2]}"
        else:
            continue
        ratio = student.speedup(other)
        met = "yes" if ratio.low >= wanted else "median only" if ratio.median >= wanted else "no"
        lines.append(
            f"| {wanted:g} times {what} | {ratio.median:.3g}x [{ratio.low:.3g}, {ratio.high:.3g}] "
            f"| {met} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="runs/zoo/student", type=Path)
    parser.add_argument("--texts", default="sample")
    parser.add_argument("--rows", default=1000, type=int)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--threads", default=this_machine().threads, type=int)
    options = parser.parse_args()
    models = [str(options.run / part) for part in ("bundle", "model")]
    with tempfile.TemporaryDirectory() as workspace:
        found = collect(Wishes(models, baselines=[BASELINE], peers=[ALL]), Path(workspace))
        report = benchmark(
            found.candidates,
            texts_of(options.texts, rows=options.rows),
            Settings(threads=options.threads, rounds=options.rounds, policies=("all at once",)),
            say=lambda line: print(line, file=sys.stderr),
        )
    report.failures.extend(found.failures)
    student = next(c for c in report.candidates if c.candidate.kind == "bundle")
    command = " ".join(["python", "studies/speed/report.py", *sys.argv[1:]])
    print(
        f"# Speed\n\nMade by `{command} > results/speed.md`. The student is {student.name}.\n\n"
        f"{goals(report, student)}\n\n{to_markdown(report)}",
        end="",
    )


if __name__ == "__main__":
    main()
