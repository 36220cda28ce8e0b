"""Draws errors of the default bundle to be read, and counts the kinds that a reader found.

    python studies/zoo/errors.py draw > runs/zoo/errors.jsonl    # with texts: stays where it is
    python studies/zoo/errors.py overview                        # shares of all rows
    python studies/zoo/errors.py tables                          # what was read, by kind

Per language 20 answers that are wrong, four of each task, no text twice, drawn with a seed from the
gold and sample test rows. studies/zoo/errors.csv holds what was read in them, each error named by
language, task and the first 16 hex digits of its text's SHA-256: the texts stay where they are.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from readings import key

from xmpress.data import Dataset
from xmpress.tasks import Calibration, FloatArray, Task

READ = Path(__file__).with_name("errors.csv")
READ_OF = "4d021eeaf6c4"
"""The bundle whose errors were read: its graph's SHA-256 begins like this."""
PER_TASK = 4
SEED = 8
FAULTS = ("model", "either", "label")
"""Whose fault: the model's; both answers can be defended; the label's."""
COUNTED = (("kind", "lang"), ("kind", "task"), ("kind", "fault"), ("task", "fault"))
write = sys.stdout.write


def wrong(task: Task, logits: FloatArray, rows: Dataset, calibration: Calibration) -> np.ndarray:
    """Bool [n]: the rows whose answer is not the label; the set of labels, if multi-label."""
    labels = rows.labels[task.name]
    decided = task.decide(task.probabilities(logits, calibration), calibration)
    differ = (decided & (labels.choice > 0)) != labels.targets
    right = ~differ.any(axis=1) if task.multi else (decided & labels.targets).any(axis=1)
    return np.asarray(labels.annotated & ~right)


def draw(
    rows: Dataset,
    logits: Mapping[str, FloatArray],
    calibration: Mapping[str, Calibration],
    per_task: int = PER_TASK,
    seed: int = SEED,
) -> Iterator[dict[str, Any]]:
    """Errors to read: for each language and task ``per_task`` of them, no text twice."""
    rng = np.random.default_rng(seed)
    langs = np.array(rows.langs)
    for lang in sorted(set(rows.langs)):
        drawn: set[int] = set()
        for task in rows.tasks:
            found = wrong(task, logits[task.name], rows, calibration[task.name])
            candidates = [i for i in np.flatnonzero(found & (langs == lang)) if i not in drawn]
            for i in rng.permutation(candidates)[:per_task].tolist():
                drawn.add(i)
                yield _error(task, logits[task.name][i], rows, i, calibration[task.name])


def _error(
    task: Task, logits: FloatArray, rows: Dataset, i: int, calibration: Calibration
) -> dict[str, Any]:
    probabilities = task.probabilities(logits[None], calibration)
    answer = task.names(task.decide(probabilities, calibration))[0]
    label = task.names(rows.labels[task.name].targets[i][None])[0]
    shown = sorted({*answer, *label}, key=task.labels.index)
    return {
        "lang": rows.langs[i],
        "task": task.name,
        "key": key(rows.texts[i]),
        "source": rows.sources[i],
        "text": rows.texts[i],
        "label": label,
        "answer": answer,
        "probability": {
            name: round(float(probabilities[0, task.labels.index(name)]), 2) for name in shown
        },
    }


def read() -> list[dict[str, str]]:
    """The errors as read: lang, task, key, kind, fault."""
    with READ.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def count(found: Sequence[Mapping[str, str]], down: str, across: str) -> str:
    """How many errors of each kind, say, in each language: a table in Markdown."""
    columns = _values(found, across)
    cells = Counter((row[down], row[across]) for row in found)
    totals = Counter(row[down] for row in found)
    lines = [f"| {down} | {' | '.join(columns)} | all |", "|---|" + "---:|" * (len(columns) + 1)]
    for name, total in totals.most_common():
        numbers = " | ".join(str(cells[name, column] or "") for column in columns)
        lines.append(f"| {name} | {numbers} | {total} |")
    sums = Counter(row[across] for row in found)
    lines.append(f"| all | {' | '.join(str(sums[c]) for c in columns)} | {len(found)} |")
    return "\n".join(lines) + "\n"


def _values(found: Iterable[Mapping[str, str]], column: str) -> list[str]:
    values = {row[column]: None for row in found}
    return list(FAULTS) if column == "fault" else list(values)


def overview(
    rows: Dataset, logits: Mapping[str, FloatArray], calibration: Mapping[str, Calibration]
) -> str:
    """Share of wrong answers by task and language, and of these the share that is off by one."""
    langs = sorted(set(rows.langs))
    lines = [
        f"| task | {' | '.join(langs)} | all | off by one |",
        "|---|" + "---:|" * (len(langs) + 2),
    ]
    for task in rows.tasks:
        found = wrong(task, logits[task.name], rows, calibration[task.name])
        shares = [100 * found[[lang == at for at in rows.langs]].mean() for lang in langs]
        cells = " | ".join(f"{share:.0f}" for share in shares)
        near = _near(task, logits[task.name], rows, calibration[task.name])[found].mean()
        known = f"{100 * near:.0f}" if task.kind != "single_label" else ""
        lines.append(f"| {task.name} | {cells} | {100 * found.mean():.0f} | {known} |")
    return "\n".join(lines) + "\n"


def _near(task: Task, logits: FloatArray, rows: Dataset, calibration: Calibration) -> np.ndarray:
    """Bool [n]: the next level of an ordered task; one label more, fewer or other of many."""
    decided = task.decide(task.probabilities(logits, calibration), calibration)
    targets = rows.labels[task.name].targets
    if task.multi:
        more, fewer = (decided & ~targets).sum(axis=1), (targets & ~decided).sum(axis=1)
        return np.asarray(np.maximum(more, fewer) <= 1)
    return np.asarray(np.abs(decided.argmax(axis=1) - targets.argmax(axis=1)) == 1)


def main(what: str) -> None:
    """Write the errors to be read, or the tables of what was read."""
    if what == "tables":
        found = read()
        for down, across in COUNTED:
            write(f"### {down} by {across}\n\n{count(found, down, across)}\n")
        return
    from report import calibration, logits, parts

    part, name = "gold + sample", "default bundle"
    rows, scores, calibrations = parts()[part], logits(name, part), calibration(name)
    if what == "draw":
        for error in draw(rows, scores, calibrations):
            write(json.dumps(error, ensure_ascii=False) + "\n")
    else:
        write(overview(rows, scores, calibrations))


if __name__ == "__main__":
    main(*sys.argv[1:])
