"""Which tokens texts use, by language."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xmpress.data import Dataset
from xmpress.runtime.tokenization import Tokenizer

TEXTS_PER_LANGUAGE = 50_000
"""At most so many are looked at."""

Counts = NDArray[np.int64]


def for_training(dataset: Dataset) -> Dataset:
    """The rows that may be learned from: those of the training split, or of none."""
    return dataset.take([split in {None, "train"} for split in dataset.splits])


def by_language(
    dataset: Dataset, *, seed: int, most: int = TEXTS_PER_LANGUAGE
) -> dict[str, Dataset]:
    """At most so many rows of each language, drawn by the seed."""
    parts = {lang: dataset.where(langs=[lang]) for lang in sorted(set(dataset.langs))}
    rng = np.random.default_rng(seed)
    return {
        lang: part
        if len(part) <= most
        else part.take(np.sort(rng.choice(len(part), most, replace=False)))
        for lang, part in parts.items()
    }


def count_tokens(
    tokenizer: Tokenizer, parts: Mapping[str, Dataset], size: int
) -> dict[str, Counts]:
    """How often each token is used in texts and contexts as the model sees them, cut off included.

    Args:
        tokenizer: the model's.
        parts: rows by language.
        size: of the vocabulary.

    Returns:
        Per language int64 [size].
    """
    counts = {}
    for lang, part in parts.items():
        ids = tokenizer.encode(part.texts, part.contexts).ids
        counts[lang] = np.bincount(np.concatenate([*ids, []]).astype(np.int64), minlength=size)
    return counts
