"""Makes a multilingual encoder of an English one: same layers, new vocabulary, aligned by pairs.

    python studies/zoo/align.py runs/zoo/tokenizer MINILM runs/zoo/pairs.jsonl runs/zoo/aligned 16

The last number is the time for training in minutes. The new embedding starts from glosses
(`embedding.py`), pieces without one from a lexicon counted on the pairs. Then the sentence vector
of each translation learns to be the English original's vector as the English encoder gave it
(Reimers and Gurevych, 2020). Nothing here needs labels.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from embedding import Pieces
from pairs import dice, incidence, subtitles
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

LONGEST = 64
BATCH_TOKENS = 2_500
HELD_OUT = 600
RATES = {"embedding": 1e-3, "layers": 1e-4}
WARMUP = 100

Pair = tuple[str, str, str]
"""Language, text, its English original."""


def read_pairs(path: Path) -> list[Pair]:
    """The pairs that `pairs.py` found, without the least sure 5 %, and the subtitles."""
    pairs: list[Pair] = []
    by_lang: dict[str, list[dict[str, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_lang.setdefault(row["lang"], []).append(row)
    for lang, rows in by_lang.items():
        least = np.quantile([row["score"] for row in rows], 0.05)
        pairs += [(lang, r["text"], r["english"]) for r in rows if r["score"] > least]
    for lang_a, text_a, lang_b, text_b in subtitles():
        pairs.append((lang_b, text_b, text_a) if lang_a == "en" else (lang_a, text_a, text_b))
    return pairs


@torch.no_grad()
def english_vectors(minilm: Path, texts: list[str]) -> Tensor:
    """The English encoder's mean token states, [n, hidden]."""
    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm)
    model.eval()
    vectors = torch.zeros(len(texts), model.config.hidden_size)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 64):
        chosen = order[start : start + 64]
        inputs = tokenizer(
            [texts[i] for i in chosen],
            padding=True, truncation=True, max_length=96, return_tensors="pt",
        )  # fmt: skip
        vectors[chosen] = mean_state(model, inputs["input_ids"], inputs["attention_mask"])
    return vectors


