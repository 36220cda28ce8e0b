"""Text to token ids; one class for training, evaluation and serving, so that they cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
    """Token ids of n texts, special tokens included, not padded.

    Attributes:
        ids: per text int32 [T].
        type_ids: per text int8 [T], the segment of each token (0 text, 1 context, as the
            tokenizer has it); ``None`` if all are 0.
    """

    ids: list[NDArray[np.int32]]
    type_ids: list[NDArray[np.int8]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per text, int64 [n]."""
        return np.fromiter(map(len, self.ids), dtype=np.int64, count=len(self.ids))


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
        ids: list[NDArray[np.int32]] = []
        type_ids: list[NDArray[np.int8]] = []
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
            ids += [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
            if paired:
                type_ids += [np.array(encoding.type_ids, dtype=np.int8) for encoding in encodings]
        return Encoded(ids, type_ids if paired else None)

    def _clean(self, text: str) -> str:
        text = text.strip()[: self.max_length * CHARACTERS_PER_TOKEN]
        try:
            text.encode()
        except UnicodeEncodeError:
            # UTF-16 joins halves that belong together, as JSON escapes leave them.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text


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
