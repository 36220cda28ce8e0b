"""How much each unit matters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from xmpress.compression.pruning.structure import Kind, layer_sums, units
from xmpress.modeling import MultiTaskModel
from xmpress.training.feed import Batch

Scores = dict[Kind, list[Tensor]]
"""Per kind, per group of `units` (layers: one group) the importance of each unit, float64."""


def by_magnitude(model: MultiTaskModel, kinds: Sequence[Kind]) -> Scores:
    """The Euclidean norm of all of a unit's weights."""
    sums = _sums(model, kinds, lambda parameter: parameter.detach().square())
    return {kind: [values.sqrt() for values in groups] for kind, groups in sums.items()}


def by_taylor(
    model: MultiTaskModel,
    kinds: Sequence[Kind],
    batches: Iterable[Batch],
    loss: nn.Module,
) -> Scores:
    """What the loss would change without a unit, to first order, added up over its weights.

    The sum over a unit's weights of ``|w * dL/dw|``, averaged over batches (Michel et al., 2019;
    Molchanov et al., 2019). Without dropout.

    Args:
        model: not changed.
        kinds: what to score.
        batches: on any device.
        loss: called with the model's output and a batch, as in training.
    """
    model.eval()
    total: Scores = {}
    number = 0
    for batch in batches:
        batch = batch.to(model.device)
        model.zero_grad(set_to_none=True)
        loss(model(**batch.inputs), batch)[0].backward()
        found = _sums(model, kinds, _change)
        for kind, groups in found.items():
            before = total.get(kind, [torch.zeros(())] * len(groups))
            total[kind] = [a + b for a, b in zip(before, groups, strict=True)]
        number += 1
    model.zero_grad(set_to_none=True)
    return {kind: [values / number for values in groups] for kind, groups in total.items()}


def _change(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return (parameter.detach() * parameter.grad).abs()


def _sums(
    model: MultiTaskModel, kinds: Sequence[Kind], of: Callable[[nn.Parameter], Tensor]
) -> Scores:
    return {
        kind: [layer_sums(model, of)]
        if kind == "layers"
        else [group.sums(of) for group in units(model, kind)]
        for kind in kinds
    }
