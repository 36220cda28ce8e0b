"""What can be pruned: units of a model, the weights each is made of, and their removal.

A unit is an attention head, a feed-forward unit, a hidden dimension or a layer. The weights that
vanish with a unit are slices of parameters along one axis; both its importance and its removal are
told by that list alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import lcm
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xmpress.errors import ModelError
from xmpress.modeling import MultiTaskModel
from xmpress.modeling.shapes import (
    PRUNED_SHAPES,
    FactorisedEmbedding,
    LayerParts,
    layer_parts,
    layer_stack,
    pruned_shapes,
)

Kind = Literal["heads", "ffn", "layers", "hidden"]
MULTIPLE = 8
"""Feed-forward units and hidden dimensions are kept in multiples of this: faster products."""


@dataclass(frozen=True)
class Axis:
    """One axis of a parameter of a module.

    Attributes:
        module: a linear layer, an embedding or a norm.
        name: ``weight`` or ``bias``.
        dim: the axis along which units lie side by side.
    """

    module: nn.Module
    name: str
    dim: int

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter."""
        parameter: nn.Parameter = getattr(self.module, self.name)
        return parameter


@dataclass(frozen=True)
class Units:
    """Units of one kind that are ranked together but lie in one place.

    Attributes:
        axes: where their weights are.
        width: neighbouring entries of an axis per unit.
    """

    axes: tuple[Axis, ...]
    width: int = 1

    def __len__(self) -> int:
        first = self.axes[0]
        return first.parameter.shape[first.dim] // self.width

    def sums(self, of: Callable[[nn.Parameter], Tensor]) -> Tensor:
        """Per unit the sum over its weights of something that each weight has, float [units]."""
        total = torch.zeros(len(self), dtype=torch.float64)
        for axis in self.axes:
            values = of(axis.parameter).movedim(axis.dim, 0)
            total += values.reshape(len(self), -1).sum(dim=1, dtype=torch.float64).cpu()
        return total

    @torch.no_grad()
    def keep(self, kept: Tensor) -> None:
        """Remove all other units, in place.

        Args:
            kept: their numbers, ascending, int64 [kept].
        """
        entries = (kept[:, None] * self.width + torch.arange(self.width)).flatten()
        for axis in self.axes:
            old = axis.parameter
            new = old.detach().index_select(axis.dim, entries.to(old.device)).contiguous()
            setattr(axis.module, axis.name, nn.Parameter(new))
            _note_sizes(axis.module)


def units(model: MultiTaskModel, kind: Kind) -> list[Units]:
    """The units of a kind: of heads and feed-forward units a group per layer, of others one.

    Layers are not slices; see `layer_sums` and `keep_layers`.

    Raises:
        ModelError: if the architecture is not known.
    """
    if kind == "heads":
        return [_heads(part) for part in layer_parts(model.encoder)]
    if kind == "ffn":
        return [_ffn(part) for part in layer_parts(model.encoder)]
    return [_hidden(model)]


def layer_sums(model: MultiTaskModel, of: Callable[[nn.Parameter], Tensor]) -> Tensor:
    """Per layer the sum over its weights of something that each weight has, float [layers]."""
    return torch.stack(
        [
            torch.stack([of(p).sum(dtype=torch.float64).cpu() for p in part.layer.parameters()])
            .sum()
            .reshape(())
            for part in layer_parts(model.encoder)
        ]
    )


def keep_layers(model: MultiTaskModel, kept: Tensor) -> None:
    """Remove all other layers, in place; what goes into one then goes into the next."""
    stack = layer_stack(model.encoder)
    remaining = [stack[int(number)] for number in kept]
    for number in reversed(range(len(stack))):
        del stack[number]
    stack.extend(remaining)


def describe(model: MultiTaskModel) -> None:
    """Write the sizes that a model's parts have into its configuration, so that it loads again."""
    config: Any = model.config.encoder_config
    parts = layer_parts(model.encoder)
    config.num_hidden_layers = len(parts)
    if getattr(config, "embedding_size", None) == config.hidden_size:  # ELECTRA
        config.embedding_size = parts[0].query.in_features
    config.hidden_size = parts[0].query.in_features
    shapes = pruned_shapes(model.encoder)
    stock_heads = config.num_attention_heads
    even = (
        set(shapes.heads) == {stock_heads}
        and shapes.head_size * stock_heads == config.hidden_size
        and len(set(shapes.ffn)) == 1
    )
    if even:
        # The stock architecture can say it itself.
        name = "hidden_dim" if hasattr(config, "hidden_dim") else "intermediate_size"
        setattr(config, name, shapes.ffn[0])
        if hasattr(config, PRUNED_SHAPES):
            delattr(config, PRUNED_SHAPES)
    else:
        setattr(config, PRUNED_SHAPES, shapes.to_config())
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[: len(parts)]


def multiple_of(model: MultiTaskModel, kind: Kind) -> int:
    """The numbers of units kept are multiples of this."""
    if kind == "ffn":
        return MULTIPLE
    if kind == "hidden":
        # Hugging Face's architectures insist on a hidden size that their heads divide.
        return lcm(MULTIPLE, model.config.encoder_config.num_attention_heads)
    return 1


def _heads(part: LayerParts) -> Units:
    axes = [*_rows(part.query), *_rows(part.key), *_rows(part.value), Axis(part.out, "weight", 1)]
    return Units(tuple(axes), part.head_size)


def _ffn(part: LayerParts) -> Units:
    return Units((*_rows(part.up), Axis(part.down, "weight", 1)))


def _hidden(model: MultiTaskModel) -> Units:
    axes: list[Axis] = []
    embedding = model.encoder.get_input_embeddings()
    inner: set[Any] = set()
    if isinstance(embedding, FactorisedEmbedding):
        axes += _rows(embedding.projection)
        inner.add(embedding.table.weight)
    for module in model.encoder.modules():
        if isinstance(module, nn.Embedding) and module.weight not in inner:
            axes.append(Axis(module, "weight", 1))
        elif isinstance(module, nn.LayerNorm):
            axes += [Axis(module, "weight", 0), Axis(module, "bias", 0)]
    for part in layer_parts(model.encoder):
        axes += [Axis(m, "weight", 1) for m in (part.query, part.key, part.value, part.up)]
        axes += [*_rows(part.out), *_rows(part.down)]
        inner |= {m.bias for m in (part.query, part.key, part.value, part.up)}
    axes += [Axis(head, "weight", 1) for head in model.heads.values()]
    inner |= {head.bias for head in model.heads.values()}
    covered = inner | {axis.parameter for axis in axes}
    other = [name for name, parameter in model.named_parameters() if parameter not in covered]
    size = model.config.encoder_config.hidden_size
    uneven = [axis for axis in axes if axis.parameter.shape[axis.dim] != size]
    if other or uneven:
        raise ModelError(
            f"the hidden dimensions of a '{model.encoder.config.model_type}' encoder cannot be "
            f"pruned: not all of its weights are understood ({', '.join(other[:3])}); prune "
            "heads, ffn or layers"
        )
    return Units(tuple(axes))


def _rows(matrix: nn.Linear) -> Iterator[Axis]:
    yield Axis(matrix, "weight", 0)
    if matrix.bias is not None:
        yield Axis(matrix, "bias", 0)


def _note_sizes(module: Any) -> None:
    """What a module says about its sizes, after its parameters changed."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)
