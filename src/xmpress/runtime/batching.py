"""Batches of texts of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmpress.runtime.tokenization import Encoded

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""The inputs an encoder may take."""

Rows = NDArray[np.intp]


def token_budget_batches(
    lengths: NDArray[np.int64] | Sequence[int], *, budget: int = 4096, max_rows: int = 256
) -> list[Rows]:
    """Group rows by length so that rows x longest row stays within a budget of tokens.

    Args:
        lengths: tokens per row, [n].
        budget: padded tokens per batch; a row that is longer makes a batch of its own.
        max_rows: rows per batch at most.

    Returns:
        Per batch the row numbers, longest first: what does not fit into memory fails at once.
        Every row is in exactly one batch, and equal lengths keep their order.

    Example:
        >>> [b.tolist() for b in token_budget_batches([5, 2, 9, 2, 2], budget=10)]
        [[2], [0, 1], [3, 4]]
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = max(1, min(max_rows, budget // longest))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def pad(
    encoded: Encoded, rows: Rows | Sequence[int], pad_id: int, *, inputs: Sequence[str] = INPUTS
) -> dict[str, NDArray[np.int64]]:
    """Make the inputs of one batch, padded on the right to its longest row.

    Args:
        encoded: the tokenised texts.
        rows: which of them, at least one, [B].
        pad_id: fills ``input_ids``.
        inputs: which inputs the model takes.

    Returns:
        For each name of ``inputs`` an int64 array [B, T].
    """
    rows = np.asarray(rows)
    places = np.arange(int(encoded.lengths[rows].max()))
    present = places < encoded.lengths[rows, None]
    source = (encoded.offsets[rows, None] + places)[present]
    batch = {}
    if "input_ids" in inputs:
        batch["input_ids"] = np.full(present.shape, pad_id, dtype=np.int64)
        batch["input_ids"][present] = encoded.tokens[source]
    if "attention_mask" in inputs:
        batch["attention_mask"] = present.astype(np.int64)
    if "token_type_ids" in inputs:
        batch["token_type_ids"] = np.zeros(present.shape, dtype=np.int64)
        if encoded.segments is not None:
            batch["token_type_ids"][present] = encoded.segments[source]
    return batch
