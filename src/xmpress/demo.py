"""The whole way on the bundled sample, in minutes: train, compress, compare, analyse, study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmpress.benchmark import Throughput, compare_throughput
from xmpress.compression import CompressionResult, Recipe, compress
from xmpress.data import TableWriter, load_dataset, read_table
from xmpress.evaluation import Comparison
from xmpress.modeling import load_model
from xmpress.resources import shipped
from xmpress.runtime.analyzer import Analyzer
from xmpress.study import StudyRun, run_study
from xmpress.training import TrainConfig, TrainResult, train

TRAINING: dict[str, Any] = {
    "data": "sample",
    "tasks": "experience",
    "encoder": {
        "model_type": "bert",
        "num_hidden_layers": 3,
        "hidden_size": 128,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    },
    "vocab_size": 8_000,
    "max_length": 64,
    "fit": {
        "epochs": 8,
        "batch_tokens": 1_024,
        "learning_rate": 5e-4,
        "temperature": 1,
        "seed": 1,
    },
}
"""A small encoder with random weights: enough to show the way, far from a good model."""

RECIPE: dict[str, Any] = {
    "name": "demo",
    "data": "sample",
    "student": {"layers": 1, "init": "teacher-layers"},
    "passes": [
        {
            "distill": {
                "objective": "logits",
                "temperature": 2.0,
                "alpha": 0.3,
                "epochs": 6,
                "batch_tokens": 1_024,
                "learning_rate": 1e-3,
                "sampling": 1,
            }
        },
        {"quantize": {"mode": "int8-dynamic"}},
    ],
    "guard": {"average": 10.0, "on_violation": "report"},
    "seed": 1,
}
"""One layer instead of three, then int8."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and found.

    Attributes:
        teacher: the training's result.
        student: the compression's result.
        comparison: student against teacher, by task and language, on the sample's test split.
        speed: teacher (torch, fp32) and student (bundle, int8) on the same texts.
        feedback: the file that was analysed.
        scored: the same with predictions.
        study: the study that ships as ``quick``: more models, and a report on them.
    """

    teacher: TrainResult
    student: CompressionResult
    comparison: Comparison
    speed: list[Throughput]
    feedback: Path
    scored: Path
    study: StudyRun


def run(
    out: str | Path, *, say: Callable[[str], None] = lambda line: None, quiet: bool = False
) -> DemoResult:
    """Train a small teacher, compress it, compare both, analyse a file, and run the quick study.

    Args:
        out: folder for everything that is made; what an earlier demo made there is replaced.
        say: told what is going on, a line at a time.
        quiet: no progress bars.
    """
    out = Path(out)
    say("1/5  training a multi-task teacher on the bundled sample (12 languages, 5 tasks)")
    teacher = train(
        TrainConfig.model_validate(TRAINING), out / "teacher", overwrite=True, quiet=quiet
    )
    say("2/5  compressing it: a one-layer student learns its answers, then int8")
    student = compress(
        Recipe.model_validate(RECIPE),
        model=teacher.path,
        out=out / "student",
        say=say,
        quiet=quiet,
    )
    say("3/5  measuring both on the texts of the test split, in turns")
    test = load_dataset("sample", TrainConfig.model_validate(TRAINING).task_set(), split="test")
    analyzer = Analyzer(student.bundle)
    speed = compare_throughput(
        [load_model(teacher.path), analyzer], test.texts, contexts=test.contexts
    )
    say("4/5  analysing a file of feedback")
    feedback = shipped("examples") / "feedback.csv"
    scored = out / "feedback.scored.csv"
    with TableWriter(scored) as writer:
        writer.write(analyzer.analyze_table(read_table(feedback)))
    say("5/5  a study: one task or all, what compression costs, languages left out, and a report")
    study = run_study("quick", out / "study", resume=True, say=say, quiet=quiet)
    if student.comparison is None:  # the recipe names data, so there is one
        raise RuntimeError("the demo's recipe was not judged")
    return DemoResult(teacher, student, student.comparison, speed, feedback, scored, study)
