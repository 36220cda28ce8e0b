"""Makes the student a recipe asks for, from the teacher's configuration and weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import CONFIG_MAPPING

from xmpress.compression.recipe import StudentSpec
from xmpress.errors import RecipeError
from xmpress.modeling import MultiTaskConfig, MultiTaskModel, read_config
from xmpress.modeling.encoders import EncoderSource, make_model, open_encoder
from xmpress.modeling.model import count_parameters, encoder_from_config
from xmpress.modeling.shapes import EMBEDDING_RANK, PRUNED_SHAPES
from xmpress.tasks import TaskSet

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


def make_student(
    spec: StudentSpec, teacher: Path, workspace: Path, *, tasks: TaskSet | None = None
) -> Student:
    """Make a student.

    With ``init: teacher-layers`` the chosen layers of the teacher, or evenly spaced ones with the
    first and the last among them, keep their order (as DistilBERT was initialised; Sanh et al.,
    2019); every other weight of equal name and shape, embedding and heads included, is copied too.
    With ``init: teacher-embedding`` only the embeddings are, projected onto their principal
    directions where the student is narrower (Mukherjee & Awadallah, 2020). The teacher is never in
    memory as a whole.

    Args:
        spec: what the recipe asks for.
        teacher: a model directory; gives sizes that are left out, weights, pooling, the tokenizer.
        workspace: an existing directory for the files of another tokenizer.
        tasks: what the student predicts; what the teacher does if left out.

    Raises:
        RecipeError: if the sizes do not go together, or with the teacher's.
        ModelError: if ``teacher`` is no model directory.
    """
    config = read_config(teacher)
    source, layers = _encoder(spec, config, teacher, workspace)
    model = make_model(
        source,
        tasks or config.task_set,
        pooling=config.pooling,
        head_dropout=config.head_dropout,
        max_length=spec.max_length or config.max_length,
        languages=config.languages,
    )
    copied = 0
    if spec.encoder is None and spec.init != "random":
        with safe_open(teacher / "model.safetensors", framework="pt") as weights:
            if spec.init == "teacher-layers":
                copied = _copy_weights(weights, model, layers)
            else:
                copied = _copy_embeddings(weights, model)
    return Student(model, source.tokenizer_files, copied / count_parameters(model))


def as_deep(spec: StudentSpec, teacher: Path) -> str | None:
    """A warning where a student of layers has no fewer than its teacher, and is no smaller."""
    if spec.layers is None or spec.hidden is not None or spec.ffn is not None:
        return None
    encoder: Any = read_config(teacher).encoder_config
    available = encoder.num_hidden_layers
    asked = len(_layers(spec, available))
    if asked < available:
        return None
    remedy = f"--set student.layers={available // 2}" if available > 1 else "the recipe int8-only"
    return (
        f"warning: a student of {asked} layers is no smaller than its teacher of {available}; "
        f"for a smaller one: {remedy}"
    )


def layer_of(name: str) -> int | None:
    """The number of the layer that a weight belongs to, by its name; ``None`` if to none."""
    found = _LAYER.search(name)
    return None if found is None else int(found[2])


def _encoder(
    spec: StudentSpec, config: MultiTaskConfig, teacher: Path, workspace: Path
) -> tuple[EncoderSource, Sequence[int]]:
    """The encoder, and the teacher's layer for each of its layers."""
    if spec.encoder is not None:
        # A configuration has no tokenizer of its own; a pretrained encoder brings one.
        return open_encoder(spec.encoder, workspace=workspace, tokenizer=teacher), ()
    theirs: Any = config.encoder_config
    layers = _layers(spec, theirs.num_hidden_layers)
    shrunk = _shrunk(spec, layers, theirs)
    return EncoderSource(encoder_from_config(shrunk), teacher, "student"), layers


def _layers(spec: StudentSpec, available: int) -> list[int]:
    if isinstance(spec.layers, tuple):
        wrong = [layer for layer in spec.layers if layer >= available]
        if wrong:
            raise RecipeError(
                f"student: layers {', '.join(map(str, wrong))} are none of the teacher's "
                f"{available}, 0 to {available - 1}"
            )
        return list(spec.layers)
    spaced = np.linspace(0, available - 1, spec.layers or available).round().astype(int)
    return [int(layer) for layer in spaced]


