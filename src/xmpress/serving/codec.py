"""What a bundle does around its engine: texts to inputs, outputs to rows of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmpress.runtime.batching import pad
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.cache import Pair
from xmpress.runtime.decoding import Decoded
from xmpress.runtime.tokenization import Encoded
from xmpress.serving.fairness import Text
from xmpress.tasks import Bools, FloatArray, TaskSet


class Codec:
    """Encodes and decodes for one bundle.

    A text's *row* is float32 [W] with W = 2 S: the probabilities of all labels of all tasks side
    by side, then for each whether it was decided on (1 or 0). Rows are what is remembered and
    passed about, because one array for all tasks is cheap to move.

    Attributes:
        tasks: what is predicted.
        width: W.
    """

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self.tasks: TaskSet = manifest.task_set
        self._calibration = manifest.calibrations()
        self._tokenizer = bundle.tokenizer()
        self._inputs = manifest.inputs
        self._columns: dict[str, slice] = {}
        start = 0
        for task in self.tasks:
            self._columns[task.name] = slice(start, start + len(task))
            start += len(task)
        self._labels = start
        self.width = 2 * start

    def encode(self, pairs: Sequence[Pair]) -> Encoded:
        """Tokenise texts with their contexts."""
        return self._tokenizer.encode([text for text, _ in pairs], [c for _, c in pairs])

    def inputs(self, texts: Sequence[Text]) -> tuple[dict[str, NDArray[Any]], int, int]:
        """The engine's inputs [B, T], their tokens, and their tokens with padding."""
        encoded = Encoded.of(
            [text.ids for text in texts],
            [
                np.zeros(len(text.ids), np.int8) if text.type_ids is None else text.type_ids
                for text in texts
            ],
        )
        inputs = pad(encoded, range(len(texts)), self._tokenizer.pad_id, inputs=self._inputs)
        return inputs, int(encoded.lengths.sum()), inputs["input_ids"].size

    def rows(self, outputs: Mapping[str, FloatArray]) -> FloatArray:
        """The engine's outputs, per task logits [B, L], as rows [B, W]."""
        size = len(outputs[self.tasks.names[0]])
        present = np.ones(size, dtype=bool)
        decoded = Decoded.of(present, outputs, self.tasks, self._calibration)
        rows = np.empty((size, self.width), dtype=np.float32)
        for name, columns in self._columns.items():
            rows[:, columns] = decoded.probabilities[name]
            rows[:, self._decided(columns)] = decoded.decided[name]
        return rows

    def decoded(self, present: Bools, rows: FloatArray) -> Decoded:
        """The rows [m, W] of the texts that are present, bool [n], by task."""
        return Decoded(
            present,
            {name: rows[:, columns] for name, columns in self._columns.items()},
            {name: rows[:, self._decided(c)] > 0 for name, c in self._columns.items()},
        )

    def all_decided(self, rows: FloatArray) -> Bools:
        """Whether each label was decided on, bool [m, S], of all tasks side by side."""
        return np.asarray(rows[:, self._labels :] > 0)

    def _decided(self, columns: slice) -> slice:
        return slice(columns.start + self._labels, columns.stop + self._labels)
