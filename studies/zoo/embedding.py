"""Vectors of the new vocabulary's pieces out of an English encoder's, by way of glosses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

GLOSSES = Path(__file__).parent / "glosses"
"""Per language: piece, tab, its meaning in English; `` | `` separates senses."""
RARE = 1e-3
"""A piece as frequent as this counts half in a sentence (Arora et al., 2017)."""


@dataclass(frozen=True)
class Pieces:
    """The vocabulary with what is known of it.

    Attributes:
        vectors: float [vocab, hidden]; zero where nothing is known.
        known: bool [vocab].
        shares: by language, each piece's share of that language's pieces, [vocab].
        spread: standard deviation of the English embedding, [hidden].
        mean: its mean, [hidden].
    """

    vectors: np.ndarray
    known: np.ndarray
    shares: dict[str, np.ndarray]
    spread: np.ndarray
    mean: np.ndarray

    @classmethod
    def load(cls, new: Tokenizer, minilm: Path) -> Pieces:
        """Glosses first; else a piece of English, or a sign, is cut as the old tokenizer cuts."""
        from tokenizer import corpus

        old = Tokenizer.from_file(str(minilm / "tokenizer.json"))
        old.no_padding()
        old.no_truncation()
        weights = load_file(minilm / "model.safetensors")
        table = next(v for k, v in weights.items() if k.endswith("word_embeddings.weight"))
        shares = {lang: frequencies(new, texts) for lang, texts in corpus().items()}
        vectors = np.zeros((new.get_vocab_size(), table.shape[1]), np.float32)
        glossed = read_glosses(new, shares)
        whole = np.maximum(sum(shares.values()), 1e-12)
        english = shares["en"] / whole

        def meaning(text: str) -> np.ndarray | None:
            ids = old.encode(text, add_special_tokens=False).ids
            unknown = not ids or ids == [old.token_to_id("[UNK]")]
            return None if unknown else table[ids].mean(axis=0)

        for number in range(len(vectors)):
            piece = new.id_to_token(number)
            text = piece.replace("▁", "").strip()
            senses = glossed.get(number, [])
            if (
                not senses
                and text
                and not piece.startswith("<")
                and (english[number] >= 0.1 or not any(map(str.isalpha, text)))
            ):
                senses = [(1.0, text)]
            found = [(w, v) for w, sense in senses if (v := meaning(sense)) is not None]
            if found:
                vectors[number] = np.average([v for _, v in found], 0, [w for w, _ in found])
        for ours, theirs in {
            "<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"
        }.items():  # fmt: skip
            vectors[new.token_to_id(ours)] = table[old.token_to_id(theirs)]
        known = np.abs(vectors).sum(axis=1) > 0
        return cls(vectors, known, shares, table.std(axis=0), table.mean(axis=0))

    def sentences(self, bags: Sequence[np.ndarray], lang: str) -> np.ndarray:
        """Unit vectors [n, hidden] of sentences given as piece ids; frequent pieces count less."""
        centred = (self.vectors - self.mean) * self.known[:, None]
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
        weight = RARE / (RARE + self.shares[lang])
        sums = np.stack([(centred[b] * weight[b, None]).sum(axis=0) for b in bags])
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)


def frequencies(tokenizer: Tokenizer, texts: list[str], most: int = 40_000) -> np.ndarray:
    """Each piece's share of all pieces of some texts, [vocab]."""
    counts = np.zeros(tokenizer.get_vocab_size())
    for encoding in tokenizer.encode_batch_fast(texts[:: max(1, len(texts) // most)]):
        np.add.at(counts, encoding.ids, 1)
    return counts / counts.sum()


def read_glosses(
    tokenizer: Tokenizer, shares: dict[str, np.ndarray]
) -> dict[int, list[tuple[float, str]]]:
    """Per piece its senses, each with a weight: how much the piece belongs to that language."""
    whole = np.maximum(sum(shares.values()), 1e-12)
    senses = defaultdict(list)
    for path in sorted(GLOSSES.glob("*.tsv")):
        share = shares[path.stem] / whole
        for piece, gloss in _rows(path):
            number = tokenizer.token_to_id(piece)
            if number is not None:
                weight = float(share[number]) + 1e-6
                senses[number] += [(weight, s.strip()) for s in gloss.split("|") if s.strip()]
    return dict(senses)


def _rows(path: Path) -> Iterable[list[str]]:
    return (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
