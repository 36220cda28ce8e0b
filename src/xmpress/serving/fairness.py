"""Which of the waiting texts make the next batch."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xmpress.runtime.batching import token_budget_batches

WINDOW = 1024
"""Texts looked at for a batch; enough that texts of like length are found."""

Owner = TypeVar("Owner")


class Flow:
    """What one request has taken so far; see `FairQueue`."""

    __slots__ = ("tag",)

    def __init__(self) -> None:
        self.tag = 0


class Waiting(NamedTuple, Generic[Owner]):
    """A tokenised text that waits for an engine.

    Attributes:
        tag: its turn; see `FairQueue`.
        number: of arrival, which decides between equal tags.
        owner: whose text it is.
        row: its row in the owner's result.
        ids: int32 [T].
        type_ids: int8 [T].
    """

    tag: int
    number: int
    owner: Owner
    row: int
    ids: NDArray[np.int32]
    type_ids: NDArray[np.int8]


@dataclass
class FairQueue(Generic[Owner]):
    """Shares the engine fairly among requests, and batches texts of like length.

    Virtual time (Demers, Keshav and Shenker, 1989) runs in tokens: a text's tag is when it would
    be finished if all waiting requests were served side by side, a token of each in turn. The text
    with the least tag is always in the next batch, so that a request of one text does not wait
    for one of a thousand, and none starves. Texts of like length from the next `WINDOW` join it.

    Attributes:
        budget: padded tokens per batch.
    """

    budget: int
    _items: list[Waiting[Owner]] = field(default_factory=list)
    _now: int = 0
    _count: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(
        self,
        owner: Owner,
        flow: Flow,
        row: int,
        ids: NDArray[np.int32],
        type_ids: NDArray[np.int8] | None = None,
    ) -> None:
        """Let a text wait for its turn."""
        flow.tag = max(flow.tag, self._now) + len(ids)
        if type_ids is None:
            type_ids = np.zeros(len(ids), dtype=np.int8)
        self._count += 1
        # Tag and number differ from those of every other, so no more than they is compared.
        insort(self._items, Waiting(flow.tag, self._count, owner, row, ids, type_ids))

    def take(self) -> list[Waiting[Owner]]:
        """Remove and give the next batch; empty if nothing waits."""
        if not self._items:
            return []
        window = self._items[:WINDOW]
        self._now = window[0].tag
        batches = token_budget_batches([len(item.ids) for item in window], budget=self.budget)
        rows = next(batch for batch in batches if 0 in batch).tolist()
        taken = set(rows)
        self._items[:WINDOW] = [item for i, item in enumerate(window) if i not in taken]
        return [window[row] for row in rows]

    def drop(self, owner: Owner) -> int:
        """Remove the texts of one owner; gives how many there were."""
        kept = [item for item in self._items if item.owner is not owner]
        dropped = len(self._items) - len(kept)
        self._items = kept
        return dropped
