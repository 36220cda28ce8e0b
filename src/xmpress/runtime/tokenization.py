"""Text to token ids; one class for training, evaluation and serving, so that they cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import tokenizers
from numpy.typing import NDArray

from xmpress.errors import ModelError

PAD_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|pad|>", "<|endoftext|>")
CHARACTERS_PER_TOKEN = 20
"""Far above what any language needs; bounds the work for a huge text, which is cut anyway."""
CHUNK = 4096
"""Texts per call of the tokenizer: its Rust encodings are large, so they are not kept together."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of n texts one after the other, special tokens included, not padded.

    Two flat arrays, not an object per text: a million texts are encoded and batched without
    touching each in Python.

    Attributes:
        tokens: int32 [N], of all texts.
        offsets: int64 [n + 1]; text i has the tokens from ``offsets[i]`` to ``offsets[i + 1]``.
        segments: int8 [N], the segment of each token (0 text, 1 context, as the tokenizer has it);
            ``None`` if all are 0.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    segments: NDArray[np.int8] | None = None

    @classmethod
    def of(
        cls, ids: Sequence[NDArray[np.int32]], type_ids: Sequence[NDArray[np.int8]] | None = None
    ) -> Self:
        """Join the ids and segments of single texts."""
        offsets = _offsets([len(row) for row in ids])
        segments = None if type_ids is None else _joined(type_ids, np.int8)
        return cls(_joined(ids, np.int32), offsets, segments)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per text, int64 [n]."""
        return np.diff(self.offsets)

    @cached_property
    def ids(self) -> list[NDArray[np.int32]]:
        """Per text int32 [T], views of `tokens`."""
        return self._rows(self.tokens)

    @cached_property
    def type_ids(self) -> list[NDArray[np.int8]] | None:
        """Per text int8 [T], views of `segments`."""
        return None if self.segments is None else self._rows(self.segments)

    def take(self, rows: NDArray[np.intp]) -> Encoded:
        """Some of the texts, by their numbers."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        source = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        segments = None if self.segments is None else self.segments[source]
        return Encoded(self.tokens[source], offsets, segments)

    def _rows(self, flat: NDArray[Any]) -> list[NDArray[Any]]:
        bounds = self.offsets.tolist()
        return [flat[start:end] for start, end in pairwise(bounds)]


class Tokenizer:
    """A ``tokenizer.json`` with truncation to ``max_length`` tokens.

    Example:
        >>> tokenizer = Tokenizer.from_file("runs/teacher/tokenizer.json", max_length=128)
        ... # doctest: +SKIP
        >>> tokenizer.encode(["Great service!"]).ids  # doctest: +SKIP
        [array([101, 2307, 2326, 999, 102], dtype=int32)]
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, max_length: int) -> None:
        """Wrap a tokenizer, which is changed (truncation on, padding off).

        Raises:
            ModelError: if it has no padding token, or ``max_length`` leaves no room for text.
        """
        needed = tokenizer.num_special_tokens_to_add(is_pair=True) + 2
        if max_length < needed:
            raise ModelError(f"max_length is {max_length}; this tokenizer needs at least {needed}")
        self.pad_id = _pad_id(tokenizer)
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        self.max_length = max_length
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: str | Path, *, max_length: int) -> Self:
        """Read a ``tokenizer.json``.

        Raises:
            ModelError: if it is missing or damaged.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ModelError(f"tokenizer {path} cannot be read: {error.strerror}") from error
        try:
            tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises the bare class
            raise ModelError(f"tokenizer {path} is damaged: {error}") from error
        return cls(tokenizer, max_length=max_length)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included: the rows an embedding needs."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, texts: Sequence[str], contexts: Sequence[str | None] | None = None) -> Encoded:
        """Tokenise, in parallel where the machine allows (``TOKENIZERS_PARALLELISM``).

        Args:
            texts: the texts; halves of broken surrogate pairs are replaced by U+FFFD.
            contexts: per text its second segment, or ``None``. If both do not fit, the longer of
                the two loses tokens first.
        """
        if contexts is not None and len(contexts) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(contexts)} contexts")
        lengths: list[int] = []
        tokens: list[NDArray[np.int32]] = []
        segments: list[NDArray[np.int8]] = []
        paired = contexts is not None and any(contexts)
        for start in range(0, len(texts), CHUNK):
            inputs: list[str | tuple[str, str]] = [
                self._clean(text) for text in texts[start : start + CHUNK]
            ]
            if contexts is not None and paired:
                for i, context in enumerate(contexts[start : start + CHUNK]):
                    if context and (second := self._clean(context)):
                        inputs[i] = (str(inputs[i]), second)
            encodings = self._tokenizer.encode_batch_fast(inputs)
            rows = [encoding.ids for encoding in encodings]
            lengths += map(len, rows)
            tokens.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
            if paired:
                types = chain.from_iterable(encoding.type_ids for encoding in encodings)
                segments.append(np.fromiter(types, dtype=np.int8))
        return Encoded(
            _joined(tokens, np.int32),
            _offsets(lengths),
            _joined(segments, np.int8) if paired else None,
        )

    def _clean(self, text: str) -> str:
        text = text.strip()[: self.max_length * CHARACTERS_PER_TOKEN]
        try:
            text.encode()
        except UnicodeEncodeError:
            # UTF-16 joins halves that belong together, as JSON escapes leave them.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, kind), *parts])


def _pad_id(tokenizer: tokenizers.Tokenizer) -> int:
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    for token in PAD_TOKENS:
        number = tokenizer.token_to_id(token)
        if number is not None:
            return int(number)
    raise ModelError(
        f"the tokenizer has no padding token (looked for {', '.join(PAD_TOKENS)}); "
        "set 'padding' in tokenizer.json"
    )
