"""Which units stay, from their importance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def choose(scores: Sequence[Tensor], number: int, *, multiple: int = 1) -> list[Tensor]:
    """The units to keep of each group: the most important of all groups together.

    At least one unit (or ``multiple`` of them, if there are so many) stays in each group, so that
    no layer is left without an attention head.

    Args:
        scores: per group the importance of its units, float [units].
        number: how many to keep in all; what comes out is near it, for the two rules.
        multiple: of the number kept in a group.

    Returns:
        Per group the numbers of the units kept, ascending, int64 [kept].
    """
    # The best of each group come first: they stay whatever happens.
    together = torch.cat([_best_first(group, multiple) for group in scores])
    order = torch.argsort(together, descending=True, stable=True)
    chosen = torch.zeros(len(together), dtype=torch.bool)
    chosen[order[:number].cpu()] = True
    counts = [int(part.sum()) for part in chosen.split([len(group) for group in scores])]
    kept = []
    for group, count in zip(scores, counts, strict=True):
        rounded = max(multiple, multiple * round(count / multiple))
        best = torch.argsort(group, descending=True, stable=True)[: min(rounded, len(group))]
        kept.append(best.sort().values.cpu())
    return kept


def _best_first(group: Tensor, number: int) -> Tensor:
    raised = group.clone()
    raised[torch.argsort(group, descending=True, stable=True)[:number]] = torch.inf
    return raised
