"""Remembers the scores of texts seen lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock

import numpy as np

from xmpress.tasks import FloatArray

Pair = tuple[str, str | None]
"""A text and its context."""


class ScoreCache:
    """The scores of the `size` most recently used texts. Safe to use from several threads.

    Holds hashes of the texts, not the texts, so that long texts cost no more than short ones.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._scores: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._lock = Lock()

    def get(self, pairs: Sequence[Pair], asked: bytes = b"") -> list[FloatArray | None]:
        """Per pair its scores, or ``None``.

        Args:
            pairs: the texts with their contexts.
            asked: what was asked about them, where the scores depend on it.
        """
        keys = [_key(pair, asked) for pair in pairs]
        with self._lock:
            for key in keys:
                if key in self._scores:
                    self._scores.move_to_end(key)
            return [self._scores.get(key) for key in keys]

    def put(self, pairs: Sequence[Pair], scores: FloatArray, asked: bytes = b"") -> None:
        """Remember the rows of ``scores``, [n, S]; for the arguments see `get`."""
        keys = [_key(pair, asked) for pair in pairs[-self._size :]]
        with self._lock:
            # Copies: a view would keep the whole array alive.
            self._scores.update(zip(keys, map(np.copy, scores[-self._size :]), strict=True))
            while len(self._scores) > self._size:
                self._scores.popitem(last=False)


def _key(pair: Pair, asked: bytes) -> bytes:
    text, context = pair
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    # 0xFE and 0xFF occur in no UTF-8 text.
    if asked:
        digest.update(b"\xfe" + asked)
    if context is not None:
        digest.update(b"\xff" + context.encode("utf-8", "surrogatepass"))
    return digest.digest()
