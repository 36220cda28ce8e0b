"""A token embedding for a new vocabulary, made from the embedding of an old one.

The transformer's layers are kept, its embedding is replaced: Artetxe et al. (2020) learn it anew;
WECHSEL (Minixhofer et al., 2022) and FOCUS (Dobler and de Melo, 2023) start it from tokens of like
meaning. This is a simple member of that family, without auxiliary vectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from tokenizers import Tokenizer, decoders, models

from xmpress.errors import ModelError
from xmpress.tasks import FloatArray

SENSES = " | "
"""Separates the senses of a gloss."""
NOISE = 0.1
"""Of pieces without a source, relative to the spread of the old embedding."""

ROLES = {
    "begin": ("[CLS]", "<s>", "<bos>", "<cls>"),
    "end": ("[SEP]", "</s>", "<eos>", "<sep>"),
    "pad": ("[PAD]", "<pad>"),
    "unknown": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>"),
}
_ROLE_OF = {name: role for role, names in ROLES.items() for name in names}
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")

Key = tuple[str, str]
"""What a piece is whatever the marker of its vocabulary: kind (word, inner, special) and text."""


def transfer_embedding(
    old_weights: FloatArray,
    old_tokenizer: Tokenizer,
    new_tokenizer: Tokenizer,
    glosses: Mapping[int, str] | None = None,
) -> FloatArray:
    """Make an embedding for the vocabulary of another tokenizer.

    For each piece of the new vocabulary the first of these that there is:

    1. its gloss: the mean over the senses of the mean of the old pieces of a sense;
    2. the same piece of the old vocabulary, its markers of word borders (``▁``, ``##``, ``Ġ``)
       aside; special tokens by their role; if need be the same text elsewhere in a word, or in the
       old tokenizer's normal form (lower case, say);
    3. the mean of the pieces into which the old tokenizer cuts its text;
    4. the mean of the old embedding with a little noise, from a fixed seed.

    Copies stay as they are; what is made of several pieces, or of none, gets the mean norm of the
    old embedding.

    Args:
        old_weights: float [V_old, h], the token embedding to draw from.
        old_tokenizer: its tokenizer.
        new_tokenizer: whose vocabulary is wanted.
        glosses: for ids of the new vocabulary, words in a language that the old model knows;
            ``" | "`` separates senses: ``{1042: "recommend", 7: "bank | shore"}``.

    Returns:
        float [V_new, h], of the dtype of ``old_weights``; V_new is the largest id + 1.

    Raises:
        ModelError: if ids of the old tokenizer or of the glosses lie outside their vocabulary.
    """
    old = old_tokenizer.get_vocab(with_added_tokens=True)
    new = new_tokenizer.get_vocab(with_added_tokens=True)
    size = max(new.values()) + 1
    if max(old.values()) >= len(old_weights):
        raise ModelError(
            f"the embedding has {len(old_weights)} rows, but its tokenizer gives ids up to "
            f"{max(old.values())}: they do not belong together"
        )
    glosses = glosses or {}
    if wrong := [number for number in glosses if not 0 <= number < size]:
        raise ModelError(f"glosses for ids {wrong[:5]}: the new vocabulary has {size} pieces")

    sources = _same_pieces(old, new, old_tokenizer, new_tokenizer)
    cut = _cutter(old_tokenizer)
    keys = _keys(new, new_tokenizer)
    left = [
        (number, text)
        for number, (kind, text) in keys.items()
        if number not in sources and kind != "special" and text
    ]
    for (number, _), pieces in zip(left, cut(text for _, text in left), strict=True):
        if pieces:
            sources[number] = [pieces]
    senses = [(number, sense) for number, gloss in glosses.items() for sense in gloss.split(SENSES)]
    glossed: dict[int, list[list[int]]] = {}
    for (number, _), pieces in zip(senses, cut(sense for _, sense in senses), strict=True):
        if pieces:
            glossed.setdefault(number, []).append(pieces)
    return _combine(old_weights, sources | glossed, size)


def _same_pieces(
    old: Mapping[str, int],
    new: Mapping[str, int],
    old_tokenizer: Tokenizer,
    new_tokenizer: Tokenizer,
) -> dict[int, list[list[int]]]:
    """Pieces that both vocabularies have: new id to the one old id."""
    known = {key: number for number, key in _keys(old, old_tokenizer).items()}
    normal = _normal_form(old_tokenizer)
    # A WordPiece tokenizer parts punctuation and ideographs from what stands before them, so that
    # its `##.` is never used and never learned.
    parts = _is_wordpiece(old_tokenizer) and not _is_wordpiece(new_tokenizer)
    found = {}
    for number, (kind, text) in _keys(new, new_tokenizer).items():
        candidates = [(kind, text)]
        if kind != "special" and text:
            if kind == "inner" and parts and _begins_word(old_tokenizer, text):
                kind = "word"
            other = "inner" if kind == "word" else "word"
            texts = (text, normal(text))
            candidates = [(kind, t) for t in texts] + [(other, t) for t in texts]
        match = next((known[key] for key in candidates if key in known), None)
        if match is not None:
            found[number] = [[match]]
    return found


def _normal_form(tokenizer: Tokenizer) -> Callable[[str], str]:
    """The text of a piece as the tokenizer's normalizer has it."""
    normalizer = tokenizer.normalizer
    if normalizer is None:
        return lambda text: text
    # Normalizers may mark or pad words themselves.
    return lambda text: normalizer.normalize_str(text).replace("▁", " ").strip() or text


def _begins_word(tokenizer: Tokenizer, text: str) -> bool:
    """Whether the tokenizer parts a text from a letter before it."""
    splitter = tokenizer.pre_tokenizer
    words = splitter.pre_tokenize_str(_normal_form(tokenizer)("a" + text)) if splitter else []
    return bool(words) and words[0][0] == "a"


def _is_wordpiece(tokenizer: Tokenizer) -> bool:
    return isinstance(tokenizer.model, models.WordPiece)


def _keys(vocabulary: Mapping[str, int], tokenizer: Tokenizer) -> dict[int, Key]:
    """What each piece is, by id."""
    special = {
        number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    read = _reader(tokenizer)
    keys = {}
    for piece, number in vocabulary.items():
        if number in special or piece in _ROLE_OF or _BYTE.fullmatch(piece):
            keys[number] = ("special", _ROLE_OF.get(piece, piece))
        else:
            keys[number] = read(piece)
    return keys


def _reader(tokenizer: Tokenizer) -> Callable[[str], Key]:
    """How a vocabulary writes that a piece begins a word."""
    if _is_wordpiece(tokenizer):
        prefix = tokenizer.model.continuing_subword_prefix

        def wordpiece(piece: str) -> Key:
            inner = piece.startswith(prefix) and piece != prefix
            return ("inner", piece.removeprefix(prefix)) if inner else ("word", piece)

        return wordpiece
    if "ByteLevel" in repr(tokenizer.pre_tokenizer):
        decoder = decoders.ByteLevel()

        def byte_level(piece: str) -> Key:
            text = decoder.decode([piece])
            if "\ufffd" in text:
                return ("special", piece)  # part of a character
            return ("word", text[1:]) if text.startswith(" ") else ("inner", text)

        return byte_level
    return lambda piece: (
        ("word", piece.removeprefix("▁")) if piece.startswith("▁") else ("inner", piece)
    )


def _cutter(tokenizer: Tokenizer) -> Callable[[Iterable[str]], list[list[int]]]:
    """Text to the ids of its pieces, without those that say nothing."""
    silent = {
        number
        for number, (kind, text) in _keys(tokenizer.get_vocab(), tokenizer).items()
        if not text or (kind == "special" and text in ROLES)
    }

    def cut(texts: Iterable[str]) -> list[list[int]]:
        encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[i for i in encoding.ids if i not in silent] for encoding in encodings]

    return cut


def _combine(weights: FloatArray, sources: Mapping[int, list[list[int]]], size: int) -> FloatArray:
    """The rows of the new embedding from the old rows they are made of."""
    norm = float(np.linalg.norm(weights, axis=1).mean())
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((size, weights.shape[1])) * weights.std(axis=0) * NOISE
    made = (weights.mean(axis=0) + noise).astype(weights.dtype)
    copied = np.zeros(size, dtype=bool)
    for number, senses in sources.items():
        made[number] = np.mean([weights[pieces].mean(axis=0) for pieces in senses], axis=0)
        copied[number] = len(senses) == 1 and len(senses[0]) == 1
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    scaled = made * (norm / np.maximum(lengths, np.finfo(weights.dtype).tiny))
    result: FloatArray = np.where(copied[:, None], made, scaled).astype(weights.dtype)
    return result
