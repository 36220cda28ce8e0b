"""Shapes that Hugging Face's architectures do not know, kept in the encoder's configuration.

A compressed encoder is the stock architecture with some modules in another shape. Which ones is
said by keys of ``encoder_config`` in ``config.json``, so that any way of making the model from its
configuration, ``AutoModel.from_pretrained`` among them, makes modules that its weights fit:

``embedding_rank``
    the token embedding is a table of so many columns and a projection to the hidden size.
``pruned_shapes``
    ``{head_size: 64, heads: [12, 7], ffn: [1536, 800]}``: the width of an attention head, and of
    each layer the heads and feed-forward units that are left (`PrunedShapes`). Layers and hidden
    dimensions that are gone need no key: the configuration's own sizes say it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from xmpress.errors import ModelError

EMBEDDING_RANK = "embedding_rank"
PRUNED_SHAPES = "pruned_shapes"
SHAPE_KEYS = (EMBEDDING_RANK, PRUNED_SHAPES)
"""All keys that are read here."""


class FactorisedEmbedding(nn.Module):
    """A token embedding [V, h] as a product [V, r] x [r, h] (ALBERT; Lan et al., 2020).

    Attributes:
        table: one row of r numbers per token.
        projection: from r to h, without bias.
    """

    def __init__(self, tokens: int, rank: int, hidden: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, hidden, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embed int64 [n, s] as float [n, s, h]."""
        embedded: Tensor = self.projection(self.table(input_ids))
        return embedded


@dataclass(frozen=True)
class PrunedShapes:
    """The sizes of the layers of a pruned encoder.

    Attributes:
        head_size: width of an attention head.
        heads: per layer.
        ffn: feed-forward units per layer.
    """

    head_size: int
    heads: list[int]
    ffn: list[int]

    def to_config(self) -> dict[str, Any]:
        """As it stands in the configuration."""
        return asdict(self)


@dataclass(frozen=True)
class LayerParts:
    """The matrices of one transformer layer, whatever the architecture calls them.

    Attributes:
        layer: the whole layer.
        attention: the module that splits queries, keys and values into heads.
        query: from hidden to heads side by side; so are ``key`` and ``value``.
        key: see ``query``.
        value: see ``query``.
        out: from heads side by side to hidden.
        up: from hidden to the feed-forward units.
        down: from these to hidden.
    """

    layer: nn.Module
    attention: Any
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    up: nn.Linear
    down: nn.Linear

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return int(self.attention.attention_head_size)

    def tell_heads(self, head_size: int) -> None:
        """Make the attention module know how many heads there are, from the queries' width."""
        heads = self.query.out_features // head_size
        self.attention.attention_head_size = head_size
        self.attention.scaling = head_size**-0.5
        for name in ("num_attention_heads", "n_heads"):
            if hasattr(self.attention, name):
                setattr(self.attention, name, heads)
        if hasattr(self.attention, "all_head_size"):
            self.attention.all_head_size = heads * head_size


_PATHS = (
    # BERT, RoBERTa, XLM-R, ELECTRA, MiniLM
    {
        "attention": "attention.self",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "up": "intermediate.dense",
        "down": "output.dense",
    },
    # DistilBERT
    {
        "attention": "attention",
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "out": "attention.out_lin",
        "up": "ffn.lin1",
        "down": "ffn.lin2",
    },
)
_STACKS = ("encoder.layer", "transformer.layer")


def layer_stack(encoder: PreTrainedModel) -> nn.ModuleList:
    """The list of an encoder's layers.

    Raises:
        ModelError: if they are not found where BERT, XLM-R and DistilBERT have them.
    """
    for path in _STACKS:
        found = _at(encoder, path)
        if isinstance(found, nn.ModuleList):
            return found
    raise _unknown(encoder)


def layer_parts(encoder: PreTrainedModel) -> list[LayerParts]:
    """The matrices of each layer.

    Raises:
        ModelError: if the architecture is none of those that can be pruned.
    """
    parts = []
    for layer in layer_stack(encoder):
        for paths in _PATHS:
            found: dict[str, Any] = {name: _at(layer, path) for name, path in paths.items()}
            matrices = [module for name, module in found.items() if name != "attention"]
            if all(isinstance(module, nn.Linear) for module in matrices):
                parts.append(LayerParts(layer, **found))
                break
        else:
            raise _unknown(encoder)
    return parts


def pruned_shapes(encoder: PreTrainedModel) -> PrunedShapes:
    """The sizes that an encoder's layers have."""
    parts = layer_parts(encoder)
    return PrunedShapes(
        head_size=parts[0].head_size,
        heads=[part.query.out_features // part.head_size for part in parts],
        ffn=[part.up.out_features for part in parts],
    )


def apply_shapes(encoder: PreTrainedModel, config: Any) -> None:
    """Give the modules of a stock encoder the shapes its configuration asks for, random weights."""
    rank = getattr(config, EMBEDDING_RANK, None)
    if rank is not None:
        stock: Any = encoder.get_input_embeddings()
        encoder.set_input_embeddings(
            FactorisedEmbedding(
                stock.num_embeddings, rank, stock.embedding_dim, padding_idx=stock.padding_idx
            )
        )
    shapes = getattr(config, PRUNED_SHAPES, None)
    if shapes is not None:
        _prune(encoder, PrunedShapes(**shapes))


def token_table(encoder: PreTrainedModel) -> nn.Embedding:
    """The embedding that has a row for every token, factorised or not."""
    embedding: Any = encoder.get_input_embeddings()
    table: nn.Embedding = (
        embedding.table if isinstance(embedding, FactorisedEmbedding) else embedding
    )
    return table


def set_token_table(encoder: PreTrainedModel, table: nn.Embedding) -> None:
    """Put another table in the place of `token_table`."""
    embedding: Any = encoder.get_input_embeddings()
    if isinstance(embedding, FactorisedEmbedding):
        embedding.table = table
    else:
        encoder.set_input_embeddings(table)


def _prune(encoder: PreTrainedModel, shapes: PrunedShapes) -> None:
    """Give the layers of an encoder other sizes; their weights are random then."""
    parts = layer_parts(encoder)
    if not len(parts) == len(shapes.heads) == len(shapes.ffn):
        raise ModelError(
            f"{PRUNED_SHAPES} in config.json has {len(shapes.heads)} numbers of heads and "
            f"{len(shapes.ffn)} of feed-forward units for {len(parts)} layers"
        )
    for part, heads, ffn in zip(parts, shapes.heads, shapes.ffn, strict=True):
        width = heads * shapes.head_size
        for matrix in (part.query, part.key, part.value):
            _resize(matrix, rows=width)
        _resize(part.out, columns=width)
        _resize(part.up, rows=ffn)
        _resize(part.down, columns=ffn)
        part.tell_heads(shapes.head_size)


def _resize(matrix: nn.Linear, *, rows: int | None = None, columns: int | None = None) -> None:
    rows, columns = rows or matrix.out_features, columns or matrix.in_features
    if (rows, columns) == (matrix.out_features, matrix.in_features):
        return
    other = nn.Linear(columns, rows, bias=matrix.bias is not None)
    matrix.weight, matrix.bias = other.weight, other.bias
    matrix.out_features, matrix.in_features = rows, columns


def _at(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def _unknown(encoder: PreTrainedModel) -> ModelError:
    return ModelError(
        f"the layers of a '{encoder.config.model_type}' encoder cannot be pruned; those of BERT, "
        "RoBERTa, XLM-R, ELECTRA, DistilBERT and others built alike can"
    )
