"""Scores the models of the skeleton study and writes its tables.

    python studies/skeleton/report.py > results/skeleton.md

Expects what the commands in the written page made under runs/. Logits are kept in runs/scores/, so
that a run that was interrupted goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from xmpress.benchmark import compare_throughput
from xmpress.data import Dataset, load_dataset
from xmpress.evaluation import Scorecard, compare, score
from xmpress.evaluation.render import to_markdown
from xmpress.machine import this_machine
from xmpress.modeling import load_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.tasks import TaskSet
from xmpress.training.baselines import fit_baseline
from xmpress.training.train import spread

RUNS = Path("runs")
PUBLIC_ROWS = 8_000
"""Public test rows to score, drawn evenly over languages and tasks; gold is scored whole."""
MODELS = {
    "teacher": ("teacher", load_model),
    "student, fp32": ("student/model", load_model),
    "student, int8 bundle": ("student/bundle", Analyzer),
    "multi-task, short": ("short-multi", load_model),
    "sentiment only, short": ("short-sentiment", load_model),
    "emotion only, short": ("short-emotion", load_model),
}


def scored(name: str, predictor: Any, part: str, rows: Dataset) -> dict[str, np.ndarray]:
    """Logits of all rows, computed once."""
    place = RUNS / "scores" / f"{name.replace('/', '-')}-{part}.npz"
    if not place.is_file():
        place.parent.mkdir(exist_ok=True)
        np.savez(place, **predictor.logits(rows.texts, rows.contexts))
    return dict(np.load(place))


def main() -> None:
    tasks = TaskSet.load("experience")
    whole = load_dataset("studies/data/public.yaml", tasks)
    test = whole.where(split="test", tasks=tasks.names)
    gold = test.where(sources=["gold"])
    others = sorted(set(test.sources) - {"gold"})
    public = spread(test.where(sources=others), PUBLIC_ROWS, seed=0)
    parts = {"gold": gold, "public": public}

    predictors: dict[str, Any] = {
        name: opener(RUNS / path)
        for name, (path, opener) in MODELS.items()
        if (RUNS / path).is_dir()
    }
    for kind in ("majority", "tfidf"):
        predictors[kind] = fit_baseline(kind, whole, max_rows=60_000)
    logits = {
        (name, part): scored(MODELS[name][0] if name in MODELS else name, predictor, part, rows)
        for name, predictor in predictors.items()
        for part, rows in parts.items()
    }
    cards: dict[tuple[str, str], Scorecard] = {
        (name, part): score(name, logits[name, part], rows, predictors[name].calibration)
        for name in predictors
        for part, rows in parts.items()
    }
    write = sys.stdout.write
    for part, rows in parts.items():
        write(
            f"## Test split: {part}, {len(rows):,} rows\n\nMacro-F1 x 100, mean over languages.\n\n"
        )
        write("| model | " + " | ".join(tasks.names) + " |\n|---|" + "---|" * len(tasks) + "\n")
        for name in predictors:
            card = cards[name, part]
            cells = [f"{100 * card.task(t):.1f}" if t in card.tasks else "" for t in tasks.names]
            write(f"| {name} | " + " | ".join(cells) + " |\n")
        write("\n")
    for part, rows in parts.items():
        for name in ("student, fp32", "student, int8 bundle"):
            if name not in predictors or "teacher" not in predictors:
                continue
            comparison = compare(
                (logits["teacher", part], predictors["teacher"].calibration),
                (logits[name, part], predictors[name].calibration),
                rows,
                names=("teacher", name),
            )
            write(f"## Degradation on {part}: {name}\n\n{to_markdown(comparison)}\n\n")
    for (name, part), card in cards.items():
        if name in MODELS:
            write(f"## Scorecard on {part}: {name}\n\n{to_markdown(card)}\n\n")
    timed = [predictors[n] for n in ("teacher", "student, fp32", "student, int8 bundle")]
    texts = spread(public, 1500, seed=1).texts
    write("## Throughput\n\nTexts of the public test split, tokenisation included, in turns.\n\n")
    write("| model | texts/s | speedup (lowest, highest of 5 rounds) |\n|---|---|---|\n")
    for found, name in zip(
        compare_throughput(timed, texts), ("teacher", "student", "int8 bundle"), strict=True
    ):
        write(
            f"| {name} | {found.texts_per_second:,.0f} | "
            f"{found.speedup:.2f}x ({found.low:.2f}, {found.high:.2f}) |\n"
        )
    write(f"\nMachine: {this_machine()}\n\nData fingerprint: `{whole.fingerprint[:16]}`\n")


if __name__ == "__main__":
    main()
