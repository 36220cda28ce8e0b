"""The pass ``factorise_embedding``: the token embedding as a product of two smaller matrices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from xmpress.compression.corpus import by_language, count_tokens, for_training
from xmpress.compression.passes import Context, Pass, PassParams
from xmpress.compression.rewriting import save_changed
from xmpress.errors import ModelError, RecipeError
from xmpress.modeling import LoadedModel, load_model
from xmpress.modeling.shapes import EMBEDDING_RANK, FactorisedEmbedding
from xmpress.tasks import FloatArray

CHUNK = 16_384
"""Rows worked on at a time, in double precision."""


class FactoriseParams(PassParams):
    """Parameters of ``factorise_embedding``."""

    rank: Annotated[int, Field(ge=1)] = 128
    """Columns of the table that remains; must be smaller than the embedding's width."""
    weights: Literal["frequency", "uniform"] = "frequency"
    """Whether a token counts as often as the data uses it, so that the error is smaller on frequent
    tokens and larger on rare ones; or each the same, which needs no data."""


class FactoriseEmbedding(Pass[FactoriseParams]):
    """Model directory in, model directory out.

    The table [V, h] becomes [V, r] and [r, h], the product nearest to it in the least squares of
    all entries (singular value decomposition; Eckart and Young, 1936), as in XtremeDistil
    (Mukherjee and Awadallah, 2020). A short training afterwards gets back most of what it costs.
    """

    Params: ClassVar[type[PassParams]] = FactoriseParams

    @property
    def needs_data(self) -> bool:  # type: ignore[override]
        """Only to count tokens."""
        return self.params.weights == "frequency"

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Decompose, replace, write, and tell how near the product is."""
        loaded = load_model(context.artefact.path)
        encoder, config = loaded.model.encoder, loaded.model.config.encoder_config
        stock: Any = encoder.get_input_embeddings()
        if isinstance(stock, FactorisedEmbedding):
            raise ModelError(
                f"the embedding of {loaded.path} is factorised already, to rank "
                f"{getattr(config, EMBEDDING_RANK)}"
            )
        tokens, width = stock.weight.shape
        rank = self.params.rank
        if rank >= width:
            raise RecipeError(
                f"factorise_embedding: rank is {rank}; it must be smaller than the embedding's "
                f"width, {width}"
            )
        weights = _frequencies(context, loaded) if self.needs_data else None
        found = factorise(stock.weight.detach().numpy(), rank, weights=weights)
        factorised = FactorisedEmbedding(tokens, rank, width, padding_idx=stock.padding_idx)
        factorised.table.weight = nn.Parameter(torch.from_numpy(found.table))
        factorised.projection.weight = nn.Parameter(torch.from_numpy(found.projection.T.copy()))
        encoder.set_input_embeddings(factorised)
        setattr(config, EMBEDDING_RANK, rank)
        what = (
            f"Token embedding factorised to rank {rank}, {100 * found.energy:.1f} % of its energy."
        )
        save_changed(target, loaded, what)
        return {
            "rank": rank,
            "embedding_parameters": {
                "before": tokens * width,
                "after": (tokens + width) * rank,
            },
            "kept_energy": found.energy,
            "mean_error": found.mean_error,
            "largest_error": found.largest_error,
        }


@dataclass(frozen=True)
class Factors:
    """A matrix [V, h] as a product, and how near that is.

    Attributes:
        table: float32 [V, r].
        projection: float32 [r, h], rows orthonormal.
        energy: share of the weighted sum of squares that is kept.
        mean_error: mean over all entries of the absolute difference.
        largest_error: the largest absolute difference.
    """

    table: FloatArray
    projection: FloatArray
    energy: float
    mean_error: float
    largest_error: float


def factorise(
    matrix: FloatArray, rank: int, *, weights: NDArray[np.float64] | None = None
) -> Factors:
    """The nearest product of rank r, in least squares over all entries.

    The right singular vectors are found as eigenvectors of the h x h Gram matrix, so that no copy
    of the matrix is made. Weights change only these: within the subspace they span, every row's
    own nearest point is the same whatever its weight.

    Args:
        matrix: float32 [V, h].
        rank: r, less than h.
        weights: of the rows' squared errors, at least 0, float [V]; equal if not given.
    """
    width = matrix.shape[1]
    gram = np.zeros((width, width))
    for start in range(0, len(matrix), CHUNK):
        rows = matrix[start : start + CHUNK].astype(np.float64)
        scaled = rows if weights is None else rows * weights[start : start + CHUNK, None]
        gram += rows.T @ scaled
    energies, vectors = np.linalg.eigh(gram)  # in ascending order
    basis = vectors[:, : -rank - 1 : -1]
    table = np.empty((len(matrix), rank), np.float32)
    total = largest = 0.0
    for start in range(0, len(matrix), CHUNK):
        rows = matrix[start : start + CHUNK].astype(np.float64)
        table[start : start + CHUNK] = rows @ basis
        errors = np.abs(table[start : start + CHUNK] @ basis.T - rows)
        total += float(errors.sum())
        largest = max(largest, float(errors.max()))
    return Factors(
        table=table,
        projection=np.ascontiguousarray(basis.T, dtype=np.float32),
        energy=float(energies[-rank:].sum() / energies.sum()),
        mean_error=total / matrix.size,
        largest_error=largest,
    )


def _frequencies(context: Context, loaded: LoadedModel) -> NDArray[np.float64]:
    """How often each token is used in the training rows, plus one for those that are not."""
    parts = by_language(for_training(context.dataset()), seed=context.seed)
    size = loaded.model.config.encoder_config.vocab_size
    counts = count_tokens(loaded.tokenizer, parts, size)
    frequencies: NDArray[np.float64] = 1.0 + np.sum(list(counts.values()), axis=0)
    return frequencies
