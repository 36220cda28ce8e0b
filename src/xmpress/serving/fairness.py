"""Which of the waiting texts make the next batch."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

WINDOW = 1024
"""Texts looked at for a batch; enough that texts of like length are found."""
MOST_ROWS = 256
"""Texts of a batch."""
OVERHEAD = 1 / 32
"""What a batch costs besides its tokens, as a share of the budget. On a CPU a token of a batch of
an eighth of the budget costs 6 % more than one of a full batch, which is less than most padding."""

Owner = TypeVar("Owner")


class Flow:
    """How far a request's turns reach; see `FairQueue`."""

    __slots__ = ("tag",)

    def __init__(self) -> None:
        self.tag = 0


class Text(NamedTuple):
    """A tokenised text.

    Attributes:
        row: its row in its request's result.
        ids: int32 [T].
        type_ids: int8 [T]; ``None`` if all are 0.
    """

    row: int
    ids: NDArray[np.int32]
    type_ids: NDArray[np.int8] | None


class Waiting(NamedTuple, Generic[Owner]):
    """A text that waits for an engine.

    Attributes:
        tag: its turn; see `FairQueue`.
        number: of arrival, which decides between equal tags.
        owner: whose text it is.
        text: what waits.
    """

    tag: int
    number: int
    owner: Owner
    text: Text


@dataclass
class FairQueue(Generic[Owner]):
    """Shares the engine fairly among requests, and batches texts of like length.

    A request is cut into turns of at most a batch's tokens. Virtual time (Demers, Keshav and
    Shenker, 1989) runs in tokens: a turn's tag is when it would be finished if all requests were
    served side by side, a token of each in turn. The text with the least tag is always in the next
    batch: small requests go first, requests of like size in their order, one of a thousand texts
    goes a turn at a time, and none starves. Those of the next `WINDOW` join it that make the batch
    cost least for each of its tokens: nothing is put into a batch only because it would fit.

    Attributes:
        budget: padded tokens per batch.
    """

    budget: int
    _items: list[Waiting[Owner]] = field(default_factory=list)
    _now: int = 0
    _count: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, owner: Owner, flow: Flow, texts: Sequence[Text]) -> None:
        """Let texts of a request wait for their turns."""
        for turn in self._turns(texts):
            flow.tag = max(flow.tag, self._now) + sum(len(text.ids) for text in turn)
            for text in turn:
                self._count += 1
                # Tag and number differ from those of every other: no more than they is compared.
                insort(self._items, Waiting(flow.tag, self._count, owner, text))

    def _turns(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        turn: list[Text] = []
        tokens = 0
        for text in texts:
            if turn and tokens + len(text.ids) > self.budget:
                yield turn
                turn, tokens = [], 0
            turn.append(text)
            tokens += len(text.ids)
        if turn:
            yield turn

    def take(self) -> list[Waiting[Owner]]:
        """Remove and give the next batch; empty if nothing waits."""
        if not self._items:
            return []
        window = self._items[:WINDOW]
        self._now = window[0].tag
        lengths = np.array([len(item.text.ids) for item in window])
        rows = _batch_of_first(lengths, self.budget).tolist()
        taken = set(rows)
        self._items[:WINDOW] = [item for i, item in enumerate(window) if i not in taken]
        return [window[row] for row in rows]

    def drop(self, owner: Owner) -> int:
        """Remove the texts of one owner; gives how many there were."""
        kept = [item for item in self._items if item.owner is not owner]
        dropped = len(self._items) - len(kept)
        self._items = kept
        return dropped


def _batch_of_first(lengths: NDArray[np.int_], budget: int) -> NDArray[np.intp]:
    """The rows, 0 among them, that make the batch which is cheapest for each of its tokens.

    Of every range of lengths around the first's, its texts in their order, as many as the budget
    allows, would cost `OVERHEAD` and their padded tokens.
    """
    ordered = np.sort(lengths)
    present = ordered[np.diff(ordered, prepend=-1) > 0]
    shortest, longest = present[present <= lengths[0], None], present[present >= lengths[0]]
    tokens = np.concatenate([[0], np.cumsum(ordered)])
    begin = np.searchsorted(ordered, shortest)
    end = np.searchsorted(ordered, longest, side="right")
    rows = np.minimum(end - begin, np.clip(budget // longest, 1, MOST_ROWS))
    mean = (tokens[end] - tokens[begin]) / (end - begin)
    cost = (OVERHEAD * budget + rows * longest) / (rows * mean)
    low, high = np.unravel_index(np.argmin(cost), cost.shape)
    within = (lengths >= shortest[low]) & (lengths <= longest[high])
    return np.flatnonzero(within)[: rows[low, high]]
