"""A labelled data set in memory, and how it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xmpress.data.config import (
    Columns,
    DataConfig,
    Scope,
    Source,
    SourceSettings,
    TaskColumn,
    cell_text,
)
from xmpress.data.labels import LabelReader
from xmpress.data.readers import Chunk, column, find_files, read_chunks
from xmpress.data.text import fold, text_hash
from xmpress.errors import DataError, MissingExtraError, Problem
from xmpress.tasks import Labels, TaskSet
from xmpress.validation import nearest

if TYPE_CHECKING:
    from arro3.core import Table

SPLITS = ("train", "validation", "test")
UNDETERMINED = "und"
"""The language of a text whose language is not given (BCP 47)."""

_SPLIT_NAMES = {name: name for name in SPLITS} | dict.fromkeys(
    ("valid", "val", "dev"), "validation"
)


@dataclass(frozen=True)
class Dataset:
    """Texts with their labels, row by row.

    Attributes:
        tasks: what the rows may be labelled for.
        texts: the feedback.
        contexts: the question that was answered, if known.
        langs: language, the primary subtag of BCP 47; ``und`` if not given.
        ids: identifiers.
        sources: which source the row comes from.
        splits: ``train``, ``validation``, ``test`` or ``None``.
        labels: per task the labels of all rows; every task of the set has an entry.
        weights: per source how often training draws from it, relative to its size; 1 if not given.
    """

    tasks: TaskSet
    texts: list[str]
    contexts: list[str | None]
    langs: list[str]
    ids: list[str]
    sources: list[str]
    splits: list[str | None]
    labels: dict[str, Labels]
    weights: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Any) -> Dataset:
        """Some rows: positions, a mask or a slice."""
        index = np.arange(len(self))[rows]

        def pick(values: list[Any]) -> list[Any]:
            return [values[i] for i in index]

        return Dataset(
            tasks=self.tasks,
            texts=pick(self.texts),
            contexts=pick(self.contexts),
            langs=pick(self.langs),
            ids=pick(self.ids),
            sources=pick(self.sources),
            splits=pick(self.splits),
            labels={name: labels.take(index) for name, labels in self.labels.items()},
            weights=self.weights,
        )

    def where(
        self,
        *,
        split: str | None = None,
        langs: Collection[str] | None = None,
        tasks: Collection[str] | None = None,
        sources: Collection[str] | None = None,
    ) -> Dataset:
        """The rows of a split, of some languages or sources, or labelled for one of some tasks."""
        keep = np.ones(len(self), dtype=bool)
        if split is not None:
            keep &= np.array([s == split for s in self.splits], dtype=bool)
        if langs is not None:
            keep &= np.array([lang in langs for lang in self.langs], dtype=bool)
        if sources is not None:
            keep &= np.array([source in sources for source in self.sources], dtype=bool)
        if tasks is not None:
            annotated = [self.labels[self.tasks[name].name].annotated for name in tasks]
            keep &= np.any(annotated, axis=0) if annotated else False
        return self.take(keep)

    def select(self, tasks: Sequence[str]) -> Dataset:
        """The same rows with the labels of some tasks only."""
        chosen = self.tasks.select(tasks)
        return replace(
            self, tasks=chosen, labels={name: self.labels[name] for name in chosen.names}
        )

    def with_splits(self, splits: list[str | None]) -> Dataset:
        """The same rows in other splits."""
        return replace(self, splits=splits)

    @classmethod
    def concat(cls, parts: Sequence[Dataset]) -> Dataset:
        """Several data sets of the same tasks, one after the other."""
        first = parts[0]

        def joined(name: str) -> list[Any]:
            return [value for part in parts for value in getattr(part, name)]

        return cls(
            tasks=first.tasks,
            texts=joined("texts"),
            contexts=joined("contexts"),
            langs=joined("langs"),
            ids=joined("ids"),
            sources=joined("sources"),
            splits=joined("splits"),
            labels={
                name: Labels.concat([part.labels[name] for part in parts])
                for name in first.tasks.names
            },
            weights={name: weight for part in parts for name, weight in part.weights.items()},
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over texts, contexts, languages, splits and labels, in order."""
        digest = hashlib.sha256(self.tasks.to_yaml().encode())
        for values in (self.texts, self.contexts, self.langs, self.splits):
            encoded = [b"\xff" if v is None else v.encode("utf-8", "surrogatepass") for v in values]
            digest.update(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)))
            digest.update(b"".join(encoded))
        for name in self.tasks.names:
            digest.update(np.ascontiguousarray(self.labels[name].targets))
            digest.update(np.ascontiguousarray(self.labels[name].choice))
        return digest.hexdigest()


