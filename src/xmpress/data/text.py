"""Comparing texts: the folding under which two texts count as the same."""

from __future__ import annotations

import hashlib
import unicodedata


class _Folding(dict[int, int | None]):
    """A `str.translate` table that keeps letters, marks and digits; filled as characters occur."""

    def __missing__(self, code: int) -> int | None:
        kept = code if unicodedata.category(chr(code))[0] in "LMN" else None
        self[code] = kept
        return kept


_FOLDING = _Folding()


def fold(text: str) -> str:
    """The text without case, spaces, punctuation and symbols, in compatibility form (NFKC).

    Two texts with the same folding count as identical in splits and in the leakage check. A text
    that holds nothing but symbols (an emoji, say) folds to itself.

    Example:
        >>> fold("Très  bien !!") == fold("très bien")
        True
    """
    normal = unicodedata.normalize("NFKC", text).casefold()
    # Normalised again: marks may have come to stand after another letter.
    return unicodedata.normalize("NFKC", normal.translate(_FOLDING)) or normal


def text_hash(text: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the folded text and the seed alone."""
    data = f"{seed}:{fold(text)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=6).digest(), "big") / 2**48
