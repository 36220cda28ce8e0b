"""A new task from a few labels in English, tested in eleven languages.

    python studies/zoo/fewshot.py > runs/zoo/fewshot.md

The task is the polarity of m_absa's reviews (negative, neutral, positive), which `zoo:small` has
not seen: it was made without labels. Beside it the same encoder with random weights, and TF-IDF
with logistic regression, all on the same rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pairs import data_folder

from xmpress.data import Dataset, load_dataset
from xmpress.evaluation import score
from xmpress.modeling import load_model
from xmpress.tasks import Task, TaskSet
from xmpress.training import TrainConfig, train
from xmpress.training.baselines import fit_baseline
from xmpress.zoo import resolve

RUNS = Path("runs/zoo/fewshot")
LABELS = ["negative", "neutral", "positive"]
SIZES = (100, 300, 1000)
SEEDS = (1,)
TEST_ROWS = 300
"""Per language."""
TASK = {"name": "polarity", "kind": "single_label", "labels": LABELS}


def rows(split: str) -> pl.DataFrame:
    table = pl.read_parquet(data_folder() / "public" / "m_absa.parquet")
    table = table.filter((pl.col("split") == split) & pl.col("sentiment").is_in(LABELS))
    return table.select("text", "lang", pl.col("sentiment").alias("polarity"))


def write_train(size: int, seed: int) -> Path:
    """A user's file: as many rows of each label as there are, in English."""
    path = RUNS / f"train-{size}-{seed}.jsonl"
    english = rows("train").filter(pl.col("lang") == "en")
    chosen = english.sample(size, seed=seed, shuffle=True)
    path.write_text(chosen.write_ndjson(), encoding="utf-8")
    return path


def test() -> Dataset:
    table = rows("test")
    parts = [
        part.sample(TEST_ROWS, seed=0) for _, part in table.group_by("lang", maintain_order=True)
    ]
    path = RUNS / "test.jsonl"
    path.write_text(pl.concat(parts).write_ndjson(), encoding="utf-8")
    return load_dataset(path, TaskSet(tasks=(Task.model_validate(TASK),)))


def encoders() -> dict[str, dict[str, Any]]:
    small = resolve("small")
    config = json.loads((small / "config.json").read_text(encoding="utf-8"))
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    bare = {"model_type": config["model_type"], **{key: config[key] for key in keys}}
    return {
        "zoo:small": {"encoder": "zoo:small"},
        "the same, random weights": {"encoder": bare, "tokenizer": str(small)},
    }


def main() -> None:
    RUNS.mkdir(parents=True, exist_ok=True)
    held = test()
    langs = sorted(set(held.langs))
    write = sys.stdout.write
    write("Macro-F1 x 100, mean and standard deviation over seeds.\n\n")
    write(f"| rows | model | en | mean of the other {len(langs) - 1} | worst |\n")
    write("|---|---|---|---|---|\n")
    for size in SIZES:
        found: dict[str, list[list[float]]] = {}
        for seed in SEEDS:
            data = write_train(size, seed)
            models: dict[str, Any] = {}
            for name, settings in encoders().items():
                out = RUNS / f"{name.split()[0].replace(':', '-')}-{size}-{seed}"
                if not out.is_dir():
                    config = TrainConfig.load(
                        None,
                        data=str(data),
                        tasks=[TASK],
                        **settings,
                        fit={"seed": seed, "batch_tokens": 1024},
                    )
                    train(config, out, overwrite=True, quiet=True)
                models[name] = load_model(out)
            models["TF-IDF + LR"] = fit_baseline("tfidf", load_dataset(data, held.tasks))
            for name, model in models.items():
                logits = model.logits(held.texts, held.contexts)
                card = score(name, logits, held, model.calibration)
                cells = [card.cell("polarity", lang) for lang in langs]
                found.setdefault(name, []).append([c.macro_f1 for c in cells if c])
        for name, values in found.items():
            f1 = 100 * np.array(values)
            others = f1[:, [i for i, lang in enumerate(langs) if lang != "en"]]
            english = f1[:, langs.index("en")]
            write(
                f"| {size} | {name} | {english.mean():.1f} ± {english.std():.1f} | "
                f"{others.mean():.1f} ± {others.mean(axis=1).std():.1f} | "
                f"{others.mean(axis=0).min():.1f} |\n"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
