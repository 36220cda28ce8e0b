"""Scores the zoo's models beside what they must beat, and writes the tables of results/zoo.md.

    python studies/zoo/report.py > runs/zoo/report.md

Logits are kept in runs/zoo/scores/, by the fingerprint of model and rows: an interrupted run goes
on, and a model made anew is scored anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xmpress.benchmark import compare_throughput
from xmpress.compression.outputs import cached_logits
from xmpress.compression.passes import Artefact
from xmpress.data import Dataset, load_dataset
from xmpress.evaluation import Scorecard, compare, consistency_of, parallel_items, score
from xmpress.evaluation.render import to_markdown
from xmpress.machine import this_machine
from xmpress.modeling import load_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.tasks import Labels, TaskSet
from xmpress.training.baselines import fit_baseline
from xmpress.training.train import spread

RUNS = Path("runs/zoo")
PUBLIC_ROWS = 8_000
"""Public test rows, drawn evenly over languages and tasks; gold and sample are scored whole."""
MODELS = {
    "teacher": RUNS / "teacher",
    "student, fp32": RUNS / "default" / "model",
    "default bundle": Path("src/xmpress/zoo/default"),
}
COARSE = {
    "sentiment": [["very_negative", "negative"], ["neutral"], ["positive", "very_positive"]],
    "effort": [["very_hard", "hard"], ["neutral"], ["easy", "very_easy"]],
}
TASKS = TaskSet.load("experience")
write = sys.stdout.write


def coarse(rows: Dataset) -> Dataset:
    """The same rows with sentiment and effort at three levels."""
    labels = dict(rows.labels)
    for name, groups in COARSE.items():
        task, given = TASKS[name], rows.labels[name]
        targets, choice = np.zeros_like(given.targets), np.zeros_like(given.choice)
        for number, group in enumerate(groups, start=1):
            columns = [task.labels.index(label) for label in group]
            targets[:, columns] = given.targets[:, columns].any(axis=1, keepdims=True)
            choice[:, columns] = number
        choice[~given.annotated] = 0
        labels[name] = Labels(targets, choice)
    return replace(rows, labels=labels)


@cache
def parts() -> dict[str, Dataset]:
    """The test sets."""
    public = load_dataset("studies/data/public.yaml", TASKS, split="test").where(tasks=TASKS.names)
    sample = load_dataset("sample", TASKS, split="test")
    gold = public.where(sources=["gold"])
    others = sorted(set(public.sources) - {"gold"})
    return {
        "gold + sample": Dataset.concat([gold, sample]),
        "gold": gold,
        "sample": sample,
        "public": spread(public.where(sources=others), PUBLIC_ROWS, seed=0),
    }


@cache
def baselines() -> dict[str, Any]:
    data = load_dataset("studies/zoo/data.yaml", TASKS)
    return {
        "majority": fit_baseline("majority", data),
        "TF-IDF + LR": fit_baseline("tfidf", data, max_rows=60_000),
    }


def calibration(name: str) -> Mapping[str, Any]:
    if name in MODELS:
        path = MODELS[name]
        bundle = (path / "xmpress.json").is_file()
        return Analyzer(path).calibration if bundle else load_model(path).calibration
    return baselines()[name].calibration


@cache
def logits(name: str, part: str) -> dict[str, np.ndarray]:
    rows = parts()[part]
    if name in MODELS:
        return cached_logits(
            Artefact(MODELS[name]), rows.texts, rows.contexts, RUNS / "scores", say=lambda _: None
        )
    place = RUNS / "scores" / f"{name.split()[0]}-{rows.fingerprint[:16]}.npz"
    if not place.is_file():
        place.parent.mkdir(exist_ok=True)
        np.savez(place, **baselines()[name].logits(rows.texts, rows.contexts))
    return dict(np.load(place))


def cards(part: str, *, three_levels: bool = False) -> dict[str, Scorecard]:
    rows = coarse(parts()[part]) if three_levels else parts()[part]
    names = ["majority", "TF-IDF + LR", *(n for n, path in MODELS.items() if path.is_dir())]
    return {name: score(name, logits(name, part), rows, calibration(name)) for name in names}


def table(found: dict[str, Scorecard]) -> None:
    write("| model | " + " | ".join(TASKS.names) + " | average |\n")
    write("|---|" + "---|" * (len(TASKS) + 1) + "\n")
    for name, card in found.items():
        cells = [f"{100 * card.task(t):.1f}" if t in card.tasks else "" for t in TASKS.names]
        write(f"| {name} | " + " | ".join(cells) + f" | {100 * card.average:.1f} |\n")
    write("\n")


def consistency(name: str) -> None:
    """Do the parallel items of the sample get the same answer in every language?"""
    rows = parts()["sample"]
    items = parallel_items(rows.ids, rows.langs)
    found = consistency_of(TASKS, logits(name, "sample"), calibration(name), items)
    langs = list(found[TASKS.names[0]].agreement)
    write(f"| task | same in all {len(langs) + 1} | {' | '.join(langs)} |\n")
    write("|---|---|" + "---|" * len(langs) + "\n")
    for task, part in found.items():
        cells = " | ".join(f"{100 * share:.0f}" for share in part.agreement.values())
        write(f"| {task} | {100 * part.same:.0f} | {cells} |\n")
    write("\n")


def main() -> None:
    for part in parts():
        for three in (True, False):
            levels = "three levels of sentiment and effort" if three else "all labels"
            write(f"## Test: {part}, {len(parts()[part]):,} rows, {levels}\n\n")
            table(cards(part, three_levels=three))
    for part in ("gold + sample", "public"):
        write(f"## Default bundle by language: {part}\n\n")
        found = cards(part, three_levels=True)
        write(to_markdown(found["default bundle"]) + "\n\n")
        write(f"### TF-IDF + LR\n\n{to_markdown(found['TF-IDF + LR'])}\n\n")
    for part in ("gold + sample", "public"):
        for name in ("student, fp32", "default bundle"):
            found = compare(
                (logits("teacher", part), calibration("teacher")),
                (logits(name, part), calibration(name)),
                parts()[part],
                names=("teacher", name),
            )
            write(f"## Degradation on {part}: {name}\n\n{to_markdown(found)}\n\n")
    for name in ("teacher", "default bundle"):
        write(f"## Consistency over languages: {name}\n\nShare of parallel items, in %.\n\n")
        consistency(name)
    write("## Throughput\n\nTexts of the public test split, tokenisation included, in turns.\n\n")
    write("| model | texts/s | speedup (lowest, highest of 5 rounds) |\n|---|---|---|\n")
    timed = {n: MODELS[n] for n in ("teacher", "student, fp32", "default bundle")}
    predictors = [
        Analyzer(path) if (path / "xmpress.json").is_file() else load_model(path)
        for path in timed.values()
    ]
    texts = spread(parts()["public"], 1_500, seed=1).texts
    for speed, name in zip(compare_throughput(predictors, texts), timed, strict=True):
        write(
            f"| {name} | {speed.texts_per_second:,.0f} | "
            f"{speed.speedup:.2f}x ({speed.low:.2f}, {speed.high:.2f}) |\n"
        )
    write(f"\nMachine: {this_machine()}\n")


if __name__ == "__main__":
    main()
