"""Makes the student a recipe asks for, from the teacher's configuration and weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CONFIG_MAPPING

from xmpress.compression.recipe import StudentSpec
from xmpress.errors import RecipeError
from xmpress.modeling import LoadedModel, MultiTaskModel
from xmpress.modeling.encoders import EncoderSource, make_model, open_encoder
from xmpress.modeling.model import count_parameters, encoder_from_config

_LAYER = re.compile(r"(\.layers?\.)(\d+)(?=\.)")
"""The number of a transformer layer within the name of a weight, after ``.layer.``."""


@dataclass(frozen=True)
class Student:
    """A model to train, and where its tokenizer is.

    Attributes:
        model: fresh or partly copied weights.
        tokenizer_files: a directory with ``tokenizer.json``.
        copied: share of the parameters that come from the teacher.
    """

    model: MultiTaskModel
    tokenizer_files: Path
    copied: float


def make_student(spec: StudentSpec, teacher: LoadedModel, workspace: Path) -> Student:
    """Make a student.

    With ``init: teacher-layers`` evenly spaced layers, the first and the last among them, keep
    their order (as DistilBERT was initialised; Sanh et al., 2019); every other weight of equal name
    and shape, embedding and heads included, is copied too.

    Args:
        spec: what the recipe asks for.
        teacher: gives sizes that are left out, weights, tasks, pooling, and the tokenizer.
        workspace: an existing directory for the files of another tokenizer.

    Raises:
        RecipeError: if the sizes do not go together, or with the teacher's.
    """
    source = _encoder(spec, teacher, workspace)
    config = teacher.model.config
    model = make_model(
        source,
        teacher.tasks,
        pooling=config.pooling,
        head_dropout=config.head_dropout,
        max_length=config.max_length,
        languages=config.languages,
    )
    copied = 0
    if spec.encoder is None and spec.init == "teacher-layers":
        copied = _copy_weights(teacher.model, model)
    return Student(model, source.tokenizer_files, copied / count_parameters(model))


def _encoder(spec: StudentSpec, teacher: LoadedModel, workspace: Path) -> EncoderSource:
    if spec.encoder is not None:
        # A configuration has no tokenizer of its own; a pretrained encoder brings one.
        return open_encoder(spec.encoder, workspace=workspace, tokenizer=teacher.path)
    config = _shrunk(spec, teacher.model.config.encoder_config)
    return EncoderSource(encoder_from_config(config), teacher.path, "student")


def _shrunk(spec: StudentSpec, teacher: Any) -> Any:
    """The teacher's architecture in the student's sizes."""
    hidden = spec.hidden or teacher.hidden_size
    heads = spec.heads or teacher.num_attention_heads * hidden // teacher.hidden_size
    if not heads or hidden % heads:
        raise RecipeError(f"student: hidden {hidden} is no multiple of heads {heads}; give heads")
    if spec.init == "teacher-layers" and (hidden, heads) != (
        teacher.hidden_size,
        teacher.num_attention_heads,
    ):
        raise RecipeError(
            f"student: layers can be copied only with the teacher's hidden {teacher.hidden_size} "
            f"and heads {teacher.num_attention_heads}; use those, or init: random"
        )
    sizes = {
        "num_hidden_layers": spec.layers or teacher.num_hidden_layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
    }
    own_ffn = "hidden_dim" if hasattr(teacher, "hidden_dim") else "intermediate_size"
    sizes[own_ffn] = spec.ffn or (4 * hidden if spec.hidden else getattr(teacher, own_ffn))
    content = teacher.to_dict()
    # Lists with an entry per layer follow from the number of layers.
    content.pop("layer_types", None)
    content.update({teacher.attribute_map.get(key, key): size for key, size in sizes.items()})
    return CONFIG_MAPPING[teacher.model_type](**content)


@torch.no_grad()
def _copy_weights(teacher: MultiTaskModel, student: MultiTaskModel) -> int:
    """Copy what fits; the number of parameters copied."""
    available: dict[str, Tensor] = teacher.state_dict()
    layers = [model.config.encoder_config.num_hidden_layers for model in (teacher, student)]
    chosen = np.linspace(0, layers[0] - 1, layers[1]).round().astype(int)
    copied = 0
    for name, parameter in student.named_parameters():
        source = available.get(_LAYER.sub(lambda m: f"{m[1]}{chosen[int(m[2])]}", name))
        if source is not None and source.shape == parameter.shape:
            parameter.copy_(source)
            copied += parameter.numel()
    return copied
