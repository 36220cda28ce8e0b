"""A made-up lake of survey answers: real short texts that come again as short answers do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

DISTINCT = 300_000
"""Texts at most."""
LONGEST = 80
"""Characters of a text: what people write into a form."""
FILES = 8
"""Parquet files; the last hundredth of the rows is JSONL, which can be broken."""
BAD_SHARE = 0.002
"""Of the rows."""
BAD = ("", "   ", "\u200b\u200b", None, "\x00\x01", "🤖" * 3000, "word " * 8000, "\ufffd\ufffe")
"""Blank, null, control characters, far too long, no characters at all."""
BROKEN = (
    b'{"id": 1, "text": "cut of',
    b'{"text": 5}',
    b'{"text": "\xff\xfe"}',
    b"[1, 2]",
    b"[" * 9000,
)
"""Lines that are no rows."""


def zipf_weights(count: int, exponent: float = 1.0) -> NDArray[np.float64]:
    """How often each of so many texts is drawn, most frequent first; they sum to 1.

    Zipf's law with Mandelbrot's shift, so that the first is not a tenth of everything.
    """
    weights = 1.0 / (np.arange(count) + 2.7) ** exponent
    return np.asarray(weights / weights.sum())


def short_texts(data: Path, seed: int) -> pl.DataFrame:
    """Distinct short texts of the public sets with their languages, in random order."""
    files = sorted((data / "public").glob("*.parquet"))
    if not files:
        raise SystemExit(f"no data in {data / 'public'}; set XMPRESS_DATA")
    texts = (
        pl.concat([pl.read_parquet(file, columns=["text", "lang"]) for file in files])
        .filter(pl.col("text").str.len_chars() <= LONGEST)
        .unique("text", keep="first", maintain_order=True)
    )
    order = np.random.default_rng(seed).permutation(len(texts))[:DISTINCT]
    return texts[order.tolist()]


def write_survey(folder: Path, data: Path, rows: int, seed: int) -> dict[str, int]:
    """Write so many rows, broken lines beside them; gives what there is."""
    texts = short_texts(data, seed)
    draw = np.random.default_rng(seed)
    drawn = draw.choice(len(texts), size=rows, p=zipf_weights(len(texts)))
    bad = np.flatnonzero(draw.random(rows) < BAD_SHARE)
    kinds = draw.integers(len(BAD), size=len(bad))
    column: list[str | None] = texts["text"].gather(drawn).to_list()
    for row, kind in zip(bad.tolist(), kinds.tolist(), strict=True):
        column[row] = BAD[kind]
    table = pl.DataFrame(
        {
            "id": pl.Series(range(1, rows + 1), dtype=pl.Int64),
            "lang": texts["lang"].gather(drawn),
            "text": pl.Series(column, dtype=pl.String),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    in_lines = max(len(BROKEN), rows // 100)
    per_file = -(-(rows - in_lines) // FILES)
    for number in range(FILES):
        part = table[number * per_file : min((number + 1) * per_file, rows - in_lines)]
        # Groups that do not agree with the parts that are written.
        part.write_parquet(folder / f"{number + 1:02d}.parquet", row_group_size=50_000)
    broken = _write_lines(folder / "99.jsonl", table[rows - in_lines :], draw)
    return {
        "rows": rows,
        "distinct": len(np.unique(drawn)),
        "bad texts": len(bad),
        "broken lines": broken,
    }


def _write_lines(path: Path, table: pl.DataFrame, draw: np.random.Generator) -> int:
    """JSON lines with broken ones among them; gives how many."""
    count = max(len(BROKEN), len(table) // 50)
    before = set(draw.choice(len(table), size=count, replace=False).tolist())
    broken = 0
    with path.open("wb") as file:
        for number, row in enumerate(table.iter_rows(named=True)):
            if number in before:
                file.write(BROKEN[broken % len(BROKEN)] + b"\n")
                broken += 1
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return broken
