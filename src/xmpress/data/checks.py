"""Is a data set fit to train on and to measure with? Duplicates, contradictions and leakage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from xmpress.data.dataset import UNDETERMINED, Dataset
from xmpress.data.near import near_groups
from xmpress.data.text import fold
from xmpress.errors import UsageError
from xmpress.tasks import Labels, Task

Group = list[int]
"""Positions of rows that hold the same text."""

_CROSSINGS = (("test", "train"), ("test", "validation"), ("validation", "train"))


@dataclass(frozen=True)
class Leak:
    """A text on both sides of a split.

    Attributes:
        split: the split that is measured on, ``test`` or ``validation``.
        rows: the text's rows there.
        other: the split that is learned or tuned from, ``train`` or ``validation``.
        other_rows: the text's rows there.
    """

    split: str
    rows: Group
    other: str
    other_rows: Group


@dataclass(frozen=True)
class DataReport:
    """What `check` found.

    Attributes:
        rows: rows in the data set.
        duplicates: groups of rows with the same text.
        conflicts: per task the groups whose labels contradict one another.
        leaks: texts that stand in more than one split.
        unlabelled: rows without a label of any task.
        undetermined: rows without a language.
        missing: per task the labels that no train row has (any row, if there are no splits).
    """

    rows: int
    duplicates: list[Group]
    conflicts: dict[str, list[Group]]
    leaks: list[Leak]
    unlabelled: int
    undetermined: int
    missing: dict[str, list[str]]

    @property
    def clean(self) -> bool:
        """Whether no text is in two splits: what is measured on this data can be believed."""
        return not self.leaks

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as JSON can hold them."""
        return {
            "rows": self.rows,
            "clean": self.clean,
            "duplicate_texts": len(self.duplicates),
            "duplicate_rows": sum(len(group) - 1 for group in self.duplicates),
            "conflicts": {task: len(groups) for task, groups in self.conflicts.items()},
            "leaks": {
                f"{split} in {other}": sum(
                    leak.split == split and leak.other == other for leak in self.leaks
                )
                for split, other in _CROSSINGS
            },
            "unlabelled_rows": self.unlabelled,
            "rows_without_language": self.undetermined,
            "labels_without_train_rows": self.missing,
        }


def check(dataset: Dataset, *, near: float | None = None) -> DataReport:
    """Look for whatever makes training or measuring go wrong without an error.

    Args:
        dataset: the rows.
        near: also count texts as the same that share this part (0.5 to 1) of their character
            5-grams.
    """
    duplicates = find_duplicates(dataset, near=near)
    annotated = np.array([dataset.labels[name].annotated for name in dataset.tasks.names])
    train = np.array([split in {"train", None} for split in dataset.splits], dtype=bool)
    return DataReport(
        rows=len(dataset),
        duplicates=duplicates,
        conflicts={
            task.name: [g for g in duplicates if _contradict(task, dataset.labels[task.name], g)]
            for task in dataset.tasks
        },
        leaks=find_leakage(dataset, duplicates),
        unlabelled=int((~annotated.any(axis=0)).sum()),
        undetermined=sum(lang == UNDETERMINED for lang in dataset.langs),
        missing={
            task.name: [
                label
                for label, found in zip(
                    task.labels, dataset.labels[task.name].targets[train].any(axis=0), strict=True
                )
                if not found
            ]
            for task in dataset.tasks
        },
    )


def find_duplicates(dataset: Dataset, *, near: float | None = None) -> list[Group]:
    """Groups of rows whose text (and context) is the same up to case, spaces and punctuation.

    Args:
        dataset: the rows.
        near: also group texts of which at least this part (Jaccard similarity, 0.5 to 1) of the
            character 5-grams is shared, found by MinHash (Broder, 1997).

    Raises:
        UsageError: if ``near`` is not from 0.5 to 1; less is not found reliably.
    """
    if near is not None and not 0.5 <= near <= 1:
        raise UsageError(f"near is {near:g}; expected a similarity from 0.5 to 1")
    groups: dict[tuple[str, str], Group] = defaultdict(list)
    for row, (text, context) in enumerate(zip(dataset.texts, dataset.contexts, strict=True)):
        groups[fold(text), fold(context or "")].append(row)
    if near is None:
        return [group for group in groups.values() if len(group) > 1]
    exact = list(groups.values())
    joined = near_groups([text for text, _ in groups], near)
    merged = [sorted(row for i in part for row in exact[i]) for part in joined]
    return [group for group in merged if len(group) > 1]


def find_leakage(dataset: Dataset, duplicates: Sequence[Group] | None = None) -> list[Leak]:
    """Texts of test or validation that stand in train too, and texts of test in validation.

    Args:
        dataset: the rows.
        duplicates: the groups of the same text, if they are known already.
    """
    groups = find_duplicates(dataset) if duplicates is None else duplicates
    leaks = []
    for group in groups:
        by_split: dict[str | None, Group] = defaultdict(list)
        for row in group:
            by_split[dataset.splits[row]].append(row)
        leaks += [
            Leak(split, by_split[split], other, by_split[other])
            for split, other in _CROSSINGS
            if split in by_split and other in by_split
        ]
    return leaks


def _contradict(task: Task, labels: Labels, group: Group) -> bool:
    """Whether no reading makes the labels of two rows of the group both right."""
    rows = [row for row in group if labels.choice[row].any()]
    for one, other in combinations(rows, 2):
        both = (labels.choice[one] > 0) & (labels.choice[other] > 0)
        a, b = labels.targets[one] & both, labels.targets[other] & both
        if (a != b).any() if task.multi else not (a & b).any():
            return True
    return False
