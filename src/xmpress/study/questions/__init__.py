"""The seven questions of a study, each answered out of its results alone."""

from collections.abc import Callable

from xmpress.study.questions import (
    calibration,
    compression,
    consistency,
    cost,
    languages,
    multi_task,
    zero_shot,
)
from xmpress.study.questions.base import NO_DIFFERENCE, Answer, Table
from xmpress.study.view import View

QUESTIONS: tuple[Callable[[View], Answer], ...] = (
    multi_task.answer,
    compression.answer,
    languages.answer,
    zero_shot.answer,
    consistency.answer,
    calibration.answer,
    cost.answer,
)
"""In the order of the report."""


def answers(view: View) -> list[Answer]:
    """All answers."""
    return [question(view) for question in QUESTIONS]


__all__ = ["NO_DIFFERENCE", "QUESTIONS", "Answer", "Table", "answers"]