def _shrunk(spec: StudentSpec, layers: Sequence[int], teacher: Any) -> Any:
    """The teacher's architecture in the student's sizes; of each layer the teacher's."""
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
            f"and heads {teacher.num_attention_heads}; use those, or init: teacher-embedding, or "
            "init: random"
        )
    if hidden > teacher.hidden_size and spec.init == "teacher-embedding":
        raise RecipeError(
            f"student: an embedding of width {teacher.hidden_size} cannot fill hidden {hidden}; "
            "use init: random"
        )
    sizes = {
        "num_hidden_layers": len(layers),
        "hidden_size": hidden,
        "num_attention_heads": heads,
    }
    own_ffn = "hidden_dim" if hasattr(teacher, "hidden_dim") else "intermediate_size"
    sizes[own_ffn] = spec.ffn or (4 * hidden if spec.hidden else getattr(teacher, own_ffn))
    content = teacher.to_dict()
    # Lists with an entry per layer follow from the number of layers.
    content.pop("layer_types", None)
    if spec.init == "teacher-embedding":
        content.pop(EMBEDDING_RANK, None)  # its factors are multiplied out, then narrowed
    shapes = content.pop(PRUNED_SHAPES, None)
    if shapes and spec.init == "teacher-layers" and spec.hidden is None and spec.ffn is None:
        # Layers that are copied keep what pruning left of them.
        kept = {key: [shapes[key][layer] for layer in layers] for key in ("heads", "ffn")}
        content[PRUNED_SHAPES] = {**shapes, **kept}
    content.update({teacher.attribute_map.get(key, key): size for key, size in sizes.items()})
    return CONFIG_MAPPING[teacher.model_type](**content)


@torch.no_grad()
def _copy_weights(weights: Any, student: MultiTaskModel, layers: Sequence[int]) -> int:
    """Copy what fits; the number of parameters copied."""
    available = set(weights.keys())
    copied = 0
    for name, parameter in student.named_parameters():
        source = _LAYER.sub(lambda m: f"{m[1]}{layers[int(m[2])]}", name)
        if source in available and _shape(weights, source) == tuple(parameter.shape):
            parameter.copy_(weights.get_tensor(source))
            copied += parameter.numel()
    return copied


@torch.no_grad()
def _copy_embeddings(weights: Any, student: MultiTaskModel) -> int:
    """Fill the embeddings with the teacher's; the number of parameters copied.

    Tokens, positions and segments share one projection, so that their sums stay sums.
    """
    words: Any = student.get_input_embeddings()
    token = next(name for name, p in student.named_parameters() if p is words.weight)
    directions = None
    copied = 0
    for name, parameter in student.named_parameters():
        if not name.startswith("encoder.embeddings") or parameter.ndim != 2:
            continue
        vectors = _vectors(weights, name)
        if vectors is None or len(vectors) != len(parameter):
            continue
        if directions is None:
            given = vectors if name == token else _vectors(weights, token)
            assert given is not None
            directions = _principal(given, words.weight.shape[1])
        parameter.copy_(vectors @ directions)
        copied += parameter.numel()
    return copied


def _vectors(weights: Any, name: str) -> Tensor | None:
    """An embedding of the teacher's, [n, wide]; a factorised one multiplied out."""
    available, stem = set(weights.keys()), name.removesuffix("weight")
    if name in available:
        return cast(Tensor, weights.get_tensor(name).float())
    factors = [f"{stem}{part}.weight" for part in ("table", "projection")]
    if not available.issuperset(factors):
        return None
    table, projection = (weights.get_tensor(factor).float() for factor in factors)
    return cast(Tensor, table @ projection.T)


def _principal(vectors: Tensor, width: int) -> Tensor:
    """The directions in which vectors [n, wide] are longest, [wide, width]; all if as many."""
    wide = vectors.shape[1]
    if wide == width:
        return torch.eye(wide)
    # In ascending order.
    directions: Tensor = torch.linalg.eigh(vectors.T @ vectors).eigenvectors
    return directions[:, -width:].flip(dims=[1])


def _shape(weights: Any, name: str) -> tuple[int, ...]:
    return tuple(weights.get_slice(name).get_shape())
