"""Masks of heads and feed-forward units that are learned while the model trains.

Hard movement pruning (Sanh et al., 2020) of whole structures, as Lagunas et al. (2021) do with
blocks: every unit has a score; the units with the highest scores pass, the others are multiplied by
zero. The score's gradient is that of the mask (straight-through), so a score grows where the loss
wants more of a unit, and a unit that was masked can come back. The share that passes falls with the
cube of the time left (Zhu and Gupta, 2017).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from xmpress.compression.pruning.choice import choose
from xmpress.compression.pruning.structure import MULTIPLE
from xmpress.modeling import MultiTaskModel, MultiTaskOutput
from xmpress.modeling.shapes import LayerParts, layer_parts
from xmpress.training.feed import Batch

BEGIN, END = 0.1, 0.8
"""Shares of the steps between which units are masked, more and more."""

Masks = dict[str, list[Tensor]]
"""Per kind (``heads``, ``ffn``) and layer a factor of each unit, float [units]."""


class Movement(nn.Module):
    """An objective that also learns which units to keep.

    Args:
        model: its layers have as many scores as units.
        loss: what is optimised, called as in training.
        keep: per kind (``heads``, ``ffn``) the share to keep in the end.
        steps: of the training.
    """

    seen: Tensor

    def __init__(
        self, model: MultiTaskModel, loss: nn.Module, keep: Mapping[str, float], *, steps: int
    ) -> None:
        super().__init__()
        self.loss = loss
        self.keep = dict(keep)
        self.steps = steps
        parts = layer_parts(model.encoder)
        self.layers = len(parts)
        self.scores = nn.ParameterDict(
            {
                _name(kind, number): nn.Parameter(torch.zeros(_count(part, kind)))
                for kind in keep
                for number, part in enumerate(parts)
            }
        )
        # In the checkpoint, so that an interrupted training goes on with the same masks.
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, output: MultiTaskOutput, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the masked model."""
        if self.training:
            self.seen += 1
        result: tuple[Tensor, dict[str, Tensor]] = self.loss(output, batch)
        return result

    def share(self, kind: str) -> float:
        """What passes at the present step."""
        done = float(self.seen) / self.steps
        left = 1 - min(1.0, max(0.0, (done - BEGIN) / (END - BEGIN)))
        return self.keep[kind] + (1 - self.keep[kind]) * left**3

    def kept(self, kind: str, share: float | None = None) -> list[Tensor]:
        """Per layer the numbers of the units that pass, by default at the present step."""
        scores = [self.scores[_name(kind, n)].detach() for n in range(self.layers)]
        total = sum(map(len, scores))
        number = round(total * (self.share(kind) if share is None else share))
        return choose(scores, number, multiple=MULTIPLE if kind == "ffn" else 1)

    def masks(self) -> Masks:
        """The factors at the present step; their gradients go to the scores."""
        masks: Masks = {}
        for kind in self.keep:
            masks[kind] = []
            for number, kept in enumerate(self.kept(kind)):
                score = self.scores[_name(kind, number)]
                hard = torch.zeros_like(score)
                hard[kept.to(score.device)] = 1.0
                # Zero in value, the score in its gradient.
                masks[kind].append(hard + (score - score.detach()))
        return masks

    @contextlib.contextmanager
    def applied(self, model: MultiTaskModel) -> Iterator[None]:
        """Mask the model's units by the scores while the block runs."""
        with masked(model, {}) as masks:

            def refresh(*_: Any) -> None:
                masks.clear()
                masks.update(self.masks())

            handle = model.register_forward_pre_hook(refresh)
            try:
                yield
            finally:
                handle.remove()


@contextlib.contextmanager
def masked(model: MultiTaskModel, masks: Masks) -> Iterator[Masks]:
    """Multiply a model's heads and feed-forward units by factors while the block runs.

    A unit with factor 0 computes nothing: the outputs are those of the model without it.

    Args:
        model: the model.
        masks: the factors; may be changed meanwhile.
    """
    with contextlib.ExitStack() as stack:
        for number, part in enumerate(layer_parts(model.encoder)):
            for kind, matrix, width in (("heads", part.out, part.head_size), ("ffn", part.down, 1)):
                hook = matrix.register_forward_pre_hook(_factor(masks, kind, number, width))
                stack.callback(hook.remove)
        yield masks


def _factor(masks: Masks, kind: str, number: int, width: int) -> Any:
    def multiply(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if kind not in masks:
            return None
        factors = masks[kind][number].repeat_interleave(width)
        return (inputs[0] * factors.to(inputs[0].dtype), *inputs[1:])

    return multiply


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number}"


def _count(part: LayerParts, kind: str) -> int:
    return part.up.out_features if kind == "ffn" else part.query.out_features // part.head_size
