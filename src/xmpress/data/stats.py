"""What a data set holds: rows and labels by language, split and task."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from xmpress.tasks import Labels, Task

if TYPE_CHECKING:
    from xmpress.data.dataset import Dataset


def summarise(dataset: Dataset) -> dict[str, Any]:
    """Count rows and labels.

    Returns:
        A dict that JSON can hold: ``rows``, ``characters`` (median, 95th percentile and maximum of
        the texts' lengths), ``splits``, ``sources``, ``languages`` (rows of each), and ``tasks``:
        per task its annotated ``rows``, ``languages`` (rows by language and split) and ``labels``.

        Per label: ``rows`` where it is right by itself, ``coarse`` rows where it is right together
        with others, and ``share``: ``rows`` by the rows in which the label was a choice by itself.
    """
    splits = [split or "none" for split in dataset.splits]
    return {
        "rows": len(dataset),
        "characters": _lengths(dataset.texts),
        "splits": _counts(splits),
        "sources": _counts(dataset.sources),
        "languages": _counts(dataset.langs),
        "tasks": {
            task.name: _task_stats(task, dataset.labels[task.name], dataset.langs, splits)
            for task in dataset.tasks
        },
    }


def _task_stats(task: Task, labels: Labels, langs: list[str], splits: list[str]) -> dict[str, Any]:
    rows = np.flatnonzero(labels.annotated).tolist()
    languages: dict[str, dict[str, int]] = {}
    for (lang, split), count in sorted(Counter((langs[i], splits[i]) for i in rows).items()):
        languages.setdefault(lang, {})[split] = count
    return {
        "rows": len(rows),
        "languages": languages,
        "labels": {
            label: _label_stats(labels, j, multi=task.multi) for j, label in enumerate(task.labels)
        },
    }


def _label_stats(labels: Labels, label: int, *, multi: bool) -> dict[str, Any]:
    right = labels.targets[:, label]
    number = labels.choice[:, label]
    alone = (labels.choice == number[:, None]).sum(axis=1) == 1
    offered = (number > 0) & (alone | multi)
    rows = int((right & offered).sum())
    return {
        "rows": rows,
        "coarse": int((right & ~offered).sum()),
        "share": round(rows / int(offered.sum()), 4) if offered.any() else None,
    }


def _counts(values: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _lengths(texts: list[str]) -> dict[str, int]:
    lengths = np.array([len(text) for text in texts] or [0])
    median, high = np.percentile(lengths, [50, 95])
    return {"median": round(median), "p95": round(high), "max": int(lengths.max())}
