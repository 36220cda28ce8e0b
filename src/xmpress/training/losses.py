"""Losses that see only what was annotated, and their weights across tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from xmpress.modeling.model import MultiTaskOutput
from xmpress.tasks import Task, TaskSet
from xmpress.training.feed import Batch

LossWeights = Literal["uncertainty"] | Mapping[str, float]


def row_losses(task: Task, logits: Tensor, targets: Tensor, choice: Tensor) -> Tensor:
    """Negative log-likelihood of the annotation of each row, in nats; 0 where there is none.

    Single-label and ordinal: ``-log`` of the summed probability of the labels that are right, among
    those on offer; for a coarse label that is the probability of the set. Multi-label: the sum of
    the binary cross-entropies of the labels on offer.

    Args:
        task: decides the kind.
        logits: float [n, L].
        targets: bool [n, L], see `Labels`.
        choice: int [n, L], 0 where a label was not on offer.

    Returns:
        float [n].
    """
    offered = choice > 0
    logits = logits.float()
    if task.multi:
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits, targets.float(), reduction="none"
        )
        return torch.where(offered, losses, 0.0).sum(dim=1)
    # Rows without annotation take part with everything on offer and right: exactly 0.
    blank = ~offered.any(dim=1, keepdim=True)
    lowest = torch.finfo(logits.dtype).min
    of_offered = logits.masked_fill(~(offered | blank), lowest).logsumexp(dim=1)
    of_targets = logits.masked_fill(~(targets | blank), lowest).logsumexp(dim=1)
    return of_offered - of_targets


class MultiTaskLoss(nn.Module):
    """The sum over tasks of the mean loss of the rows annotated for it.

    Args:
        tasks: the tasks.
        weights: a fixed factor per task (1 where none is given), or ``"uncertainty"``: learned
            homoscedastic uncertainty (Kendall et al., 2018), ``loss * exp(-s) + s / 2`` with one
            ``s`` per task.
    """

    def __init__(self, tasks: TaskSet, weights: LossWeights | None = None) -> None:
        super().__init__()
        self.tasks = tasks
        self.log_variance = (
            nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in tasks.names})
            if weights == "uncertainty"
            else None
        )
        self.weights = {} if weights is None or isinstance(weights, str) else dict(weights)

    def forward(self, output: MultiTaskOutput, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weigh and add up.

        Returns:
            The total, and each task's unweighted mean loss over the rows annotated for it.
        """
        per_task = {}
        logits = output.logits or {}
        for task in self.tasks:
            targets, choice = batch.labels[task.name]
            rows = row_losses(task, logits[task.name], targets, choice)
            annotated = (choice > 0).any(dim=1).sum()
            per_task[task.name] = rows.sum() / annotated.clamp(min=1)
        return self.combine(per_task), per_task

    def combine(self, per_task: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of per-task losses."""
        terms = []
        for name, loss in per_task.items():
            if self.log_variance is None:
                terms.append(self.weights.get(name, 1.0) * loss)
            else:
                s = self.log_variance[name]
                terms.append(loss * torch.exp(-s) + 0.5 * s)
        return torch.stack(terms).sum()
