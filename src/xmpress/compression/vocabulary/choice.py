"""Which pieces of a vocabulary stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

from xmpress.compression.corpus import Counts
from xmpress.compression.vocabulary.tokenizer_file import TokenizerFile
from xmpress.errors import RecipeError

Shares = NDArray[np.float64]


def used(counts: Counts, *, coverage: float | None, min_count: int | None) -> list[int]:
    """The ids that a language needs: the most used ones, most used first.

    Args:
        counts: uses of each id, int64 [V].
        coverage: as many ids as make up this share of all uses.
        min_count: instead, those used so often.
    """
    order = np.lexsort((np.arange(len(counts)), -counts))
    sums = np.cumsum(counts[order])
    if min_count is not None:
        number = int((counts >= min_count).sum())
    else:
        # Whole numbers: a share that rounds up must not ask for one id more than there are.
        wanted = int(np.ceil(round((coverage or 1.0) * int(sums[-1]), 6)))
        number = int(np.searchsorted(sums, wanted)) + 1 if wanted else 0
    return [int(i) for i in order[:number] if counts[i]]


def characters(file: TokenizerFile, counts: Counts, *, coverage: float) -> set[str]:
    """The characters that make up a share of all those in the pieces that are used."""
    found: Counter[str] = Counter()
    for number in np.flatnonzero(counts):
        for character in file.surfaces[number]:
            found[character] += int(counts[number])
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    wanted, sum_ = coverage * found.total(), 0
    chosen = set()
    for character, count in ranked:
        if sum_ >= wanted:
            break
        chosen.add(character)
        sum_ += count
    return chosen


def spelling(file: TokenizerFile, kept: set[str] | None) -> set[int]:
    """The pieces of a single character: those of some characters, or all."""
    return {
        number
        for number, surface in enumerate(file.surfaces)
        if len(surface) == 1 and (kept is None or surface in kept or surface == "▁")
    }


def written_in(file: TokenizerFile, scripts: Sequence[str]) -> set[int]:
    """The pieces written in Unicode scripts, and in what all scripts share (digits, marks, emoji).

    Raises:
        RecipeError: if there is no such script.
    """
    classes = []
    for script in ("Common", "Inherited", *scripts):
        try:
            regex.compile(rf"\p{{Script={script}}}")
        except regex.error as error:
            raise RecipeError(
                f"trim_vocabulary: '{script}' is no Unicode script; names are those of the "
                "standard, such as Latin, Cyrillic, Han, Hiragana, Hangul, Thai"
            ) from error
        classes.append(rf"\p{{Script={script}}}")
    pattern = regex.compile(f"[{''.join(classes)}]+")
    return {n for n, surface in enumerate(file.surfaces) if surface and pattern.fullmatch(surface)}


def shares(counts: Mapping[str, Counts]) -> Shares:
    """The largest share of its language's uses that each id has, so that no language is small."""
    largest = np.zeros(len(next(iter(counts.values()))))
    for values in counts.values():
        np.maximum(largest, values / max(1, values.sum()), out=largest)
    return largest


def limited(
    file: TokenizerFile, needed: set[int], ranked: Iterable[int], size: int | None
) -> set[int]:
    """What is needed and, in order, as many of the others with their parts as there is room for.

    Raises:
        RecipeError: if there is not even room for what is needed.
    """
    kept = file.closure(needed)
    if size is not None and len(kept) > size:
        raise RecipeError(
            f"trim_vocabulary: size is {size:,}, but special tokens and single characters alone "
            f"are {len(kept):,}; raise it, or set characters: corpus"
        )
    for number in ranked:
        if number in kept:
            continue
        more = file.closure([number], within=kept)
        if size is None or len(kept) + len(more) <= size:
            kept |= more
    return kept
