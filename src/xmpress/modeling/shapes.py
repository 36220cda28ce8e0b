"""Shapes that Hugging Face's architectures do not know, kept in the encoder's configuration.

A compressed encoder is the stock architecture with some modules in another shape. Which ones is
said by keys of ``encoder_config`` in ``config.json``, so that any way of making the model from its
configuration, ``AutoModel.from_pretrained`` among them, makes modules that its weights fit:

``embedding_rank``
    the token embedding is a table of so many columns and a projection to the hidden size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

EMBEDDING_RANK = "embedding_rank"
SHAPE_KEYS = (EMBEDDING_RANK,)
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
