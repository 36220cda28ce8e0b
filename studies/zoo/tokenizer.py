"""Learns the tokenizer of the zoo's encoders: 32,000 lower-case pieces for twelve languages.

    python studies/zoo/tokenizer.py runs/zoo/tokenizer

Of each language about as many characters, English twice, from sources whose licence allows it. The
trainer does not repeat to the bit; the tokenizer that was used lies in ``zoo:small``.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path

from pairs import subtitles

from xmpress.data import load_dataset
from xmpress.data.files import atomic_dir
from xmpress.modeling.tokenizer import train_tokenizer
from xmpress.tasks import TaskSet

CHARACTERS = {"en": 1_400_000, "th": 600_000, "zh": 350_000, "ja": 350_000, "ko": 350_000}
"""Of each language; a character of the last three says more."""
OTHERS = 700_000
LONGEST = 300


def corpus() -> dict[str, list[str]]:
    """Texts by language."""
    tasks = TaskSet.load("experience")
    texts = defaultdict(list)
    for source, times in (("studies/data/permissive.yaml", 1), ("sample", 3)):
        rows = load_dataset(source, tasks, split="train")
        for text, lang in zip(rows.texts, rows.langs, strict=True):
            texts[lang] += [text] * times
    for lang_a, text_a, lang_b, text_b in subtitles():
        texts[lang_a].append(text_a)
        texts[lang_b].append(text_b)
    return dict(sorted(texts.items()))


def main(out: Path) -> None:
    rng = random.Random(0)
    chosen: list[str] = []
    for lang, texts in corpus().items():
        rng.shuffle(texts)
        left = CHARACTERS.get(lang, OTHERS)
        for text in texts * 3:
            if left <= 0:
                break
            chosen.append(text[:LONGEST])
            left -= len(chosen[-1])
    rng.shuffle(chosen)
    with atomic_dir(out) as target:
        train_tokenizer(chosen, target, vocab_size=32_000, lowercase=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
