"""What every distillation objective is, and their weighted sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from xmpress.compression.distillation.states import Look, States, observe
from xmpress.training.feed import Batch
from xmpress.training.masking import Masking

if TYPE_CHECKING:
    from xmpress.compression.distillation.teachers import StateTeacher

Losses = tuple[Tensor, dict[str, Tensor]]
"""What is minimised, and its parts for the display."""


class Objective(nn.Module, ABC):
    """One way in which a student resembles its teacher.

    Its parameters (projections between widths) are trained with the student and dropped afterwards.

    Attributes:
        looks: what it needs of a run of student and teacher, besides the student's logits.
        masked: whether it runs on inputs with hidden tokens.
        imitates_states: whether the teacher runs beside the student; if not, its answers are looked
            up.
    """

    looks: ClassVar[frozenset[Look]] = frozenset()
    masked: ClassVar[bool] = False
    imitates_states: ClassVar[bool] = True

    @abstractmethod
    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """Compare.

        Args:
            student: what the student computed.
            teacher: what the teacher computed for the same tokens; ``None`` if no objective
                imitates states.
            batch: rows, inputs, labels.
        """


class Distillation(nn.Module):
    """The weighted sum of objectives; runs the student, and the teacher where one is needed.

    Args:
        objectives: by name.
        weights: a factor each.
        teacher: runs beside the student; needed by objectives that imitate states.
        masking: hides tokens; needed by objectives on masked inputs.
    """

    runs_model = True

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        weights: Mapping[str, float],
        *,
        teacher: StateTeacher | None = None,
        masking: Masking | None = None,
    ) -> None:
        super().__init__()
        self.objectives = nn.ModuleDict(objectives)
        self.weights = dict(weights)
        # No submodules: neither optimised nor part of a checkpoint.
        self._teacher = teacher
        self._masking = masking

    def forward(self, model: nn.Module, batch: Batch) -> Losses:
        """Run both and add up.

        Returns:
            The total, and the parts of all objectives, unweighted.
        """
        total: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        for masked in (False, True):
            chosen = {
                name: objective
                for name, objective in self.objectives.items()
                if objective.masked == masked
            }
            if not chosen:
                continue
            student, teacher = self._run(model, batch, list(chosen.values()), masked)
            for name, objective in chosen.items():
                loss, losses = objective(student, teacher, batch)
                total.append(self.weights[name] * loss)
                parts |= losses
        return torch.stack(total).sum(), parts

    def _run(
        self, model: nn.Module, batch: Batch, objectives: list[Any], masked: bool
    ) -> tuple[States, States | None]:
        inputs, targets = dict(batch.inputs), None
        if masked and self._masking is not None:
            inputs["input_ids"], targets = self._masking(inputs["input_ids"])
        looks = frozenset().union(*(objective.looks for objective in objectives))
        student = observe(model, inputs, looks, targets=targets)
        if self._teacher is None or not any(o.imitates_states for o in objectives):
            return student, None
        with torch.no_grad():
            return student, self._teacher.observe(inputs, looks, targets)


def divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of attention-like distributions, in nats.

    Args:
        student: log-probabilities, float [n, heads, s, s]; the last axis is a distribution.
        teacher: the same.
        mask: bool [n, s], false for padding, whose rows do not count.

    Returns:
        The mean over heads and real positions.
    """
    rows = nn.functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    return (rows * mask[:, None, :]).sum() / (rows.shape[1] * mask.sum())
