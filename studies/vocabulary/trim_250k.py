"""Time and memory of trimming a vocabulary of XLM-R's size, 250,002 tokens with 768 numbers each.

    python studies/vocabulary/trim_250k.py

The tokenizer is made up: every piece of the words of the bundled sample, by frequency, and random
ones up to the number. The weights are random. What is measured, in a process of its own, is the
pass alone: reading the model, counting, rewriting, comparing, checking and writing.
"""

from __future__ import annotations

import json
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

VOCABULARY = 250_002
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LANGUAGES = ["en", "de", "ja", "th"]


def make_tokenizer(path: Path) -> None:
    """Write a Unigram tokenizer in XLM-R's layout."""
    import numpy as np
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    from xmpress.data import load_dataset
    from xmpress.tasks import TaskSet

    counts: Counter[str] = Counter()
    for text in load_dataset("sample", TaskSet.load("experience")).texts:
        for word in text.split():
            marked = f"▁{word}"
            for start in range(len(marked)):
                counts.update(marked[start : start + size] for size in range(1, 9))
    pieces = [piece for piece, _ in counts.most_common(VOCABULARY - len(SPECIAL) - 1)]
    rng, known = random.Random(0), set(pieces)
    while len(pieces) < VOCABULARY - len(SPECIAL) - 1:
        piece = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(5, 10)))
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
    total = counts.total()
    scores = np.log([(counts[piece] + 0.5) / total for piece in pieces])
    vocabulary = [(token, 0.0) for token in SPECIAL]
    vocabulary += list(zip(pieces, scores.tolist(), strict=True))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.save(str(path))


def make_model(directory: Path) -> None:
    """Write a model directory with one layer of XLM-R base."""
    from transformers import XLMRobertaConfig

    from xmpress.modeling import MultiTaskConfig, MultiTaskModel, save_model
    from xmpress.tasks import TaskSet

    tokenizer = directory.with_name("tokenizer")
    tokenizer.mkdir()
    make_tokenizer(tokenizer / "tokenizer.json")
    config = MultiTaskConfig(
        encoder_config=XLMRobertaConfig(
            vocab_size=VOCABULARY,
            num_hidden_layers=1,
            max_position_embeddings=514,
            type_vocab_size=1,
            pad_token_id=1,
        ),
        tasks=TaskSet.load("experience").model_dump(mode="json")["tasks"],
    )
    save_model(directory, MultiTaskModel(config), tokenizer)


def trim(model: Path, target: Path) -> None:
    """Run the pass and print what it took."""
    from xmpress.compression import Artefact, Context
    from xmpress.compression.vocabulary import TrimParams, TrimVocabulary
    from xmpress.data import load_dataset
    from xmpress.tasks import TaskSet

    artefact, work = Artefact(model), target.with_name("work")
    for folder in (work, target):
        folder.mkdir()
    dataset = load_dataset("sample", TaskSet.load("experience"))
    context = Context(
        name="trimmed",
        artefact=artefact,
        teacher=artefact,
        student=None,
        data_name="sample",
        dataset=lambda: dataset,
        sample=lambda rows, training, even: dataset.take(slice(0, rows)),
        seed=0,
        cache=work,
        workspace=work,
        say=print,
        quiet=True,
    )
    imported = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    details = TrimVocabulary(TrimParams(languages=LANGUAGES)).run(context, target)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "seconds": round(seconds, 1),
        "processor_seconds": round(
            used.ru_utime + used.ru_stime - imported.ru_utime - imported.ru_stime, 1
        ),
        "peak_gb": round(used.ru_maxrss / 1e6, 2),
        "bytes": {"before": artefact.bytes, "after": Artefact(target).bytes},
    }
    print(json.dumps({**measured, **details}, indent=1))


def main() -> None:
    """Make the model in one process and trim it in another, whose memory is its own."""
    steps = {"make": make_model, "trim": trim}
    if len(sys.argv) > 1:
        steps[sys.argv[1]](*map(Path, sys.argv[2:]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for step in (["make", f"{folder}/model"], ["trim", f"{folder}/model", f"{folder}/out"]):
            subprocess.run([sys.executable, __file__, *step], check=True)


if __name__ == "__main__":
    main()
