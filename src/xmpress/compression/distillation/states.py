"""Looks into an encoder while it runs: hidden states, attention maps, queries, keys and values."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xmpress.errors import ModelError

Look = Literal["hidden", "maps", "projections"]
"""What can be looked at; logits are there in any case."""

_SEPARATE = (
    ("query", "key", "value"),  # BERT, RoBERTa, XLM-R, ELECTRA, MiniLM
    ("q_lin", "k_lin", "v_lin"),  # DistilBERT
    ("query_proj", "key_proj", "value_proj"),  # DeBERTa-v2
)
_FUSED = "Wqkv"  # ModernBERT: queries, keys and values below each other in one matrix


@dataclass(frozen=True)
class Projections:
    """What the attention of one layer is made of, heads side by side, before any rotation.

    Attributes:
        queries: float [n, s, heads x width of a head].
        keys: the same.
        values: the same.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class States:
    """What a model computed for one batch.

    Attributes:
        output: what its forward returned.
        mask: bool [n, s], true for tokens, false for padding.
        embedding: its token embedding.
        hidden: the embeddings and each layer's output, float [n, s, width]; empty if not asked for.
        maps: per layer the attention distributions, float [n, heads, s, s]; empty likewise.
        projections: per layer; empty likewise.
        targets: int64 [n, s], the ids of hidden tokens, `IGNORED` elsewhere; for masked inputs.
        token_logits: float [hidden tokens, vocabulary], of a model that predicts tokens itself.
    """

    output: Any
    mask: Tensor
    embedding: nn.Module
    hidden: tuple[Tensor, ...] = ()
    maps: tuple[Tensor, ...] = ()
    projections: tuple[Projections, ...] = ()
    targets: Tensor | None = None
    token_logits: Tensor | None = None


def observe(
    model: Any, inputs: Mapping[str, Tensor], looks: Set[Look], *, targets: Tensor | None = None
) -> States:
    """Run a model and keep what is asked for.

    Args:
        model: a `MultiTaskModel`, or any Hugging Face encoder.
        inputs: of its forward.
        looks: what to keep besides the output.
        targets: passed on.

    Raises:
        ModelError: if the architecture's queries, keys and values cannot be found.
    """
    extra = {}
    if "hidden" in looks:
        extra["output_hidden_states"] = True
    if "maps" in looks:
        extra["output_attentions"] = True
    with _recording(model, "projections" in looks) as found:
        output = model(**inputs, **extra)
    return States(
        output=output,
        mask=inputs["attention_mask"].bool(),
        embedding=model.get_input_embeddings(),
        hidden=tuple(output.hidden_states) if "hidden" in looks else (),
        maps=tuple(output.attentions) if "maps" in looks else (),
        projections=tuple(_joined(layer) for layer in found),
        targets=targets,
    )


def show_maps(model: Any) -> None:
    """Make a model return its attention maps as they are.

    Only the eager implementation returns maps, and it drops some of them out while training: a map
    with holes is not what the teacher's is compared with, so that dropout is switched off.

    Raises:
        ModelError: if the architecture is not known.
    """
    encoder = getattr(model, "encoder", model) if hasattr(model, "heads") else model
    encoder.set_attn_implementation("eager")
    for attention in _attentions(model):
        for part in attention.children():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        if hasattr(attention, "attention_dropout"):
            attention.attention_dropout = 0.0


def encoder_config(model: Any) -> Any:
    """The encoder's configuration, of a multi-task model or of an encoder itself."""
    return getattr(model.config, "encoder_config", None) or model.config


def projection_widths(model: Any) -> list[int]:
    """Per layer the width of its queries: heads times width of a head.

    Raises:
        ModelError: if the architecture is not known.
    """
    widths = []
    for attention in _attentions(model):
        parts = _parts(attention)
        out = parts[0].weight.shape[0]
        widths.append(out if len(parts) == 3 else out // 3)
    return widths


def _parts(module: nn.Module) -> list[Any]:
    """The projections within an attention module; none if it is no such module."""
    for names in _SEPARATE:
        found = [getattr(module, name, None) for name in names]
        if all(isinstance(part, nn.Module) for part in found):
            return found
    fused = getattr(module, _FUSED, None)
    return [fused] if isinstance(fused, nn.Module) else []


def _attentions(model: Any) -> list[Any]:
    """The attention modules, layer by layer."""
    found = [module for module in model.modules() if _parts(module)]
    config = encoder_config(model)
    if len(found) != config.num_hidden_layers:
        raise ModelError(
            f"the queries, keys and values of a '{config.model_type}' encoder cannot be found; "
            "those of BERT, RoBERTa, XLM-R, DistilBERT, DeBERTa-v2, ModernBERT and others that "
            "name their parts alike can. Use the objective hidden or logits"
        )
    return found


@contextlib.contextmanager
def _recording(model: Any, active: bool) -> Any:
    """Collects, while the block runs, what each layer's projections give."""
    layers: list[list[Tensor]] = []
    with contextlib.ExitStack() as stack:
        for attention in _attentions(model) if active else ():
            parts = _parts(attention)
            layer: list[Any] = [None] * len(parts)
            layers.append(layer)
            for number, part in enumerate(parts):
                hook = part.register_forward_hook(_keeper(layer, number))
                stack.callback(hook.remove)
        yield layers


def _keeper(layer: list[Any], number: int) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        # DeBERTa projects its relative positions with the same matrices, after the tokens.
        if layer[number] is None:
            layer[number] = output

    return keep


def _joined(layer: list[Tensor]) -> Projections:
    parts = layer if len(layer) == 3 else torch.chunk(layer[0], 3, dim=-1)
    return Projections(*parts)
