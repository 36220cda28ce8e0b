"""The first stage of a cascade: answers what is easy, so that the main model need not run.

A bundle may hold a bag-of-pieces model beside its graph. It reads the pieces of the main model's
tokenizer, so a text is tokenised once. Where it is certain enough in every task asked for, its
scores stand; all other texts go to the main model, for all tasks, so that the answers to one text
always come from one model.

The stage is a table with a vector per piece, the mean over a text's pieces, and a perceptron with
one hidden layer (as fastText and model2vec have it, but with the tasks' scores as its output). It
computes in whole numbers: vectors, activations and weights are int8, and every sum stays below
2**24, under which float32 is exact. So a text's scores are the same to the last bit whatever it is
batched with, on every processor: otherwise a text at a threshold could be answered by one model
alone, and by the other in company.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xmpress.errors import BundleError, UsageError
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import Bools, Calibration, FloatArray, Task, TaskSet

STAGE = "cascade/stage.npz"
"""The first stage's place in a bundle."""
CASCADE_VARIABLE = "XMPRESS_CASCADE"
"""Environment variable, where the call does not say: ``off`` leaves all to the main model."""
SIGNED, UNSIGNED = 127, 255
"""Largest values of mean vectors and weights, and of hidden activations."""
EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


def is_on(wished: bool | None) -> bool:
    """Whether first stages answer: as wished, or else as `CASCADE_VARIABLE` has it.

    Raises:
        UsageError: if the variable says neither.
    """
    if wished is not None:
        return wished
    said = os.environ.get(CASCADE_VARIABLE) or "on"
    if said not in {"on", "off"}:
        raise UsageError(f"{CASCADE_VARIABLE} is '{said}'; expected on or off")
    return said == "on"


class CascadeSpec(BaseModel):
    """What a bundle's manifest says about its first stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certainty: dict[str, Annotated[float, Field(ge=0)]]
    """Per task the `certainty` from which the first stage's answer stands; above 1: never."""
    temperature: dict[str, Annotated[float, Field(gt=0)]]
    """Per task what divides the first stage's scores, tuned on validation data."""
    measured: dict[str, Any] = {}
    """What was found when it was made: the share answered early, and what that costs."""


def certainty(task: Task, logits: FloatArray, calibration: Calibration) -> FloatArray:
    """How sure the decision on each text is, 0 to 1, float32 [n].

    Single-label and ordinal: the probability of the label. Multi-label: of the label least sure,
    how far it is from its threshold in log-odds, as a probability: 0.5 on the threshold, and
    ``max(p, 1 - p)`` where the threshold is 0.5.

    Args:
        task: decides the kind.
        logits: float [n, L].
        calibration: of these logits.
    """
    if not task.multi:
        return np.asarray(task.probabilities(logits, calibration).max(axis=1))
    thresholds = np.asarray(calibration.thresholds or (0.5,) * len(task), dtype=np.float64)
    thresholds = np.clip(thresholds, 1e-6, 1 - 1e-6)
    odds = np.asarray(logits, np.float64) / calibration.temperature
    distance = np.abs(odds - np.log(thresholds / (1 - thresholds))).min(axis=1)
    return np.asarray(1 / (1 + np.exp(-distance)), dtype=np.float32)


