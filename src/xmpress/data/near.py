"""Texts that are nearly the same, found by MinHash over character n-grams.

Broder (1997), On the resemblance and containment of documents; banding as in Leskovec, Rajaraman
and Ullman, Mining of Massive Datasets, chapter 3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_N = 5
_BANDS, _ROWS = 16, 4
"""Texts of similarity s meet in at least one band with probability 1 - (1 - s**4)**16: 99.9 % at
0.8, 64 % at 0.5."""

Hashes = NDArray[np.uint64]


def near_groups(texts: Sequence[str], threshold: float) -> list[list[int]]:
    """Group texts that are connected by pairs of at least this Jaccard similarity.

    Args:
        texts: folded texts.
        threshold: from 0.5 to 1; below, MinHash as set up here misses too many.

    Returns:
        Groups of positions, each in order; a text like no other is a group by itself.
    """
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, size=_BANDS * _ROWS, dtype=np.uint64) | np.uint64(1)
    shingles = [_shingles(text) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for row, hashes in enumerate(shingles):
        # Multiplication by odd numbers permutes the hashes (mod 2**64).
        signature = (hashes[:, None] * factors).min(axis=0).reshape(_BANDS, _ROWS)
        for band in range(_BANDS):
            buckets[band, signature[band].tobytes()].append(row)
    parents = list(range(len(texts)))
    for rows in buckets.values():
        first = rows[0]
        for row in rows[1:]:
            if _root(parents, first) != _root(parents, row) and (
                _similarity(shingles[first], shingles[row]) >= threshold
            ):
                parents[_root(parents, row)] = _root(parents, first)
    groups: dict[int, list[int]] = defaultdict(list)
    for row in range(len(texts)):
        groups[_root(parents, row)].append(row)
    return list(groups.values())


def _shingles(text: str) -> Hashes:
    """The distinct hashes of the text's character n-grams; of the whole text if it is shorter."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    codes = codes.astype(np.uint64)
    if len(codes) < _N:
        codes = np.pad(codes, (0, _N - len(codes)))
    windows = np.lib.stride_tricks.sliding_window_view(codes, _N)
    hashed = np.zeros(len(windows), dtype=np.uint64)
    for position in range(_N):
        hashed = (hashed ^ windows[:, position]) * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed)


def _similarity(one: Hashes, other: Hashes) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _root(parents: list[int], row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row
