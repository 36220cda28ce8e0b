"""Leaves parts of a student as they are: stages of a recipe train one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from xmpress.compression.students import layer_of
from xmpress.errors import RecipeError
from xmpress.modeling import MultiTaskModel

Part = str | Mapping[Any, int]


def freeze(model: MultiTaskModel, parts: Sequence[Part]) -> list[nn.Parameter]:
    """Exclude parts of a model from training (gradual unfreezing, Howard & Ruder, 2018).

    Args:
        model: changed in place.
        parts: ``embedding`` (all that comes before the first layer), ``layers`` or ``{layers: n}``
            (the n lowest), ``encoder``, ``heads``.

    Returns:
        What is left to train.

    Raises:
        RecipeError: if that is nothing, or there are not so many layers.
    """
    layers = model.config.encoder_config.num_hidden_layers
    lowest = 0
    for part in parts:
        if part == "layers":
            lowest = layers
        elif isinstance(part, Mapping):
            lowest = max(lowest, *part.values())
    if lowest > layers:
        raise RecipeError(f"distill: freeze.layers is {lowest}, the student has {layers} layers")
    for name, parameter in model.named_parameters():
        number = layer_of(name)
        parameter.requires_grad_(
            not (
                ("heads" if name.startswith("heads.") else "encoder") in parts
                or (number is not None and number < lowest)
                or ("embedding" in parts and name.startswith("encoder.embeddings"))
            )
        )
    left = [p for p in model.parameters() if p.requires_grad]
    if not left:
        raise RecipeError("distill: freeze leaves nothing to train")
    return left
