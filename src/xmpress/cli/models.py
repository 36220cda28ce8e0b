"""Opening whatever MODEL names: a model directory, a bundle, or a name of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xmpress.cli.console import progress
from xmpress.cli.extras import need

if TYPE_CHECKING:
    from xmpress.data import Dataset
    from xmpress.evaluation import Logits, Predictor
    from xmpress.tasks import TaskSet

ROWS_AT_ONCE = 2_000
"""Scored between two steps of the progress bar."""


def open_model(model: str, *, threads: int | None = None) -> Predictor:
    """A model that can be evaluated.

    Raises:
        ModelError: if there is none, or it cannot be used.
        MissingExtraError: if it is a model directory and torch is not installed.
    """
    from xmpress.zoo import resolve

    path = resolve(model)
    if (path / "xmpress.json").is_file():
        from xmpress.runtime.analyzer import Analyzer

        return Analyzer(path, threads=threads)
    need("train", f"opening the model directory {path} (a bundle needs no extra)")
    import torch

    from xmpress.modeling import load_model

    if threads is not None:
        torch.set_num_threads(threads)
    return load_model(path)


def score_texts(predictor: Predictor, dataset: Dataset) -> Logits:
    """The logits of all rows, with a progress bar."""
    parts = []
    with progress(predictor.name, total=len(dataset)) as advance:
        for start in range(0, len(dataset), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            texts = dataset.texts[part]
            parts.append(predictor.logits(texts, dataset.contexts[part]))
            advance(len(texts))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def joint_tasks(predictors: Sequence[Predictor]) -> TaskSet:
    """Every task that any of the models predicts.

    Raises:
        UsageError: if two models mean different labels by the same task.
    """
    from xmpress.errors import UsageError
    from xmpress.tasks import Task, TaskSet

    found: dict[str, tuple[Task, str]] = {}
    for predictor in predictors:
        for task in predictor.tasks:
            other, owner = found.setdefault(task.name, (task, predictor.name))
            if (task.kind, task.labels) != (other.kind, other.labels):
                raise UsageError(
                    f"task '{task.name}' has other labels in {predictor.name} than in {owner}; "
                    "evaluate them apart"
                )
    return TaskSet(tasks=tuple(task for task, _ in found.values()))