def load_dataset(
    source: str | Path,
    tasks: TaskSet,
    *,
    columns: Columns | None = None,
    split: str | None = None,
    encoding: str = "utf-8",
) -> Dataset:
    """Load labelled feedback.

    Args:
        source: a file, folder or glob; a data config (``.yaml``); ``sample``, the sample that comes
            with the package; or ``hf:owner/name``, a data set of the Hugging Face hub.
        tasks: the tasks to read labels of.
        columns: what the columns are called (not for a data config, which says so itself).
        split: only the rows of this split.
        encoding: of text files (not for a data config).

    Raises:
        DataError: naming every bad row by file, row, column and what was expected.

    Example:
        >>> len(load_dataset("sample", TaskSet.load("experience"))) > 0
        True
    """
    name = str(source)
    if Path(name).suffix.lower() in {".yaml", ".yml"}:
        dataset = _load_config(DataConfig.load(name), tasks)
    else:
        settings = SourceSettings(columns=columns or Columns(), encoding=encoding)
        if name.startswith("hf:"):
            chunks = _hub_chunks(name)
        elif name == "sample" and not Path(name).exists():
            sample = resources.files("xmpress") / "data" / "sample"
            chunks = _file_chunks([str(sample)], encoding)
        else:
            chunks = _file_chunks([name], encoding)
        dataset = _load_source(settings, None, chunks, tasks)
    if split is None:
        return dataset
    part = dataset.where(split=split)
    if not len(part):
        held = sorted({s or "none" for s in dataset.splits})
        raise DataError(f"{source} holds no rows of split '{split}'; it has {', '.join(held)}")
    return part


# ---- data configs ---------------------------------------------------------------------------


def _load_config(config: DataConfig, tasks: TaskSet) -> Dataset:
    if not config.folder.is_dir():
        raise DataError(
            f"data folder {config.folder} does not exist (root: {config.root}); "
            "correct the path or set the variable it names"
        )
    parts, errors = [], []
    for source in config.selected():
        files = str(config.folder / (source.path or "").format(name=source.name))
        try:
            chunks = _file_chunks([files], source.encoding)
            part = _load_source(source, source.name, chunks, tasks)
        except DataError as error:
            errors.append(error)
            continue
        parts.append(_with_validation(part, source))
    if errors:
        problems = [p for e in errors for p in (e.problems or [Problem("source", e.headline)])]
        raise DataError("the data could not be read", problems)
    dataset = Dataset.concat(parts)
    return _follow_validation(dataset, [s for s in config.selected() if s.validation])


def _with_validation(part: Dataset, source: Source) -> Dataset:
    """The source with its share of train rows moved to validation."""
    splits = [
        "validation"
        if split == "train" and source.validation and text_hash(text) < source.validation
        else split
        for split, text in zip(part.splits, part.texts, strict=True)
    ]
    return replace(part, splits=splits, weights={source.name: source.weight})


def _follow_validation(dataset: Dataset, derived: list[Source]) -> Dataset:
    """Move train rows to validation if a source with a derived validation split has their text there.

    Without this a text could be trained on by one source and validated on by another.
    """
    if not derived:
        return dataset
    names = {source.name for source in derived}
    rows = list(zip(dataset.texts, dataset.splits, dataset.sources, strict=True))
    held = {fold(t) for t, split, name in rows if split == "validation" and name in names}
    splits = [
        "validation" if split == "train" and fold(text) in held else split
        for text, split, _ in rows
    ]
    return dataset.with_splits(splits)


# ---- one source -----------------------------------------------------------------------------


def _file_chunks(inputs: Sequence[str | Path], encoding: str) -> Iterator[Chunk]:
    for path in find_files(inputs):
        yield from read_chunks(path, rows=50_000, encoding=encoding)


def _hub_chunks(name: str) -> Iterator[Chunk]:
    try:
        import datasets  # optional and slow to import
    except ImportError as error:
        raise MissingExtraError("hub", f"loading {name}") from error
    try:
        loaded = datasets.load_dataset(name.removeprefix("hf:"))
    except Exception as error:
        raise DataError(f"{name} cannot be loaded from the Hugging Face hub: {error}") from error
    from arro3.core import Array, DataType, Table

    for split, part in loaded.items():
        table = Table.from_arrow(part.with_format("arrow")[:])
        if "split" not in table.column_names:
            given = Array([split] * table.num_rows, type=DataType.utf8())
            table = table.append_column("split", given)
        yield Chunk(table, Path(name), 1)


def _load_source(
    settings: SourceSettings, name: str | None, chunks: Iterator[Chunk], tasks: TaskSet
) -> Dataset:
    parts, problems = [], []
    for chunk in chunks:
        part, wrong = _ChunkReader(settings, name, chunk, tasks).read()
        parts.append(part)
        problems += wrong
    if problems:
        raise DataError("rows could not be read; correct them in the file", problems)
    dataset = Dataset.concat(parts)
    if not len(dataset):
        raise DataError(f"{name or 'the input'} holds no rows")
    return dataset


