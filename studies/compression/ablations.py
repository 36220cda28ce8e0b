"""Does each distillation objective help? With it and without it, at equal steps and seeds.

    python studies/compression/ablations.py

A student of two of the teacher's six layers, on short texts. ``logits`` is compared with the
labels alone. Each objective that knows no tasks gets the first steps, then the scores of the
teacher the rest; without it the scores get all of them. What is done lies in
runs/compression/ablations and is not done again; the table goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from rows import TASKS, prepare

from xmpress.compression import Artefact, Context
from xmpress.compression.distillation import Distill, DistillParams
from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.compression.recipe import StudentSpec
from xmpress.data import Dataset, load_dataset
from xmpress.data.files import atomic_dir, atomic_path
from xmpress.evaluation import score
from xmpress.runtime.tokenization import Tokenizer

STUDENT = StudentSpec(layers=2)
SHORT = 24
"""Tokens of the longest text."""
FIRST, SECOND = 80, 120
"""Steps of the objective that knows no tasks, and of the scores after it."""
SHARED: dict[str, Any] = {
    "batch_tokens": 1024,
    "evaluate_every": 1_000_000,
    "checkpoint_every": 1_000_000,
}
ENCODER: dict[str, Any] = {"learning_rate": 2e-4}
HEADS: dict[str, Any] = {"learning_rate": 3e-4}
STATES = ("relations", "attention", "hidden", "mlm")
T95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}
"""Student's t by the number of seeds: two-sided, 95 %."""

Stage = dict[str, Any]


def variants(scale: float) -> dict[str, list[Stage]]:
    """The stages of each student, by name."""
    first, second = (max(1, round(steps * scale)) for steps in (FIRST, SECOND))
    whole = first + second
    return {
        "labels": [{"objective": "logits", "alpha": 1.0, "steps": whole, **HEADS}],
        "logits": [{"objective": "logits", "steps": whole, **HEADS}],
        **{
            name: [
                {"objective": name, "steps": first, **ENCODER},
                {"objective": "logits", "steps": second, **HEADS},
            ]
            for name in STATES
        },
    }


PAIRS = [("logits", "labels"), *((name, "logits") for name in STATES)]
"""With an objective, and without it."""


def short(rows: Dataset, tokenizer: Tokenizer) -> Dataset:
    """The rows whose texts are short."""
    return rows.take(tokenizer.encode(rows.texts, rows.contexts).lengths <= SHORT)


def student(name: str, stages: list[Stage], seed: int, out: Path, rows: Dataset) -> Path:
    """Train a student, unless it is there; its directory."""
    teacher = Artefact(out / "teacher")
    work = out / "ablations" / f"{name}-{seed}.work"
    target = out / "ablations" / f"{name}-{seed}"
    if target.is_dir():
        return target
    artefact, spec = teacher, STUDENT
    for number, stage in enumerate(stages):
        place = work / str(number)
        if not place.is_dir():
            workspace = work / f"{number}.work"
            workspace.mkdir(parents=True, exist_ok=True)
            context = Context(
                name=name,
                artefact=artefact,
                teacher=teacher,
                student=spec if number == 0 else None,
                data_name="data",
                dataset=lambda: rows,
                sample=lambda n, training, even: rows.take(slice(0, n)),
                seed=seed,
                cache=out / "cache",
                workspace=workspace,
                say=lambda line: None,
                quiet=True,
            )
            with atomic_dir(place) as temporary:
                Distill(DistillParams(**SHARED, **stage)).run(context, temporary)
        artefact = Artefact(place)
    artefact.path.rename(target)
    shutil.rmtree(work)
    return target


def quality(model: Path, rows: Dataset, cache: Path) -> dict[str, float]:
    """Macro-F1 x 100 by task, and their mean."""
    artefact = Artefact(model)
    logits = cached_logits(artefact, rows.texts, rows.contexts, cache)
    card = score(model.name, logits, rows, tasks_of(artefact)[1])
    return {name: 100 * value for name, value in card.summary.items()}