@dataclass(frozen=True)
class StageWeights:
    """The arrays of `STAGE`.

    Attributes:
        table: int8 [V, D], a vector per piece.
        table_scale: float32 [D]; the sum of vectors, times this and divided by the number of
            pieces, is rounded to a whole number of at most `SIGNED`.
        hidden: int8 [D, H].
        hidden_scale: float32 [H], to whole numbers of at most `UNSIGNED`.
        hidden_bias: float32 [H], added after it; what is negative then becomes 0.
        output: int8 [H, S], S the labels of all tasks side by side.
        output_scale: float32 [S].
        output_bias: float32 [S].
    """

    table: NDArray[np.int8]
    table_scale: FloatArray
    hidden: NDArray[np.int8]
    hidden_scale: FloatArray
    hidden_bias: FloatArray
    output: NDArray[np.int8]
    output_scale: FloatArray
    output_bias: FloatArray

    def check(self, *, pieces: int, labels: int) -> None:
        """See that the arrays fit together, the tokenizer and the tasks.

        Raises:
            ValueError: saying what does not.
        """
        vectors, width, units = self.table.shape[0], self.hidden.shape[0], self.output.shape[0]
        shapes = {
            "table": (vectors, width), "table_scale": (width,), "hidden": (width, units),
            "hidden_scale": (units,), "hidden_bias": (units,), "output": (units, labels),
            "output_scale": (labels,), "output_bias": (labels,),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = getattr(self, name)
            kind = np.int8 if name in {"table", "hidden", "output"} else np.float32
            if found.shape != shape or found.dtype != kind:
                raise ValueError(f"{name} is {found.dtype} {found.shape}, expected {shape}")
            if not np.isfinite(found).all():
                raise ValueError(f"{name} is not finite")
        if vectors < pieces:
            raise ValueError(f"it has {vectors} vectors for a tokenizer of {pieces} pieces")
        if width * SIGNED**2 >= EXACT or units * SIGNED * UNSIGNED >= EXACT:
            raise ValueError(f"with {width} x {units} units its sums are no longer exact")

    def save(self, path: Path) -> None:
        """Write the arrays; the same arrays give the same bytes."""
        np.savez_compressed(
            path, **{field.name: getattr(self, field.name) for field in fields(self)}
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read them.

        Raises:
            BundleError: if the file is missing or damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                return cls(**{field.name: content[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(f"first stage {path} cannot be read: {error}") from error


class FirstStage:
    """Answers the texts it is certain of. Safe to use from several threads."""

    def __init__(
        self,
        weights: StageWeights,
        spec: CascadeSpec,
        tasks: TaskSet,
        calibration: Mapping[str, Calibration],
    ) -> None:
        """Wrap weights that were checked.

        Args:
            weights: the arrays.
            spec: temperatures and thresholds.
            tasks: what it predicts, in the order of the scores.
            calibration: the main model's. The scores are brought to its scale, so that one
                calibration decodes the scores of both.
        """
        self.tasks = tasks
        self._spec = spec
        self._calibration = calibration
        self._table = weights.table
        self._table_scale = weights.table_scale
        self._hidden = weights.hidden.astype(np.float32)
        self._hidden_scale = weights.hidden_scale
        self._hidden_bias = weights.hidden_bias
        self._output = weights.output.astype(np.float32)
        factor = np.repeat(
            [calibration[t.name].temperature / spec.temperature[t.name] for t in tasks],
            [len(t) for t in tasks],
        ).astype(np.float32)
        self._output_scale = weights.output_scale * factor
        self._output_bias = weights.output_bias * factor

    @classmethod
    def open(
        cls,
        path: Path,
        spec: CascadeSpec,
        tasks: TaskSet,
        calibration: Mapping[str, Calibration],
        *,
        pieces: int,
    ) -> Self:
        """Read the stage of a bundle.

        Args:
            path: the file.
            spec: what the manifest says.
            tasks: the bundle's.
            calibration: the main model's.
            pieces: token ids of the tokenizer.

        Raises:
            BundleError: if it is missing, damaged, or does not fit the bundle.
        """
        weights = StageWeights.load(path)
        try:
            weights.check(pieces=pieces, labels=sum(map(len, tasks)))
        except (ValueError, AttributeError, IndexError, TypeError) as error:
            raise BundleError(
                f"first stage {path} does not fit its bundle: {error}; make the cascade again "
                "(xmpress compress cascade)"
            ) from error
        return cls(weights, spec, tasks, calibration)

    def answer(self, encoded: Encoded, tasks: TaskSet) -> tuple[FloatArray, Bools]:
        """The scores of all tasks, [n, S], and which texts are certain in the tasks asked for."""
        scores = self.scores(encoded)
        return scores, self.certain(scores, tasks)

    def scores(self, encoded: Encoded) -> FloatArray:
        """Logits on the main model's scale, of all tasks side by side, float32 [n, S]."""
        pieces = np.maximum(encoded.lengths, 1).astype(np.float32)[:, None]
        means = sum_pieces(self._table, encoded) * (self._table_scale / pieces)
        vectors = np.clip(np.rint(means), -SIGNED, SIGNED)
        hidden = (vectors @ self._hidden) * self._hidden_scale + self._hidden_bias
        units = np.clip(np.rint(hidden), 0, UNSIGNED)
        return np.asarray((units @ self._output) * self._output_scale + self._output_bias)

    def certain(self, scores: FloatArray, tasks: TaskSet) -> Bools:
        """Which of the texts with these scores, [n, S], are certain in every one of some tasks."""
        certain = np.ones(len(scores), dtype=bool)
        start = 0
        for task in self.tasks:
            if task.name in tasks:
                own = scores[:, start : start + len(task)]
                found = certainty(task, own, self._calibration[task.name])
                certain &= found >= self._spec.certainty[task.name]
            start += len(task)
        return certain


def sum_pieces(table: NDArray[np.int8], encoded: Encoded) -> FloatArray:
    """The sum of each text's vectors, float32 [n, D]; whole numbers.

    Place after place over texts sorted by length, so nothing is padded, or, where that is the
    shorter loop, text after text. On texts of 40 tokens this took a third of the time of ONNX
    Runtime's gather and sum in padded batches, and a fifth of ``numpy.add.reduceat``
    (studies/cascade/sums.py).

    Args:
        table: int8 [V, D].
        encoded: n texts, of less than 132,000 tokens each.
    """
    lengths = encoded.lengths
    texts = len(lengths)
    longest = int(lengths.max(initial=0))
    sums = np.zeros((texts, table.shape[1]), dtype=np.float32)
    if texts < longest:
        for row, tokens in enumerate(encoded.ids):
            np.take(table, tokens, axis=0).sum(axis=0, dtype=np.float32, out=sums[row])
        return sums
    order = np.argsort(-lengths, kind="stable")
    starts = encoded.offsets[:-1][order]
    reaching = texts - np.cumsum(np.bincount(lengths, minlength=longest + 1))  # longer than a place
    for place, count in enumerate(reaching[:longest].tolist()):
        sums[:count] += np.take(table, encoded.tokens[starts[:count] + place], axis=0)
    unsorted = np.empty_like(sums)
    unsorted[order] = sums
    return unsorted