class _ChunkReader:
    """Reads the rows of one chunk; collects problems instead of stopping at the first."""

    def __init__(
        self, settings: SourceSettings, name: str | None, chunk: Chunk, tasks: TaskSet
    ) -> None:
        self.settings = settings
        self.columns = settings.columns
        self.name = name
        self.chunk = chunk
        self.tasks = tasks
        self.rows = np.arange(chunk.first_row, chunk.first_row + len(chunk))
        self.problems: list[Problem] = []
        self.table: Table = chunk.table

    def read(self) -> tuple[Dataset, list[Problem]]:
        self._filter()
        texts = self._texts()
        stem = self.name or self.chunk.file.stem
        ids = self._optional("id")
        sources = self._optional("source")
        dataset = Dataset(
            tasks=self.tasks,
            texts=texts,
            contexts=[c if c and c.strip() else None for c in self._strings("context")],
            langs=self._langs(),
            ids=[
                f"{stem}:{row}" if value is None else cell_text(value)
                for value, row in zip(ids, self.rows.tolist(), strict=True)
            ],
            sources=[stem if value is None else cell_text(value) for value in sources],
            splits=self._splits(),
            labels={task.name: self._labels(task.name) for task in self.tasks},
        )
        return dataset, self.problems

    def _filter(self) -> None:
        keep = np.ones(len(self.chunk), dtype=bool)
        for name, wanted in self.settings.filter.items():
            allowed = {cell_text(w) for w in (wanted if isinstance(wanted, list) else [wanted])}
            cells = column(self.table, self._required(name))
            keep &= np.array([c is not None and cell_text(c) in allowed for c in cells], dtype=bool)
        self.keep = np.flatnonzero(keep)
        self.rows = self.rows[keep]

    def _column(self, name: str) -> list[Any]:
        values = column(self.table, name)
        return values if len(self.keep) == len(values) else [values[i] for i in self.keep]

    def _required(self, name: str, flag: str = "") -> str:
        names = self.table.column_names
        if name not in names:
            close = nearest(name, names)
            hint = f" (did you mean '{close}'?)" if close else ""
            raise DataError(
                f"{self.chunk.file} has no column '{name}'{hint}; its columns are "
                f"{', '.join(names)}{flag}"
            )
        return name

    def _optional(self, key: str) -> list[Any]:
        """The column in this role; nulls if it is neither there nor named on purpose."""
        name = getattr(self.columns, key)
        if name is None or (
            name not in self.table.column_names and key not in self.columns.model_fields_set
        ):
            return [None] * len(self.rows)
        return self._column(self._required(name))

    def _strings(self, key: str) -> list[str | None]:
        return [None if v is None else str(v) for v in self._optional(key)]

    def _bad(self, index: int, name: str, what: str) -> None:
        place = f"{self.chunk.file}, row {self.rows[index]}, column {name}"
        self.problems.append(Problem(place, what))

    def _texts(self) -> list[str]:
        name = self._required(self.columns.text, "; name the column of the text (--text COLUMN)")
        texts = []
        for index, value in enumerate(self._column(name)):
            if not isinstance(value, str) or not value.strip():
                found = "is empty" if value is None or isinstance(value, str) else f"is {value!r}"
                self._bad(index, name, f"{found}; expected text (remove the row if there is none)")
            texts.append(value if isinstance(value, str) else "")
        return texts

    def _langs(self) -> list[str]:
        if self.settings.lang is not None:
            return [self.settings.lang] * len(self.rows)
        langs = []
        for index, value in enumerate(self._strings("lang")):
            lang = (value or UNDETERMINED).strip().replace("_", "-").split("-")[0].lower()
            if not (lang.isascii() and lang.isalpha() and 2 <= len(lang) <= 3):
                self._bad(
                    index, self.columns.lang, f"is {value!r}; expected a BCP 47 tag such as 'en'"
                )
            langs.append(lang)
        return langs

    def _splits(self) -> list[str | None]:
        splits: list[str | None] = []
        for index, value in enumerate(self._strings("split")):
            known = _SPLIT_NAMES.get((value or "").strip().lower())
            if value and known is None:
                self._bad(
                    index, self.columns.split, f"is {value!r}; expected one of {', '.join(SPLITS)}"
                )
            splits.append(known)
        return splits

    def _labels(self, task_name: str) -> Labels:
        task = self.tasks[task_name]
        absent = task.encode([None] * len(self.rows))
        named = self.settings.tasks.get(task_name, TaskColumn())
        if named is None:
            return absent
        mapped = self.columns.tasks.get(task_name)
        spec = named.model_copy(update={"column": [mapped]}) if mapped else named
        names = self.table.column_names
        if spec.scope is None and f"{task_name}_scope" in names:
            scope = Scope(column=f"{task_name}_scope", optional=True)
            spec = spec.model_copy(update={"scope": scope})
        reader = LabelReader(task, spec)
        if not spec.column and task_name not in names:
            return absent
        cells = [self._column(self._required(name)) for name in reader.columns]
        scopes = self._column(self._required(reader.scope_column)) if reader.scope_column else None
        labels, wrong = reader.read(cells, scopes)
        for index, what in wrong:
            self._bad(index, "+".join(reader.columns), what)
        return labels
