"""What is said about a text, as Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmpress.runtime.decoding import Decoded
from xmpress.tasks import TaskSet


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one task says about one text.

    Attributes:
        label: the label; ``None`` for multi-label tasks and for blank texts.
        labels: the labels that apply, in the task's order; for other kinds the one label.
        confidence: probability of the label; multi-label: of the most probable label, whether it
            applies or not. ``None`` for blank texts.
        probabilities: per label; they sum to 1 except for multi-label tasks. Empty if blank.
        multi: whether the task is multi-label.
    """

    label: str | None
    labels: tuple[str, ...]
    confidence: float | None
    probabilities: dict[str, float]
    multi: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``label`` or ``labels`` (null for a blank text), confidence, probabilities."""
        if self.multi:
            label = {"labels": None if self.confidence is None else list(self.labels)}
            return {**label, "confidence": self.confidence, "probabilities": self.probabilities}
        return {
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
        }


class Analysis(Mapping[str, Prediction]):
    """The predictions for one text, by task.

    Attributes:
        text: the text as it was given.
    """

    __slots__ = ("_predictions", "text")

    def __init__(self, text: str | None, predictions: Mapping[str, Prediction]) -> None:
        self.text = text
        self._predictions = predictions

    def __getitem__(self, task: str) -> Prediction:
        return self._predictions[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._predictions)

    def __len__(self) -> int:
        return len(self._predictions)

    def __repr__(self) -> str:
        said = ", ".join(
            f"{task}={list(p.labels) if p.multi else p.label}" for task, p in self.items()
        )
        return f"Analysis({self.text!r}, {said})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the text, then each task's prediction by its name."""
        return {"text": self.text, **{task: p.to_dict() for task, p in self.items()}}


def analyses(texts: Sequence[str | None], decoded: Decoded, tasks: TaskSet) -> list[Analysis]:
    """One analysis per text, in their order; null predictions for blank ones."""
    predictions: list[dict[str, Prediction]] = [{} for _ in texts]
    for task in tasks:
        blank = Prediction(None, (), None, {}, task.multi)
        for row in np.flatnonzero(~decoded.present):
            predictions[row][task.name] = blank
        for row, labels, confidence, probabilities in zip(
            np.flatnonzero(decoded.present),
            task.names(decoded.decided[task.name]),
            decoded.confidence(task).tolist(),
            decoded.probabilities[task.name].tolist(),
            strict=True,
        ):
            predictions[row][task.name] = Prediction(
                None if task.multi else labels[0],
                tuple(labels),
                confidence,
                dict(zip(task.labels, probabilities, strict=True)),
                task.multi,
            )
    return [Analysis(text, found) for text, found in zip(texts, predictions, strict=True)]
