"""A labelled data set in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from xmpress.data.stats import summarise
from xmpress.tasks import Labels, TaskSet

SPLITS = ("train", "validation", "test")
UNDETERMINED = "und"
"""The language of a text whose language is not given (BCP 47)."""


@dataclass(frozen=True)
class Dataset:
    """Texts with their labels, row by row.

    Attributes:
        tasks: what the rows may be labelled for.
        texts: the feedback.
        contexts: the question that was answered, if known.
        langs: language, the primary subtag of BCP 47; ``und`` if not given.
        ids: identifiers.
        sources: which source the row comes from.
        splits: ``train``, ``validation``, ``test`` or ``None``.
        labels: per task the labels of all rows; every task of the set has an entry.
        weights: per source how often training draws from it, relative to its size; 1 if not given.
    """

    tasks: TaskSet
    texts: list[str]
    contexts: list[str | None]
    langs: list[str]
    ids: list[str]
    sources: list[str]
    splits: list[str | None]
    labels: dict[str, Labels]
    weights: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Any) -> Dataset:
        """Some rows: positions, a mask or a slice."""
        index = np.arange(len(self))[rows]

        def pick(values: list[Any]) -> list[Any]:
            return [values[i] for i in index]

        return Dataset(
            tasks=self.tasks,
            texts=pick(self.texts),
            contexts=pick(self.contexts),
            langs=pick(self.langs),
            ids=pick(self.ids),
            sources=pick(self.sources),
            splits=pick(self.splits),
            labels={name: labels.take(index) for name, labels in self.labels.items()},
            weights=self.weights,
        )

    def where(
        self,
        *,
        split: str | None = None,
        langs: Collection[str] | None = None,
        tasks: Collection[str] | None = None,
        sources: Collection[str] | None = None,
    ) -> Dataset:
        """The rows of a split, of some languages or sources, or labelled for one of some tasks."""
        keep = np.ones(len(self), dtype=bool)
        if split is not None:
            keep &= np.array([s == split for s in self.splits], dtype=bool)
        if langs is not None:
            keep &= np.array([lang in langs for lang in self.langs], dtype=bool)
        if sources is not None:
            keep &= np.array([source in sources for source in self.sources], dtype=bool)
        if tasks is not None:
            annotated = [self.labels[self.tasks[name].name].annotated for name in tasks]
            keep &= np.any(annotated, axis=0)
        return self.take(keep)

    def select(self, tasks: Sequence[str]) -> Dataset:
        """The same rows with the labels of some tasks only."""
        chosen = self.tasks.select(tasks)
        return replace(
            self, tasks=chosen, labels={name: self.labels[name] for name in chosen.names}
        )

    def with_splits(self, splits: Sequence[str | None]) -> Dataset:
        """The same rows in other splits."""
        return replace(self, splits=list(splits))

    @classmethod
    def concat(cls, parts: Sequence[Dataset]) -> Dataset:
        """Several data sets of the same tasks, one after the other."""
        first = parts[0]

        def joined(name: str) -> list[Any]:
            return [value for part in parts for value in getattr(part, name)]

        return cls(
            tasks=first.tasks,
            texts=joined("texts"),
            contexts=joined("contexts"),
            langs=joined("langs"),
            ids=joined("ids"),
            sources=joined("sources"),
            splits=joined("splits"),
            labels={
                name: Labels.concat([part.labels[name] for part in parts])
                for name in first.tasks.names
            },
            weights={name: weight for part in parts for name, weight in part.weights.items()},
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over texts, contexts, languages, splits and labels, in order.

        Where sources have weights, over these and the rows' sources too.
        """
        digest = hashlib.sha256(self.tasks.to_yaml().encode())
        for values in (self.texts, self.contexts, self.langs, self.splits):
            encoded = [b"\xff" if v is None else v.encode("utf-8", "surrogatepass") for v in values]
            digest.update(np.array([len(e) for e in encoded], dtype=np.int64).tobytes())
            digest.update(b"".join(encoded))
        for name in self.tasks.names:
            digest.update(self.labels[name].targets.tobytes())
            digest.update(self.labels[name].choice.tobytes())
        if self.weights:
            digest.update(json.dumps([sorted(self.weights.items()), self.sources]).encode())
        return digest.hexdigest()

    def stats(self) -> dict[str, Any]:
        """Rows and labels by language, split and task; see `xmpress.data.stats.summarise`."""
        return summarise(self)
