"""Feeds a training loop: tokenised rows and their labels, in batches of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmpress.data import Dataset
from xmpress.errors import TrainingError
from xmpress.runtime.batching import INPUTS, pad
from xmpress.runtime.tokenization import Tokenizer
from xmpress.training.sampling import Rows, draw_epoch, length_bucketed_batches, strata


@dataclass(frozen=True)
class Batch:
    """One batch on one device.

    Attributes:
        rows: int64 [n], the rows' numbers in the data set (to look up what was computed before).
        inputs: the encoder's inputs, each [n, s].
        labels: per task its targets (bool) and choice (int8), each [n, L].
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    labels: dict[str, tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(
            self.rows.to(device),
            {name: value.to(device) for name, value in self.inputs.items()},
            {name: (t.to(device), c.to(device)) for name, (t, c) in self.labels.items()},
        )


class Batches(Protocol):
    """What a training loop shows the model, epoch after epoch."""

    def epoch(self, number: int) -> list[Any]:
        """The batches of an epoch, each as what `batch` takes; from the seed and number alone."""

    def batch(self, rows: Any) -> Batch:
        """The tensors of one of them."""


@dataclass
class Feed:
    """Batches of a data set, epoch after epoch, the same for the same seed.

    Attributes:
        dataset: the rows.
        tokenizer: makes token ids of them, once.
        token_types: whether the encoder tells text and context apart.
        budget: padded tokens per batch.
        temperature: of the sampling over language and tasks.
        seed: of everything random here.
        weights: per source a factor on how often its rows are shown; 1 where none is given.
        unlabelled: also show rows that carry no label (for distillation).
    """

    dataset: Dataset
    tokenizer: Tokenizer
    token_types: bool
    budget: int
    temperature: float
    seed: int
    weights: Mapping[str, float] = field(default_factory=dict)
    unlabelled: bool = False

    def __post_init__(self) -> None:
        data = self.dataset
        weights = [self.weights.get(source, 1.0) for source in data.sources]
        self._groups = (
            [(np.flatnonzero(weights), 1.0)]
            if self.unlabelled
            else strata(data.langs, data.labels, weights)
        )
        if not sum(len(rows) for rows, _ in self._groups):
            raise TrainingError("there is nothing to train on: no row carries a label of the tasks")
        self._encoded = self.tokenizer.encode(data.texts, data.contexts)
        self._inputs: Sequence[str] = INPUTS if self.token_types else INPUTS[:2]

    def epoch(self, number: int) -> list[Rows]:
        """The batches of one epoch, as row numbers."""
        rows = draw_epoch(self._groups, temperature=self.temperature, seed=self.seed, epoch=number)
        return length_bucketed_batches(
            rows, self._encoded.lengths, budget=self.budget, seed=self.seed, epoch=number
        )

    def batch(self, rows: Rows) -> Batch:
        """The tensors of one batch."""
        inputs = pad(self._encoded, rows, self.tokenizer.pad_id, inputs=self._inputs)
        labels = {name: values.take(rows) for name, values in self.dataset.labels.items()}
        return Batch(
            rows=torch.from_numpy(np.asarray(rows, dtype=np.int64)),
            inputs={name: torch.from_numpy(value) for name, value in inputs.items()},
            labels={
                name: (torch.from_numpy(v.targets), torch.from_numpy(v.choice))
                for name, v in labels.items()
            },
        )
