"""The texts that are measured: those of a file, or made up to a distribution of lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmpress.data import choose_tasks, find_files, load_dataset, read_chunks
from xmpress.data.readers import column
from xmpress.errors import DataError, UsageError

Count = Callable[[Sequence[str]], NDArray[np.int64]]
"""Tokens of texts, special tokens included."""

_WORD = re.compile(r"\S{1,12}")
"""A word, or a part of a sentence in a language that puts no spaces between words."""
_SPEC = re.compile(r"(?P<key>median|mean|max)=(?P<value>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Workload:
    """Distinct texts; every candidate is measured on the same ones.

    Distinct, because identical texts are computed once by some candidates and not by others.

    Attributes:
        texts: in the order in which they arrive.
        source: where they come from, for the report.
    """

    texts: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.texts)


def texts_of(source: str, *, rows: int, text: str = "text", seed: int = 0) -> Workload:
    """Distinct texts of a file, folder, data config, ``sample``, or ``hf:owner/name``.

    Args:
        source: as `xmpress.data.load_dataset` takes it; a plain file needs the text column only.
        rows: at most so many, drawn at random; their order is random too, as it is in life.
        text: the column of the text.
        seed: of the draw.

    Raises:
        DataError: if it cannot be read or holds no text.
    """
    distinct = list(dict.fromkeys(t for t in _read(source, text) if t and t.strip()))
    if not distinct:
        raise DataError(f"{source} holds no text in column '{text}'")
    order = np.random.default_rng(seed).permutation(len(distinct))[:rows]
    return Workload([distinct[i] for i in order], f"{source}, {len(order):,} distinct texts")


@dataclass(frozen=True)
class Lengths:
    """A log-normal distribution of tokens per text, which survey answers follow closely.

    Attributes:
        median: half of the texts are shorter.
        mean: more than the median.
        longest: longer ones are cut.
    """

    median: float
    mean: float
    longest: int

    @classmethod
    def parse(cls, spec: str) -> Lengths:
        """Read ``median=19,mean=25,max=128``.

        Raises:
            UsageError: if it is not of that form, or no such distribution exists.

        Example:
            >>> Lengths.parse("median=19,mean=25,max=128")
            Lengths(median=19.0, mean=25.0, longest=128)
        """
        parts = [_SPEC.fullmatch(part.strip()) for part in spec.split(",")]
        found = {part["key"]: float(part["value"]) for part in parts if part}
        if len(found) != 3 or len(parts) != 3:
            raise UsageError(
                f"lengths '{spec}' are not of the form median=19,mean=25,max=128 (tokens per text)"
            )
        if not 1 <= found["median"] <= found["mean"] <= found["max"]:
            raise UsageError(f"lengths '{spec}': expected 1 <= median <= mean <= max")
        return cls(found["median"], found["mean"], int(found["max"]))

    def draw(self, count: int, seed: int = 0) -> NDArray[np.int64]:
        """So many lengths, at least 1."""
        sigma = math.sqrt(2 * math.log(self.mean / self.median))
        drawn = np.random.default_rng(seed).lognormal(math.log(self.median), sigma, count)
        return np.clip(np.rint(drawn), 1, self.longest).astype(np.int64)


def texts_of_lengths(lengths: Lengths, count: Count, *, rows: int, seed: int = 0) -> Workload:
    """Texts of words of the bundled sample, in twelve languages, of lengths drawn at random.

    Args:
        lengths: the distribution, special tokens included.
        count: counts the tokens, by the first candidate's tokenizer.
        rows: how many texts.
        seed: of lengths and words.
    """
    random = np.random.default_rng(seed)
    words = sorted({word for text in _read("sample", "text") for word in _WORD.findall(text)})
    special = int(count([""])[0])
    sizes = np.maximum(count(words) - special, 1)
    texts = []
    for length in lengths.draw(rows, seed):
        room = max(1, int(length) - special)
        text: list[str] = []
        while room > 0:
            pick = int(random.choice(np.flatnonzero(sizes <= room)))
            text.append(words[pick])
            room -= int(sizes[pick])
        texts.append(" ".join(text))
    return Workload(
        texts,
        f"{rows:,} texts of random words; tokens per text log-normal with median "
        f"{lengths.median:g}, mean {lengths.mean:g}, at most {lengths.longest}",
    )


def _read(source: str, text: str) -> list[str]:
    if source == "sample" or source.startswith("hf:") or Path(source).suffix in {".yaml", ".yml"}:
        return load_dataset(source, choose_tasks(source)).texts
    texts: list[str] = []
    for path in find_files([source]):
        for chunk in read_chunks(path):
            if text not in chunk.table.column_names:
                known = ", ".join(chunk.table.column_names)
                raise DataError(f"{path} has no column '{text}'; it has {known} (--text)")
            texts += [str(value) for value in column(chunk.table, text) if value is not None]
    return texts
