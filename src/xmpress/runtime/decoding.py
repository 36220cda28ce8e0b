"""From scores to labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmpress.errors import DataError, Problem
from xmpress.tasks import Bools, Calibration, FloatArray, Task, TaskSet


@dataclass(frozen=True)
class Decoded:
    """The predictions of some tasks for n texts, m of which are not blank.

    Attributes:
        present: bool [n], false for blank texts.
        probabilities: per task float32 [m, L], the rows of the texts that are present.
        decided: per task bool [m, L], the labels predicted.
    """

    present: Bools
    probabilities: dict[str, FloatArray]
    decided: dict[str, Bools]

    @classmethod
    def of(
        cls,
        present: Bools,
        logits: Mapping[str, FloatArray],
        tasks: TaskSet,
        calibration: Mapping[str, Calibration],
    ) -> Decoded:
        """Decode the logits [m, L] of the texts that are present."""
        probabilities = {
            t.name: t.probabilities(logits[t.name], calibration[t.name]) for t in tasks
        }
        decided = {t.name: t.decide(probabilities[t.name], calibration[t.name]) for t in tasks}
        return cls(present, probabilities, decided)

    def confidence(self, task: Task) -> FloatArray:
        """Probability of the most probable label, float32 [m]."""
        return np.asarray(self.probabilities[task.name].max(axis=1, initial=0))


def is_blank(text: str | None) -> bool:
    """Whether a text shows nothing: null, empty, or only spaces and invisible characters."""
    return text is None or not any(c.isprintable() and not c.isspace() for c in text)


def check_texts(values: Sequence[Any], where: Callable[[int], str]) -> None:
    """Refuse what is neither text nor null.

    Raises:
        DataError: naming each place, which is ``where`` of its number from 0.
    """
    problems = [
        Problem(where(i), f"expected text, found {type(value).__name__} {value!r:.40}")
        for i, value in enumerate(values)
        if not isinstance(value, str | None)
    ]
    if problems:
        raise DataError("only text can be analysed", problems)
