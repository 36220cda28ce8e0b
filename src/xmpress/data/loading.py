"""Labelled feedback from files, folders, data configs, the packaged sample or the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from xmpress.data.arrow import to_table
from xmpress.data.config import Columns, DataConfig, Source, SourceSettings
from xmpress.data.dataset import Dataset
from xmpress.data.readers import Chunk, find_files, read_chunks
from xmpress.data.rows import RowReader
from xmpress.data.text import fold, text_hash
from xmpress.errors import DataError, MissingExtraError, Problem
from xmpress.tasks import TaskSet

BUILT_IN = "experience"
"""The task set of data that names none."""
_ROWS = 50_000  # per chunk


def tasks_named_by(source: str | Path) -> str:
    """The task set that data is labelled for: a data config's own, else `BUILT_IN`.

    Raises:
        ConfigError: if the data config is invalid.
    """
    own = DataConfig.load(source).tasks if _is_config(source) else None
    return own or BUILT_IN


def choose_tasks(source: str | Path, asked: str | TaskSet | None = None) -> TaskSet:
    """The tasks to read labels of: those asked for, else those that the data names itself.

    Args:
        source: as `load_dataset` takes it.
        asked: a task file, a packaged task set, or the tasks themselves.

    Raises:
        ConfigError: if the data config's own tasks contradict those asked for, or it is invalid.
    """
    if asked is None:
        return TaskSet.load(tasks_named_by(source))
    tasks = asked if isinstance(asked, TaskSet) else TaskSet.load(asked)
    if _is_config(source):
        DataConfig.load(source).require_agreement(tasks, where=str(source))
    return tasks


def load_dataset(
    source: str | Path,
    tasks: TaskSet,
    *,
    columns: Columns | None = None,
    split: str | None = None,
    encoding: str = "utf-8",
) -> Dataset:
    r"""Load labelled feedback.

    Args:
        source: a file, folder or glob; a data config (``.yaml``); ``sample``, the sample that comes
            with the package; or ``hf:owner/name``, a data set of the Hugging Face hub.
        tasks: the tasks to read labels of; `choose_tasks` gives those that the data names itself.
        columns: what the columns are called (not for a data config, which says so itself).
        split: only the rows of this split.
        encoding: of text files (not for a data config).

    Raises:
        DataError: naming every bad row by file, row, column and what was expected; or if there are
            no rows.
        ConfigError: if the data config is invalid.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> _ = path.write_text("text,lang,sentiment\nToo slow,en,negative\nBien,fr,\n")
        >>> dataset = load_dataset(path, TaskSet.load("experience"))
        >>> dataset.langs, dataset.labels["sentiment"].annotated.tolist()
        (['en', 'fr'], [True, False])
    """
    name = str(source)
    if _is_config(name):
        dataset = _load_config(DataConfig.load(name), tasks)
    else:
        settings = SourceSettings(columns=columns or Columns(), encoding=encoding)
        dataset = _read_rows(settings, None, _chunks(name, encoding), tasks)
    if split is None:
        return dataset
    part = dataset.where(split=split)
    if not len(part):
        held = sorted({s or "none" for s in dataset.splits})
        raise DataError(f"{source} holds no rows of split '{split}'; it has {', '.join(held)}")
    return part


def _is_config(source: str | Path) -> bool:
    return Path(source).suffix.lower() in {".yaml", ".yml"}


def _chunks(name: str, encoding: str) -> Iterator[Chunk]:
    if name.startswith("hf:"):
        return _hub_chunks(name)
    if name == "sample" and not Path(name).exists():
        name = str(resources.files("xmpress") / "data" / "sample")
    return _file_chunks([name], encoding)


def _file_chunks(inputs: Sequence[str | Path], encoding: str) -> Iterator[Chunk]:
    for path in find_files(inputs):
        yield from read_chunks(path, rows=_ROWS, encoding=encoding)


def _hub_chunks(name: str) -> Iterator[Chunk]:
    try:
        import datasets  # optional, and slow to import
    except ImportError as error:
        raise MissingExtraError("hub", f"loading {name}") from error
    try:
        loaded = datasets.load_dataset(name.removeprefix("hf:"))
    except Exception as error:  # the library's own errors have no common base
        raise DataError(f"{name} cannot be loaded from the Hugging Face hub: {error}") from error
    for split, part in loaded.items():
        columns: dict[str, Sequence[Any]] = {"split": [split] * len(part)}
        for column, feature in part.features.items():
            decode: Callable[[Any], Any] = getattr(feature, "int2str", lambda value: value)
            columns[column] = [None if v is None else decode(v) for v in part[column]]
        yield Chunk(to_table(columns), Path(name), 1)


def _read_rows(
    settings: SourceSettings, name: str | None, chunks: Iterator[Chunk], tasks: TaskSet
) -> Dataset:
    """All rows of one source, or one error that lists every bad row."""
    parts, problems = [], []
    for chunk in chunks:
        reader = RowReader(settings, name, chunk, tasks)
        parts.append(reader.read())
        problems += reader.problems
    if problems:
        raise DataError("rows could not be read; correct them in the file", problems)
    dataset = Dataset.concat(parts)
    if not len(dataset):
        filtered = f"; the filter is {settings.filter}" if settings.filter else ""
        raise DataError(f"{name or chunk.file} holds no rows{filtered}")
    return dataset


# ---- data configs ---------------------------------------------------------------------------


def _load_config(config: DataConfig, tasks: TaskSet) -> Dataset:
    sources = config.selected()
    for folder in {str(config.folder(source)) for source in sources}:
        if not Path(folder).is_dir():
            raise DataError(
                f"data folder {folder} does not exist (root: {config.root}); "
                "correct the path or set the variable it names"
            )
    parts: list[Dataset] = []
    problems: list[Problem] = []
    for source in sources:
        files = str(config.folder(source) / (source.path or "").format(name=source.name))
        try:
            chunks = _file_chunks([files], source.encoding)
            part = _read_rows(source, source.name, chunks, tasks)
        except DataError as error:
            where = f"source {source.name}"
            problems += error.problems or [Problem(where, error.headline)]
            continue
        parts.append(_with_validation(part, source))
    if problems:
        raise DataError("the data could not be read", problems)
    derived = {source.name for source in sources if source.validation}
    return _follow_validation(Dataset.concat(parts), derived)


def _with_validation(part: Dataset, source: Source) -> Dataset:
    """The source with its share of train rows moved to validation."""
    share = source.validation
    rows = zip(part.splits, part.texts, strict=True)
    splits = [
        "validation" if share and split == "train" and text_hash(text) < share else split
        for split, text in rows
    ]
    return replace(part, splits=splits, weights={source.name: source.weight})


def _follow_validation(dataset: Dataset, derived: set[str]) -> Dataset:
    """Move train rows to validation where a derived validation split holds their text.

    Without this a text could be trained on by one source and validated on by another.
    """
    if not derived:
        return dataset
    rows = list(zip(dataset.texts, dataset.splits, dataset.sources, strict=True))
    held = {fold(t) for t, split, name in rows if split == "validation" and name in derived}
    return dataset.with_splits(
        [
            "validation" if split == "train" and fold(text) in held else split
            for text, split, _ in rows
        ]
    )
