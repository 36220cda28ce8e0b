"""Feeds a pretraining: rows of tokens, packed full or one text each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from xmpress.errors import ModelError
from xmpress.runtime.batching import INPUTS, pad
from xmpress.runtime.tokenization import Encoded, Tokenizer
from xmpress.training.feed import Batch
from xmpress.training.pretraining.corpus import Corpus
from xmpress.training.sampling import Rows, draw_epoch, length_bucketed_batches

Token = TypeVar("Token", bound=np.generic)

OPEN_ROWS = 16
"""Rows that are being filled at a time: enough to waste little, few enough to be fast."""
UNCUT = 1_000_000
"""Tokens of a text that are read at all."""


@dataclass
class PretrainFeed:
    """Batches of a corpus, epoch after epoch, the same for the same seed.

    A packed row is ``<s> text </s> text </s> ...``, whole texts as long as they fit. Attention runs
    over the whole row and positions count through, as in RoBERTa (Liu et al., 2019): the simplest
    way that is right, and what any encoder can do. A text and its context, or its translation, stay
    side by side.

    Attributes:
        corpus: the texts.
        tokenizer_file: a ``tokenizer.json``.
        token_types: whether the encoder tells the two segments of an input apart.
        sequence_length: tokens per row; a longer text is cut into several, of a longer pair both
            lose their ends.
        budget: padded tokens per batch.
        temperature: of the sampling over languages.
        parallel_share: share of the tokens that are pairs of translations.
        seed: of everything random here.
        pack: fill rows; otherwise one text per row, batches of like length.
    """

    corpus: Corpus
    tokenizer_file: Path
    token_types: bool
    sequence_length: int
    budget: int
    temperature: float
    parallel_share: float
    seed: int
    pack: bool = True

    def __post_init__(self) -> None:
        self._tokenizer = Tokenizer.from_file(self.tokenizer_file, max_length=self.sequence_length)
        self.pad_id = self._tokenizer.pad_id
        if len(self._tokenizer.encode([""]).ids[0]) != 2:
            raise ModelError(
                f"{self.tokenizer_file} does not put one token before a text and one after it, "
                "which rows of several texts need"
            )
        self._inputs = INPUTS if self.token_types else INPUTS[:2]
        self._encode()
        self._groups = self._weighted_groups()

    def epoch(self, number: int) -> list[list[Rows]]:
        """The batches of one epoch: per row of a batch the units that stand in it."""
        units = draw_epoch(self._groups, temperature=self.temperature, seed=self.seed, epoch=number)
        if not self.pack:
            batches = length_bucketed_batches(
                units, self._lengths, budget=self.budget, seed=self.seed, epoch=number
            )
            return [[np.array([unit]) for unit in batch] for batch in batches]
        # The first token of a row is there once, whatever follows.
        rows = packed(units, self._lengths - 1, room=self.sequence_length - 1)
        order = np.random.default_rng([self.seed, number, 2]).permutation(len(rows))
        size = max(1, self.budget // self.sequence_length)
        return [[rows[i] for i in order[at : at + size]] for at in range(0, len(rows), size)]

    def batch(self, rows: Sequence[Rows]) -> Batch:
        """The tensors of one batch; it counts texts, and carries no labels."""
        encoded = Encoded.of(
            [_joined(self._ids, units) for units in rows],
            [_joined(self._types, units) for units in rows],
        )
        inputs = pad(encoded, range(len(rows)), self.pad_id, inputs=self._inputs)
        return Batch(
            rows=torch.from_numpy(np.concatenate(rows)),
            inputs={name: torch.from_numpy(value) for name, value in inputs.items()},
            labels={},
        )

    def _encode(self) -> None:
        """Tokenise, once: units of at most a row, and which text each comes from."""
        corpus = self.corpus
        alone = [row for row, second in enumerate(corpus.seconds) if not second]
        double = [row for row, second in enumerate(corpus.seconds) if second]
        whole = Tokenizer.from_file(self.tokenizer_file, max_length=UNCUT)
        self._ids: list[NDArray[np.int32]] = []
        self._types: list[NDArray[np.int8]] = []
        owners: list[int] = []
        for row, ids in zip(alone, whole.encode([corpus.texts[r] for r in alone]).ids, strict=True):
            parts = windows(ids, self.sequence_length)
            self._ids += parts
            self._types += [np.zeros(len(part), np.int8) for part in parts]
            owners += [row] * len(parts)
        if double:
            pairs = self._tokenizer.encode(
                [corpus.texts[row] for row in double], [corpus.seconds[row] for row in double]
            )
            self._ids += pairs.ids
            self._types += pairs.type_ids or []
            owners += double
        self._owners = np.array(owners)
        self._lengths = np.array([len(ids) for ids in self._ids], dtype=np.int64)

    def _weighted_groups(self) -> list[tuple[Rows, float]]:
        """Units by language and weight; pairs weighted so that they have their share of tokens."""
        order = np.argsort(self._owners, kind="stable")
        starts = np.searchsorted(self._owners[order], np.arange(len(self.corpus) + 1))
        groups = [
            (np.concatenate([order[starts[row] : starts[row + 1]] for row in rows]), weight)
            for rows, weight in self.corpus.groups()
        ]
        if not self.corpus.pairs:
            return groups
        pairs = [bool(self.corpus.is_pair[self._owners[units[0]]]) for units, _ in groups]
        shown = {True: 0.0, False: 0.0}
        for (units, weight), pair in zip(groups, pairs, strict=True):
            often = weight * len(units) ** (1 / self.temperature)
            shown[pair] += often * float(self._lengths[units].mean())
        share = self.parallel_share
        factor = share / (1 - share) * shown[False] / shown[True]
        return [
            (units, weight * (factor if pair else 1.0))
            for (units, weight), pair in zip(groups, pairs, strict=True)
        ]


def _joined(values: list[NDArray[Token]], units: Rows) -> NDArray[Token]:
    """What stands in a row: its first token is there once."""
    first, *others = (values[unit] for unit in units)
    return np.concatenate([first, *(other[1:] for other in others)])


def windows(ids: NDArray[np.int32], length: int) -> list[NDArray[np.int32]]:
    """A tokenised text in parts of at most ``length`` tokens, each with first and last token."""
    inner, room = ids[1:-1], length - 2
    if len(inner) <= room:
        return [ids]
    return [
        np.concatenate([ids[:1], inner[at : at + room], ids[-1:]])
        for at in range(0, len(inner), room)
    ]


def packed(units: Rows, lengths: NDArray[np.int64], *, room: int) -> list[Rows]:
    """Put units into rows, in their order, each into the first open row that has room for it.

    Args:
        units: numbers of units.
        lengths: tokens of every unit, at most ``room``.
        room: tokens of a row.

    Returns:
        Per row the units that stand in it.
    """
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []  # the row, and the room left in it
    for unit, length in zip(units.tolist(), lengths[units].tolist(), strict=True):
        place = next((i for i, (_, left) in enumerate(open_rows) if left >= length), None)
        if place is None:
            if len(open_rows) == OPEN_ROWS:
                open_rows.pop(min(range(OPEN_ROWS), key=lambda i: open_rows[i][1]))
            rows.append([])
            open_rows.append((len(rows) - 1, room))
            place = len(open_rows) - 1
        row, left = open_rows[place]
        rows[row].append(unit)
        open_rows[place] = (row, left - length)
    return [np.array(row) for row in rows]
