"""The objective ``logits``: the student gives the teacher's answers (Hinton et al., 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmpress.compression.distillation.objectives import Losses, Objective
from xmpress.compression.distillation.states import States
from xmpress.errors import ModelError
from xmpress.modeling import MultiTaskOutput
from xmpress.tasks import FloatArray, Task, TaskSet
from xmpress.training.feed import Batch
from xmpress.training.losses import MultiTaskLoss


class DistillationLoss(nn.Module):
    """Soft targets from a teacher, mixed with labels where there are any.

    Single-label and ordinal tasks: the Kullback-Leibler divergence of the student's distribution
    from the teacher's, both at a temperature T. Multi-label tasks: the sum over labels of the same
    for each label's own yes or no. Both times T squared, which keeps the size of the gradient
    (Hinton et al., 2015); zero if the student gives the teacher's answers.

    Args:
        tasks: the tasks of both.
        soft: the teacher's logits per task, float [n, L], by row number of the data set.
        temperature: T.
        alpha: weight of the labels; ``1 - alpha`` is the teacher's.
    """

    def __init__(
        self,
        tasks: TaskSet,
        soft: Mapping[str, FloatArray],
        *,
        temperature: float,
        alpha: float,
    ) -> None:
        super().__init__()
        missing = [name for name in tasks.names if name not in soft]
        if missing:
            raise ModelError(f"the teacher does not predict {', '.join(missing)}")
        self.tasks = tasks
        self.temperature = temperature
        self.alpha = alpha
        self.hard = MultiTaskLoss(tasks)
        for name in tasks.names:
            # Not part of a checkpoint: it is in the cache already.
            self.register_buffer(f"soft_{name}", torch.from_numpy(soft[name]), persistent=False)

    def forward(self, output: MultiTaskOutput, batch: Batch) -> Losses:
        """Weigh and add up.

        Returns:
            The total, and each task's loss from the teacher alone, mean over the batch.
        """
        logits = output.logits or {}
        per_task = {
            task.name: soft_losses(
                task,
                logits[task.name],
                self.get_buffer(f"soft_{task.name}")[batch.rows],
                temperature=self.temperature,
            ).mean()
            for task in self.tasks
        }
        loss = (1 - self.alpha) * torch.stack(list(per_task.values())).sum()
        if self.alpha:
            loss = loss + self.alpha * self.hard(output, batch)[0]
        return loss, per_task


class Logits(Objective):
    """`DistillationLoss` as an objective among others."""

    imitates_states: ClassVar[bool] = False

    def __init__(self, loss: DistillationLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """See `DistillationLoss`."""
        losses: Losses = self.loss(student.output, batch)
        return losses


def soft_losses(task: Task, logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """The divergence of a student's scores from its teacher's, in nats, times T squared.

    Args:
        task: decides the kind.
        logits: the student's, float [n, L].
        teacher: float [n, L].
        temperature: T.

    Returns:
        float [n], at least 0.
    """
    logits, teacher = logits.float() / temperature, teacher.float() / temperature
    if task.multi:
        # Each label as a distribution over yes and no.
        logits = torch.stack([logits, torch.zeros_like(logits)], dim=-1)
        teacher = torch.stack([teacher, torch.zeros_like(teacher)], dim=-1)
    divergence = nn.functional.kl_div(
        logits.log_softmax(dim=-1), teacher.log_softmax(dim=-1), reduction="none", log_target=True
    )
    return temperature**2 * divergence.flatten(start_dim=1).sum(dim=1)
