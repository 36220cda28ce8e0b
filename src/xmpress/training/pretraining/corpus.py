"""Raw text to pretrain on: whatever `load_dataset` reads, plain text, pairs of translations."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from xmpress.data import Columns, Dataset, load_dataset
from xmpress.data.dataset import UNDETERMINED
from xmpress.data.readers import column, find_files, read_chunks
from xmpress.data.text_files import open_text, read_lines, told_as_ours
from xmpress.errors import DataError, Problem
from xmpress.tasks import Task, TaskKind, TaskSet
from xmpress.training.sampling import Rows, draw_epoch

PAIR_COLUMNS = ("lang_a", "text_a", "lang_b", "text_b")
TOKENIZER_TEXTS = 60_000
"""A tokenizer is learned from so many; more change little and take minutes."""

NO_LABELS = TaskSet(
    tasks=(Task(name="no_label_is_read", kind=TaskKind.SINGLE_LABEL, labels=("0", "1")),)
)
"""Names no column, so that labels are passed over whatever they are."""


@dataclass
class Corpus:
    """Texts, each with a second segment or none; pairs of translations come last.

    Attributes:
        texts: what is read.
        seconds: the question that was answered, the translation, or ``None``.
        langs: of the text; of a pair both, as ``de+en``.
        weights: how often a text is shown, relative to others of its language.
        pairs: how many of the texts have a translation as their second.
    """

    texts: list[str] = field(default_factory=list)
    seconds: list[str | None] = field(default_factory=list)
    langs: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    pairs: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_pair(self) -> np.ndarray:
        """Bool [n]."""
        return np.arange(len(self)) >= len(self) - self.pairs

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over everything, in order."""
        digest = hashlib.sha256()
        for row in zip(self.texts, self.seconds, self.langs, self.weights, strict=True):
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def by_language(self) -> dict[str, int]:
        """Texts per language, most first, without the pairs."""
        return dict(Counter(self.langs[: len(self) - self.pairs]).most_common())

    def groups(self) -> list[tuple[Rows, float]]:
        """The rows by language and weight, in a fixed order, as `draw_epoch` takes them."""
        found: dict[tuple[str, float], list[int]] = defaultdict(list)
        for row, key in enumerate(zip(self.langs, self.weights, strict=True)):
            found[key].append(row)
        return [(np.array(found[key]), key[1]) for key in sorted(found)]

    def sample(self, size: int, *, temperature: float, seed: int) -> Rows:
        """At most so many rows, each once, languages evened out."""
        size = min(size, len(self))
        drawn = draw_epoch(self.groups(), temperature=temperature, seed=seed, epoch=0, size=size)
        return np.unique(drawn)


def load_corpus(
    sources: Sequence[str], *, columns: Columns | None = None, parallel: str | None = None
) -> Corpus:
    """Read everything a pretraining shows.

    Args:
        sources: what `load_dataset` takes, or plain text files (.txt, .txt.gz), one text per line,
            of undetermined language.
        columns: what the columns of plain data files are called.
        parallel: a file, folder or glob with the columns of `PAIR_COLUMNS`.

    Raises:
        DataError: if anything cannot be read, or there are no rows that may be trained on.
    """
    corpus = Corpus()
    for source in sources:
        if _is_plain(source):
            _add_lines(corpus, source)
        else:
            _add_dataset(corpus, load_dataset(source, NO_LABELS, columns=columns))
    if not len(corpus):
        raise DataError(
            f"there is no text to train on in {', '.join(sources)}: no rows, or none of the split "
            "'train' (rows without a split count too)"
        )
    if parallel is not None:
        _add_pairs(corpus, parallel)
    return corpus


def _is_plain(source: str) -> bool:
    return source.lower().endswith((".txt", ".txt.gz"))


def _add_dataset(corpus: Corpus, dataset: Dataset) -> None:
    dataset = dataset.take([split in {None, "train"} for split in dataset.splits])
    corpus.texts += dataset.texts
    corpus.seconds += dataset.contexts
    corpus.langs += dataset.langs
    corpus.weights += [dataset.weights.get(source, 1.0) for source in dataset.sources]


def _add_lines(corpus: Corpus, source: str) -> None:
    for path in find_files([source]):
        with open_text(path, "utf-8") as file:
            for table, _ in told_as_ours(path, "utf-8", read_lines(file, 50_000)):
                lines = [line.strip() for line in column(table, "text") if line and line.strip()]
                corpus.texts += lines
                corpus.seconds += [None] * len(lines)
                corpus.langs += [UNDETERMINED] * len(lines)
                corpus.weights += [1.0] * len(lines)


def _add_pairs(corpus: Corpus, source: str) -> None:
    problems: list[Problem] = []
    for path in find_files([source]):
        for chunk in read_chunks(path, rows=50_000):
            _check_columns(path, chunk.table.column_names)
            rows = zip(*(column(chunk.table, name) for name in PAIR_COLUMNS), strict=True)
            for number, row in enumerate(rows, start=chunk.first_row):
                empty = [
                    name
                    for name, value in zip(PAIR_COLUMNS, row, strict=True)
                    if not isinstance(value, str) or not value.strip()
                ]
                if empty:
                    where = f"{path}, row {number}, column {' and '.join(empty)}"
                    problems.append(Problem(where, "is empty; remove the row"))
                    continue
                lang_a, text_a, lang_b, text_b = row
                if corpus.pairs % 2:  # neither language is always the second
                    lang_a, text_a, lang_b, text_b = lang_b, text_b, lang_a, text_a
                corpus.texts.append(text_a)
                corpus.seconds.append(text_b)
                corpus.langs.append("+".join(sorted((lang_a, lang_b))))
                corpus.weights.append(1.0)
                corpus.pairs += 1
    if problems:
        raise DataError("pairs of translations could not be read", problems)
    if not corpus.pairs:
        raise DataError(f"{source} holds no pairs of translations")


def _check_columns(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in PAIR_COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; a file of translations has the columns "
            f"{', '.join(PAIR_COLUMNS)}, this one has {', '.join(names)}"
        )
