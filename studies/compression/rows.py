"""Draws what the study works on: rows, and the teacher calibrated on them as its students are.

    python studies/compression/rows.py       # run.py does it where it has not been done

Leaves in runs/compression: ``rows.parquet``, ``data.yaml`` (its sources, with the weights they
have in studies/data/zoo.yaml), and ``teacher``, whose weights are the given teacher's. Few rows,
the same for every recipe, so that the teacher scores them once and a run starts in seconds.
Temperatures and thresholds are tuned on the same validation rows for the teacher and for every
student: thresholds of eleven emotions tuned on other rows alone move macro-F1 by several percent.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xmpress.data import Dataset, load_dataset
from xmpress.data.arrow import to_table
from xmpress.data.splits import ValidationSettings
from xmpress.data.writers import TableWriter
from xmpress.modeling import load_model, save_model
from xmpress.tasks import Labels, Task, TaskSet
from xmpress.training.train import finish, spread, training_splits

TASKS = TaskSet.load("experience")
TRAIN, VALIDATION, TEST = 16_000, 4_000, 16_000
"""Rows, drawn evenly over languages and tasks."""


def cells(task: Task, labels: Labels) -> dict[str, list[Any]]:
    """A task's labels as the columns that the data format has for them."""
    values, scopes = [], []
    for targets, choice in zip(labels.targets, labels.choice, strict=True):
        said = [label for label, right in zip(task.labels, targets, strict=True) if right]
        groups: dict[int, list[str]] = {}
        for label, number in zip(task.labels, choice, strict=True):
            if number:
                groups.setdefault(int(number), []).append(label)
        annotated = bool(groups)
        values.append((said if task.multi else "|".join(said)) if annotated else None)
        scopes.append(["|".join(group) for _, group in sorted(groups.items())] or None)
    return {task.name: values, f"{task.name}_scope": scopes}


def write(rows: Dataset, out: Path) -> Path:
    """Write rows and a data config that reads them as they are; the config."""
    columns: dict[str, Any] = {
        "text": rows.texts,
        "context": rows.contexts,
        "lang": rows.langs,
        "id": rows.ids,
        "source": rows.sources,
        "split": rows.splits,
    }
    for task in rows.tasks:
        columns |= cells(task, rows.labels[task.name])
    with TableWriter(out / "rows.parquet") as writer:
        writer.write(to_table(columns))
    config = {
        "tasks": "experience",
        "root": str(out),
        "defaults": {
            "path": "rows.parquet",
            "tasks": {
                task.name: {"scope": {"column": f"{task.name}_scope", "optional": True}}
                for task in rows.tasks
            },
        },
        "sources": {
            name: {"filter": {"source": name}, "weight": rows.weights.get(name, 1.0)}
            for name in sorted(set(rows.sources))
        },
    }
    path = out / "data.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def same(written: Dataset, rows: Dataset) -> bool:
    """Whether the rows, in whatever order, came back as they were."""
    keys, wanted = (
        list(zip(part.sources, part.splits, part.ids, part.texts, strict=True))
        for part in (written, rows)
    )
    order = {key: i for i, key in enumerate(keys)}
    if set(wanted) != set(order):
        return False
    index = [order[key] for key in wanted]
    back = written.take(index)
    return back.contexts == rows.contexts and all(
        np.array_equal(back.labels[t.name].targets, rows.labels[t.name].targets)
        and np.array_equal(back.labels[t.name].choice, rows.labels[t.name].choice)
        for t in rows.tasks
    )


def draw(source: str, scale: float = 1.0) -> Dataset:
    """The study's rows of a data config."""
    whole = load_dataset(source, TASKS)
    training, validation = training_splits(whole, ValidationSettings(), seed=0)
    parts = {
        "train": (training, TRAIN),
        "validation": (validation, VALIDATION),
        "test": (whole.where(split="test"), TEST),
    }
    drawn = []
    for split, (part, number) in parts.items():
        part = spread(part.where(tasks=TASKS.names), max(200, int(number * scale)), seed=0)
        drawn.append(part.with_splits([split] * len(part)))
    return Dataset.concat(drawn)


def prepare(out: Path, source: str, teacher: Path, scale: float = 1.0) -> None:
    """Draw and write the rows, calibrate the teacher, unless it is done already."""
    out.mkdir(parents=True, exist_ok=True)
    config = out / "data.yaml"
    if not config.is_file():
        rows = draw(source, scale)
        write(rows, out)
        if not same(load_dataset(config, TASKS), rows):
            config.unlink()
            raise SystemExit("the rows were not read as they were written")
    if not (out / "teacher").is_dir():
        validation = load_dataset(config, TASKS, split="validation")
        loaded = load_model(teacher)
        finish(loaded.model, loaded.tokenizer, validation)
        card = (teacher / "README.md").read_text(encoding="utf-8")
        save_model(out / "teacher", loaded.model, teacher, texts={"README.md": card})


def main() -> None:
    """Draw the rows for the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=Path("runs/compression"), type=Path)
    parser.add_argument("--data", default="studies/data/zoo.yaml")
    parser.add_argument("--teacher", default=Path("runs/zoo/teacher"), type=Path)
    parser.add_argument("--scale", default=1.0, type=float, help="of the numbers of rows")
    options = parser.parse_args()
    prepare(options.out, options.data, options.teacher, options.scale)


if __name__ == "__main__":
    main()