def mean_state(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weight = mask.unsqueeze(-1).float()
    return (states * weight).sum(1) / weight.sum(1)


def complete(pieces: Pieces, new: Tokenizer, pairs: list[Pair], seed: int) -> np.ndarray:
    """Vectors of all pieces: unknown ones from a lexicon of the pairs, or near the mean."""
    rng = np.random.default_rng(seed)
    vectors = pieces.vectors.copy()
    sides = [
        [np.array(e.ids) for e in new.encode_batch([p[k] for p in pairs], add_special_tokens=False)]
        for k in (1, 2)
    ]
    table = dice(*(incidence(bags, len(vectors)) for bags in sides))
    for number in np.flatnonzero(~pieces.known):
        row = table.getrow(number)
        usable = pieces.known[row.indices]
        value, index = row.data[usable], row.indices[usable]
        best = np.argsort(-value)[:3]
        noise = pieces.spread * rng.standard_normal(vectors.shape[1])
        if len(best):
            vectors[number] = np.average(vectors[index[best]], 0, value[best] ** 2) + 0.1 * noise
        else:
            vectors[number] = pieces.mean + 0.3 * noise
    return vectors.astype(np.float32)


def with_vocabulary(minilm: Path, vectors: np.ndarray, pad: int) -> PreTrainedModel:
    """The English encoder's layers under a new embedding."""
    model = AutoModel.from_pretrained(minilm, add_pooling_layer=False)
    model.config.vocab_size, model.config.pad_token_id = len(vectors), pad
    embedding = nn.Embedding(*vectors.shape, padding_idx=pad)
    embedding.weight.data = torch.from_numpy(vectors)
    model.embeddings.word_embeddings = embedding
    return model


def batches(lengths: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch: rows drawn by share, of like length within windows, shuffled."""
    order = rng.choice(len(lengths), len(lengths), p=shares)
    made = []
    for start in range(0, len(order), 6_400):
        window = order[start : start + 6_400]
        window = window[np.argsort(-lengths[window])]
        at = 0
        while at < len(window):
            count = max(1, BATCH_TOKENS // lengths[window[at]])
            made.append(window[at : at + count])
            at += count
    return [made[i] for i in rng.permutation(len(made))]


class Aligner:
    """The encoder, its tokens and the vectors it should give."""

    def __init__(self, model: PreTrainedModel, pad: int) -> None:
        self.model, self.pad = model, pad

    def vectors(self, ids: list[list[int]]) -> Tensor:
        longest = max(map(len, ids))
        tokens = torch.full((len(ids), longest), self.pad)
        mask = torch.zeros_like(tokens)
        for row, numbers in enumerate(ids):
            tokens[row, : len(numbers)] = torch.tensor(numbers)
            mask[row, : len(numbers)] = 1
        return mean_state(self.model, tokens, mask)

    @torch.no_grad()
    def report(self, ids: list[list[int]], targets: Tensor, langs: list[str]) -> None:
        """Cosine to the English vector, and how often that is the nearest of all held out."""
        self.model.eval()
        parts = [self.vectors(ids[i : i + 100]) for i in range(0, len(ids), 100)]
        vectors = nn.functional.normalize(torch.cat(parts), dim=1)
        cosine = (vectors * targets).sum(1)
        found = (vectors @ targets.T).argmax(1) == torch.arange(len(ids))
        self.model.train()
        print(f"cosine {cosine.mean():.3f}, nearest {found.float().mean():.3f}", flush=True)
        for lang in sorted(set(langs)):
            here = [i for i, name in enumerate(langs) if name == lang]
            print(f"  {lang} {cosine[here].mean():.3f} {found[here].float().mean():.3f}")


def train(aligner: Aligner, learn: Lessons, *, minutes: float, rng: np.random.Generator) -> int:
    """Until the time is up; the learning rates fall with it."""
    model = aligner.model
    groups: dict[str, list[nn.Parameter]] = {"embedding": [], "layers": []}
    for name, parameter in model.named_parameters():
        groups["embedding" if "word_embeddings" in name else "layers"].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": ps, "lr": RATES[k], "peak": RATES[k]} for k, ps in groups.items()],
        weight_decay=0.0,
        fused=True,
    )
    lengths = np.array(list(map(len, learn.ids)))
    start, step = time.monotonic(), 0
    while True:
        for rows in batches(lengths, learn.shares, rng):
            passed = (time.monotonic() - start) / (60 * minutes)
            if passed >= 1:
                return step
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * min(1, step / WARMUP) * max(0.02, 1 - passed)
            vectors = aligner.vectors([learn.ids[i] for i in rows])
            wanted = learn.targets[rows]
            cosine = (nn.functional.normalize(vectors, dim=1) * wanted).sum(1)
            # The second term keeps the length that the layers are used to.
            loss = (1 - cosine).mean() + 0.02 * (vectors - learn.scale * wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1


@dataclass(frozen=True)
class Lessons:
    """What there is to learn: texts as token ids, and the English vectors they should get."""

    ids: list[list[int]]
    targets: Tensor
    shares: np.ndarray
    scale: float
    held: tuple[list[list[int]], Tensor, list[str]]


def lessons(
    pairs: list[Pair], minilm: Path, tokenizer: Tokenizer, rng: np.random.Generator
) -> Lessons:
    """The pairs but for those held out, and every original for itself."""
    english = sorted({original for _, _, original in pairs})
    vectors = english_vectors(minilm, english)
    targets = nn.functional.normalize(vectors, dim=1)
    at = {text: i for i, text in enumerate(english)}
    chosen = set(rng.choice(len(pairs), HELD_OUT, replace=False).tolist())
    held = [pairs[i] for i in sorted(chosen)]
    rows = [p for i, p in enumerate(pairs) if i not in chosen]
    rows += [("en", text, text) for text in english]
    counts = Counter(lang for lang, _, _ in rows)
    shares = np.array([counts[lang] ** -0.4 for lang, _, _ in rows])

    def encode(some: list[Pair]) -> list[list[int]]:
        return [e.ids[:LONGEST] for e in tokenizer.encode_batch([text for _, text, _ in some])]

    def wanted(some: list[Pair]) -> Tensor:
        return targets[[at[original] for _, _, original in some]]

    return Lessons(
        ids=encode(rows),
        targets=wanted(rows),
        shares=shares / shares.sum(),
        scale=float(vectors.norm(dim=1).mean()),
        held=(encode(held), wanted(held), [lang for lang, _, _ in held]),
    )


def align(
    model: PreTrainedModel, learn: Lessons, pad: int, minutes: float, rng: np.random.Generator
) -> None:
    """Train without dropout, and say what it knew before and after."""
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    rates = [module.p for module in dropouts]
    for module in dropouts:
        module.p = 0.0
    aligner = Aligner(model, pad)
    aligner.report(*learn.held)
    steps = train(aligner, learn, minutes=minutes, rng=rng)
    print(f"{steps} steps")
    aligner.report(*learn.held)
    for module, rate in zip(dropouts, rates, strict=True):
        module.p = rate


def save(model: PreTrainedModel, tokenizer: Path, out: Path) -> None:
    """Write the encoder with its tokenizer."""
    model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, out / name)


def main(tokenizer: Path, minilm: Path, pairs_file: Path, out: Path, minutes: float) -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    new = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    pad = new.token_to_id("<pad>")
    pairs = read_pairs(pairs_file)
    model = with_vocabulary(minilm, complete(Pieces.load(new, minilm), new, pairs, seed=0), pad)
    align(model, lessons(pairs, minilm, new, rng), pad, minutes, rng)
    save(model, tokenizer, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]), minutes=float(sys.argv[5]))
