"""Divides rows into train, validation and test, the same way every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from xmpress.data.dataset import SPLITS, Dataset
from xmpress.data.text import fold, text_hash
from xmpress.errors import UsageError


class ValidationSettings(BaseModel):
    """The rows on which the best step is chosen and labels are calibrated; never test rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training rows to set aside where the data has no validation split."""
    rows: Annotated[int, Field(gt=0)] = 4000
    """At most so many rows, spread over languages and tasks, for choosing the best step."""
    calibration_rows: Annotated[int, Field(gt=0)] = 20_000
    """At most so many rows for temperatures and thresholds."""


def assign_splits(dataset: Dataset, fractions: Mapping[str, float], *, seed: int = 0) -> Dataset:
    """Give a split to every row that has none.

    The rows of each language and set of labelled tasks are divided in the same proportions. Who
    goes where depends on a hash of the text and the seed, not on the order of the rows. Texts that
    are the same up to case, spaces and punctuation go to one split; if one of them has a split
    already, to that one.

    Args:
        dataset: the rows.
        fractions: share of each split; the shares sum to 1.
        seed: another seed divides differently.

    Raises:
        UsageError: if the fractions are not shares of known splits.
    """
    if not set(fractions) <= set(SPLITS) or min(fractions.values(), default=-1) < 0:
        raise UsageError(f"fractions {dict(fractions)}: expected shares of {', '.join(SPLITS)}")
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise UsageError(f"fractions {dict(fractions)} sum to {sum(fractions.values()):g}, not 1")
    names = dataset.tasks.names
    annotated = zip(*(dataset.labels[name].annotated.tolist() for name in names), strict=True)
    given: dict[str, str] = {}
    strata: dict[tuple[str, tuple[bool, ...]], list[str]] = defaultdict(list)
    folded = [fold(text) for text in dataset.texts]
    for key, split in zip(folded, dataset.splits, strict=True):
        if split is not None:
            given.setdefault(key, split)
    place: dict[str, tuple[str, tuple[bool, ...]]] = {}
    for key, lang, tasks in zip(folded, dataset.langs, annotated, strict=True):
        if key not in given:
            # A text in several languages or with several sets of tasks counts in the first.
            place[key] = min(place.get(key, (lang, tasks)), (lang, tasks))
    for key, stratum in place.items():
        strata[stratum].append(key)
    for texts in strata.values():
        given |= _divide(texts, fractions, seed)
    return dataset.with_splits(
        [split or given[key] for key, split in zip(folded, dataset.splits, strict=True)]
    )


def _divide(texts: list[str], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """Cut the texts, in the order of their hashes, at the shares of the splits."""
    order = sorted(texts, key=lambda text: (text_hash(text, seed), text))
    # Smaller splits first: the rows that rounding leaves over belong to the largest.
    splits = sorted(fractions, key=lambda name: (fractions[name], SPLITS.index(name)))
    assigned: dict[str, str] = {}
    start, share = 0, 0.0
    for name in splits:
        share += fractions[name]
        end = len(order) if name == splits[-1] else int(share * len(order) + 0.5)
        assigned |= dict.fromkeys(order[start:end], name)
        start = end
    return assigned
