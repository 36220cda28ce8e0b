"""The objectives ``relations`` and ``attention``: which token attends to which, in one layer."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from xmpress.compression.distillation.objectives import Losses, Objective, divergence
from xmpress.compression.distillation.states import Look, States
from xmpress.errors import RecipeError
from xmpress.training.feed import Batch

NARROWEST = 16
"""Width of a relation head of the teacher in the paper: 48 heads for BERT-base, 64 for large."""


class Relations(Objective):
    """Self-attention relations of MiniLMv2 (Wang et al., 2021).

    The queries of a layer, all heads side by side, are cut into relation heads; each gives the
    distribution ``softmax(Q Qᵀ / sqrt(width))`` over the tokens. The same for keys and values. The
    student's last layer learns those of one of the teacher's layers. Number and width of the
    attention heads are free on both sides.

    Args:
        teacher_layer: number of the teacher's layer, from 0.
        heads: relation heads; must divide the width of both sides' queries.
    """

    looks: ClassVar[frozenset[Look]] = frozenset({"projections"})

    def __init__(self, teacher_layer: int, heads: int) -> None:
        super().__init__()
        self.teacher_layer = teacher_layer
        self.heads = heads

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """The sum of the three divergences; the parts are these."""
        assert teacher is not None
        ours, theirs = student.projections[-1], teacher.projections[self.teacher_layer]
        parts = {
            f"relations/{name}": divergence(
                log_relation(getattr(ours, name), student.mask, self.heads),
                log_relation(getattr(theirs, name), student.mask, self.heads),
                student.mask,
            )
            for name in ("queries", "keys", "values")
        }
        return torch.stack(list(parts.values())).sum(), parts


class Attention(Objective):
    """Attention distributions and value relation of MiniLM (Wang et al., 2020).

    The student's last layer learns the attention maps of one of the teacher's layers, head by head,
    and the relation ``softmax(V Vᵀ / sqrt(width))`` of its values; both need equal numbers of
    heads, of any width.

    Args:
        teacher_layer: number of the teacher's layer, from 0.
    """

    looks: ClassVar[frozenset[Look]] = frozenset({"maps", "projections"})

    def __init__(self, teacher_layer: int) -> None:
        super().__init__()
        self.teacher_layer = teacher_layer

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """The sum of the two divergences; the parts are these.

        Raises:
            RecipeError: if the numbers of heads differ.
        """
        assert teacher is not None
        ours, theirs = student.maps[-1], teacher.maps[self.teacher_layer]
        heads = ours.shape[1]
        parts = {
            "attention/maps": map_divergence(ours, theirs, student.mask, objective="attention"),
            "attention/values": divergence(
                log_relation(student.projections[-1].values, student.mask, heads),
                log_relation(teacher.projections[self.teacher_layer].values, student.mask, heads),
                student.mask,
            ),
        }
        return torch.stack(list(parts.values())).sum(), parts


def log_relation(states: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Log-probabilities of each token's relation to the others.

    Args:
        states: queries, keys or values, float [n, s, width].
        mask: bool [n, s]; padding has probability 0.
        heads: divides the width.

    Returns:
        float [n, heads, s, s].
    """
    n, s, width = states.shape
    cut = states.float().view(n, s, heads, width // heads).transpose(1, 2)
    # In mixed precision too: sums of products are large, and their differences are what counts.
    with torch.autocast(states.device.type, enabled=False):
        scores = cut @ cut.transpose(-1, -2) / math.sqrt(width // heads)
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask[:, None, None, :], lowest).log_softmax(dim=-1)


def map_divergence(student: Tensor, teacher: Tensor, mask: Tensor, *, objective: str) -> Tensor:
    """The divergence of attention maps, head by head.

    Args:
        student: probabilities, float [n, heads, s, s].
        teacher: the same.
        mask: bool [n, s].
        objective: named in the error.

    Raises:
        RecipeError: if the numbers of heads differ.
    """
    if student.shape[1] != teacher.shape[1]:
        raise RecipeError(
            f"distill: {objective} compares attention maps head by head, but the student has "
            f"{student.shape[1]} heads and the teacher {teacher.shape[1]}; give the student as "
            "many (student.heads), or use the objective relations"
        )
    smallest = torch.finfo(torch.float32).tiny
    ours, theirs = (m.float().clamp_min(smallest).log() for m in (student, teacher))
    return divergence(ours, theirs, mask)


def relation_heads(student: int, teacher: int, wanted: int | None) -> int:
    """How many relation heads cut both widths.

    Args:
        student: width of the student's queries.
        teacher: width of the teacher's.
        wanted: by the recipe; if left out, as many as leave the teacher's at least `NARROWEST`
            wide, as in the paper.

    Raises:
        RecipeError: if the number wanted does not divide both.
    """
    common = math.gcd(student, teacher)
    if wanted is None:
        most = max(1, teacher // NARROWEST)
        return max(d for d in range(1, common + 1) if common % d == 0 and d <= most)
    if common % wanted:
        raise RecipeError(
            f"distill: relation_heads {wanted} must divide the width of the student's queries, "
            f"{student}, and of the teacher's, {teacher}: that is, divide {common}"
        )
    return wanted


def layer_number(wanted: int, layers: int, *, what: str = "teacher_layer") -> int:
    """A layer's number from 0; negative ones count from the end.

    Raises:
        RecipeError: if there is no such layer.
    """
    if not -layers <= wanted < layers:
        raise RecipeError(
            f"distill: {what} {wanted} is none of the teacher's {layers} layers, "
            f"0 to {layers - 1}, or -{layers} to -1 from the end"
        )
    return wanted % layers