def verdict(differences: list[float]) -> tuple[float, float, str]:
    """The mean difference, half of its 95 % interval by Student's t, and what it says."""
    mean = float(np.mean(differences))
    if len(differences) not in T95:
        return mean, float("nan"), "too few seeds"
    half = float(T95[len(differences)] * np.std(differences, ddof=1) / np.sqrt(len(differences)))
    if abs(mean) <= half:
        return mean, half, "no difference shown"
    return mean, half, "helps" if mean > 0 else "hurts"


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Every objective with and without, as Markdown.

    Args:
        found: per student, per seed, per task the metric.
    """
    lines = [
        "| objective | with | without | difference, 95 % | verdict | by task |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for name, other in PAIRS:
        seeds = sorted(found[name].keys() & found[other].keys())
        sides = [[found[side][seed]["average"] for seed in seeds] for side in (name, other)]
        mean, half, said = verdict([a - b for a, b in zip(*sides, strict=True)])
        by_task = ", ".join(
            f"{task} {np.mean([found[name][s][task] - found[other][s][task] for s in seeds]):+.1f}"
            for task in TASKS.names
        )
        one = len(seeds) == 1  # a spread of one is none
        means = " | ".join(
            f"{np.mean(side):.1f}" + ("" if one else f" ± {np.std(side):.1f}") for side in sides
        )
        known = "" if np.isnan(half) else f" ± {half:.1f}"
        lines.append(f"| {name} | {means} | {mean:+.1f}{known} | {said} | {by_task} |")
    return "\n".join(lines)


def described(content: dict[str, Any]) -> str:
    """What ``ablations.json`` holds, as Markdown: how it was made, and the table."""
    rows, steps = content["rows"], content["steps"]
    first, second = steps[STATES[0]]
    return (
        f"Two of the teacher's six layers, texts of at most {SHORT} tokens ({rows['train']:,} to "
        f"train, {rows['test']:,} to test), {steps['logits'][0]} steps: `logits` against labels "
        f"alone; the others for {first} steps and then the scores for {second}, against the scores "
        f"for all. Macro-F1 x 100, mean over tasks, ± the standard deviation over "
        f"{len(content['scores']['logits'])} seeds; the difference by seed, with the 95 % interval "
        f"of Student's t.\n\n{table(content['scores'])}"
    )


def main() -> None:
    """Train what is missing, score it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=Path("runs/compression"), type=Path)
    parser.add_argument("--data", default="studies/data/zoo.yaml")
    parser.add_argument("--teacher", default=Path("runs/zoo/teacher"), type=Path)
    parser.add_argument("--seeds", default=3, type=int)
    parser.add_argument("--scale", default=1.0, type=float, help="of the numbers of steps")
    options = parser.parse_args()
    out: Path = options.out
    prepare(out, options.data, options.teacher)
    for folder in (out / "cache", out / "ablations"):
        folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer.from_file(out / "teacher" / "tokenizer.json", max_length=64)
    rows = short(load_dataset(out / "data.yaml", TASKS), tokenizer)
    test = rows.where(split="test", tasks=TASKS.names)
    planned = variants(options.scale)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in planned}
    for seed in range(options.seeds):
        for name, stages in planned.items():
            model = student(name, stages, seed, out, rows)
            found[name][str(seed)] = quality(model, test, out / "cache")
            print(f"{name}, seed {seed}: {found[name][str(seed)]['average']:.1f}", file=sys.stderr)
        # A seed is told of once all students have it.
        content = {
            "scores": found,
            "rows": {part: len(rows.where(split=part)) for part in ("train", "test")},
            "steps": {n: [stage["steps"] for stage in stages] for n, stages in planned.items()},
        }
        with atomic_path(out / "ablations.json") as place:
            place.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(described(content))


if __name__ == "__main__":
    main()
