"""Real texts read by the label guide, and what their translations inherit.

    python studies/zoo/readings.py runs/zoo/pairs.jsonl runs/zoo/readings.parquet

studies/zoo/readings.jsonl holds labels of public texts, each text named by its source and the
first 16 hex digits of its SHA-256: the texts themselves stay where they are. m_absa has every
review in eleven languages; studies/zoo/pairs.py found which is whose. So a review labelled in one
language, here or in data/gold, gives its labels to its translations. A review of which any form is
kept for validation is left out with all its forms.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from xmpress.data import load_dataset
from xmpress.data.config import DataConfig
from xmpress.data.files import atomic_path
from xmpress.tasks import TaskSet

READINGS = Path(__file__).with_name("readings.jsonl")
TASKS = TaskSet.load("experience").names
Row = dict[str, Any]


def key(text: str) -> str:
    """What names a text in readings.jsonl."""
    return sha256(text.encode()).hexdigest()[:16]


def read_here(folder: Path) -> Iterator[Row]:
    """The rows of readings.jsonl with their texts."""
    labels = {}
    for line in READINGS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        labels[row["source"], row.pop("key")] = row
    for source in sorted({source for source, _ in labels}):
        table = pl.read_parquet(folder / "public" / f"{source}.parquet")
        table = table.filter(pl.col("split") == "train").unique("text", maintain_order=True)
        for lang, text in table.select("lang", "text").iter_rows():
            row = labels.pop((source, key(text)), None)
            if row:
                yield {"text": text, "lang": lang, **row}
    if labels:
        raise SystemExit(f"{len(labels)} readings without their text, such as {next(iter(labels))}")


def gold(folder: Path) -> Iterator[Row]:
    """The annotated reviews of m_absa."""
    table = pl.read_parquet(folder / "gold" / "gold.parquet")
    wanted = (pl.col("split") == "train") & (pl.col("source") == "m_absa")
    yield from table.filter(wanted).select("text", "lang", "source", *TASKS).iter_rows(named=True)


def inherited(rows: list[Row], pairs: Path, kept: set[str]) -> Iterator[Row]:
    """The same labels on every other form of a review, the first reading before later ones."""
    forms: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    original = {}
    for line in pairs.read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        english = pair["english"]
        forms[english]["en", english] = None
        forms[english][pair["lang"], pair["text"]] = None
        original["en", english] = original[pair["lang"], pair["text"]] = english
    done = {(row["lang"], row["text"]) for row in rows}
    for row in rows:
        others = forms[original.get((row["lang"], row["text"]), "")]
        if any(text in kept for _, text in others):
            continue
        for lang, text in others:
            if (lang, text) not in done:
                done.add((lang, text))
                yield {**row, "lang": lang, "text": text}


def main(pairs: Path, out: Path) -> None:
    """Write the texts read here and all that inherit a label."""
    folder = DataConfig.load("studies/data/public.yaml").folder()
    validation = load_dataset(
        "studies/data/zoo.yaml", TaskSet.load("experience"), split="validation"
    )
    kept = set(validation.where(sources=["gold"]).texts)
    here = list(read_here(folder))
    heirs = list(inherited([*here, *gold(folder)], pairs, kept))
    table = pl.DataFrame(
        [{**row, "split": "train"} for row in [*here, *heirs]],
        schema_overrides={"emotion": pl.List(pl.String)},
    )
    with atomic_path(out) as target:
        table.write_parquet(target)
    print(f"{len(here)} texts read, {len(heirs)} translations")
    print(table.group_by("lang").len().sort("lang"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
