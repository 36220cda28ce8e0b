"""The objective ``hidden``: the student's layers compute what some of the teacher's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from xmpress.compression.distillation.objectives import Losses, Objective
from xmpress.compression.distillation.relations import layer_number, map_divergence
from xmpress.compression.distillation.states import Look, States
from xmpress.errors import RecipeError
from xmpress.training.feed import Batch


class Hidden(Objective):
    """Hidden states layer by layer, embeddings included.

    As in TinyBERT (Jiao et al., 2020) and XtremeDistil (Mukherjee & Awadallah, 2020): the mean
    squared error between the embeddings, and between mapped layers, through a learned projection
    where the widths differ: one for the embeddings, and one for all layers. The loss is the mean
    over what is compared, so that its weight does not depend on the depth.

    Args:
        layers: per layer of the student that of the teacher, from 0; ``None`` leaves one free.
        student: width of the student.
        teacher: width of the teacher.
    """

    looks: ClassVar[frozenset[Look]] = frozenset({"hidden"})

    def __init__(self, layers: Sequence[int | None], *, student: int, teacher: int) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.embedding = projection(student, teacher)
        self.projection = projection(student, teacher)

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """The mean of all parts, which are ``hidden/embedding``, ``hidden/0``, ..."""
        assert teacher is not None
        parts = {
            "hidden/embedding": squared_error(
                self.embedding(student.hidden[0]), teacher.hidden[0], student.mask
            )
        }
        for ours, theirs in enumerate(self.layers):
            if theirs is not None:
                # The embeddings come before the layers.
                parts[f"hidden/{ours}"] = squared_error(
                    self.projection(student.hidden[ours + 1]),
                    teacher.hidden[theirs + 1],
                    student.mask,
                )
        return torch.stack(list(parts.values())).mean(), parts


class HiddenAndMaps(Hidden):
    """`Hidden`, and the attention maps of the mapped layers, head by head.

    TinyBERT compares maps before the softmax by their squared error; here the distributions are
    compared, which does not depend on how an architecture makes its scores.
    """

    looks: ClassVar[frozenset[Look]] = frozenset({"hidden", "maps"})

    def forward(self, student: States, teacher: States | None, batch: Batch) -> Losses:
        """As `Hidden`, plus the mean divergence of the maps.

        Raises:
            RecipeError: if the numbers of heads differ.
        """
        assert teacher is not None
        loss, parts = super().forward(student, teacher, batch)
        maps = [
            map_divergence(
                student.maps[ours], teacher.maps[theirs], student.mask, objective="attention_maps"
            )
            for ours, theirs in enumerate(self.layers)
            if theirs is not None
        ]
        mean = torch.stack(maps).mean()
        return loss + mean, {**parts, "hidden/maps": mean}


def squared_error(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The mean over real positions and dimensions.

    Args:
        student: float [n, s, width].
        teacher: the same.
        mask: bool [n, s].
    """
    errors = (student.float() - teacher.float()).square().mean(dim=-1)
    return (errors * mask).sum() / mask.sum()


def projection(student: int, teacher: int) -> nn.Module:
    """From the student's width to the teacher's; nothing where they are equal."""
    return nn.Identity() if student == teacher else nn.Linear(student, teacher, bias=False)


def map_layers(
    wanted: str | Sequence[int | None], *, student: int, teacher: int
) -> list[int | None]:
    """Per layer of the student that of the teacher, from 0.

    ``uniform`` cuts the teacher into as many blocks of layers as the student has layers, and takes
    the last of each (Jiao et al., 2020).

    Args:
        wanted: ``uniform``, or a number or ``None`` per layer of the student.
        student: its number of layers.
        teacher: its number of layers.

    Raises:
        RecipeError: if a list does not fit.
    """
    if isinstance(wanted, str):
        return [max(0, round((i + 1) * teacher / student) - 1) for i in range(student)]
    if len(wanted) != student:
        raise RecipeError(
            f"distill: layer_map has {len(wanted)} entries, but the student has {student} layers; "
            "give the teacher's layer for each, or null"
        )
    if all(layer is None for layer in wanted):
        raise RecipeError("distill: layer_map maps no layer; give at least one number")
    return [
        None if layer is None else layer_number(layer, teacher, what="layer_map")
        for layer in wanted
    ]
