"""Texts as they are given, and the distinct ones that are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from xmpress.errors import UsageError
from xmpress.runtime.cache import Pair
from xmpress.runtime.decoding import check_texts, is_blank
from xmpress.tasks import Bools


@dataclass(frozen=True)
class Texts:
    """Texts with blank and repeated ones set aside.

    Attributes:
        present: bool [n], false for blank texts.
        distinct: the others with their contexts, each once.
        places: of each text that is present among the distinct ones, [m].
    """

    present: Bools
    distinct: list[Pair]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, texts: Sequence[str | None], contexts: Sequence[str | None]) -> Self:
        """Set blank texts aside, and join those that are equal with their contexts."""
        present = np.array([not is_blank(text) for text in texts], dtype=bool)
        pairs = [(text or "", context) for text, context in zip(texts, contexts, strict=True)]
        some = cls.of_all([pairs[row] for row in np.flatnonzero(present).tolist()])
        return cls(present, some.distinct, some.places)

    @classmethod
    def of_all(cls, pairs: Sequence[Pair]) -> Self:
        """Take all pairs, blank ones too."""
        number: dict[Pair, int] = {}
        places = [number.setdefault(pair, len(number)) for pair in pairs]
        return cls(np.ones(len(pairs), dtype=bool), list(number), np.array(places, dtype=np.intp))


def contexts_of(contexts: str | Sequence[str | None] | None, n: int) -> Sequence[str | None]:
    """One per text; blank ones are no context."""
    if contexts is None or isinstance(contexts, str):
        contexts = [contexts] * n
    if len(contexts) != n:
        raise UsageError(f"{n} texts but {len(contexts)} contexts; expected one per text")
    check_texts(contexts, "contexts[{}]".format)
    return [None if is_blank(context) else context for context in contexts]
