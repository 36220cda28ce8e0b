"""Feedback in: CSV, TSV, JSONL, Parquet and XLSX files as Arrow tables, in chunks.

Parquet, CSV, TSV and JSONL are streamed; a sheet of a workbook is read whole. CSV and TSV cells are
text, an empty cell is null. A file that cannot be read, and rows that do not fit, are reported with
file and row.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from arro3.core import Table

from xmpress.data.arrow import column
from xmpress.data.text_files import Part, read_delimited, read_jsonl, read_lines, told_as_ours
from xmpress.errors import DataError, Problem

__all__ = ["STDIN", "Chunk", "column", "find_files", "format_of", "read_chunks", "read_table"]

STDIN = Path("-")
"""Stands for standard input: one text per line."""

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
"""Suffix to format; those of text may also end in ``.gz``."""


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of a file.

    Attributes:
        table: the rows.
        file: where they come from.
        first_row: number of the first of them among the file's data rows, from 1.
    """

    table: Table
    file: Path
    first_row: int

    def __len__(self) -> int:
        return self.table.num_rows


def find_files(inputs: Sequence[str | Path]) -> list[Path]:
    """The data files among files, folders (searched through) and globs, each once, in order.

    Files of a folder count if their suffix is known and neither they nor a folder on the way is
    hidden or begins with ``_``.

    Raises:
        DataError: naming every input that gives no file.
    """
    found: dict[Path, None] = {}
    problems = []
    for item in inputs:
        path = Path(item)
        if path == STDIN or path.is_file():
            files = [path]
        elif path.is_dir():
            files = sorted(p for p in path.rglob("*") if _is_data(p, path))
        else:
            files = _glob(path)
        if not files:
            known = ", ".join(FORMATS)
            what = f"holds no data file ({known})" if path.is_dir() else "there is no such file"
            problems.append(Problem(str(item), what))
        found.update(dict.fromkeys(files))
    if problems:
        raise DataError("input not found", problems)
    return list(found)


def format_of(path: Path) -> str:
    """The format by the suffix: csv, tsv, jsonl, parquet or xlsx.

    Raises:
        DataError: for any other suffix.
    """
    form = _format(path)
    if form is None:
        raise DataError(
            f"{path}: the format '{''.join(path.suffixes)}' is not known; expected one of "
            f"{', '.join(FORMATS)} (those of text also as .gz)"
        )
    return form


def read_chunks(
    path: str | Path, *, rows: int = 10_000, encoding: str = "utf-8"
) -> Iterator[Chunk]:
    """Read a file in chunks of at most ``rows`` rows; a file without data rows gives one chunk.

    All chunks of a file have the same columns.

    Args:
        path: the file; ``-`` reads standard input, one text per line, as column ``text``.
        rows: the size of a chunk.
        encoding: of text files.

    Raises:
        DataError: if the file is missing, empty, damaged or not in that encoding, or naming the
            rows that do not fit.
    """
    path = Path(path)
    for table, first in _parts(path, rows, encoding):
        yield Chunk(table, path, first)


def read_table(path: str | Path, *, encoding: str = "utf-8") -> Table:
    """Read a whole file as one table; for errors see `read_chunks`."""
    tables = [chunk.table for chunk in read_chunks(path, rows=100_000, encoding=encoding)]
    batches = [batch for table in tables for batch in table.to_batches()]
    return Table.from_batches(batches, schema=tables[0].schema)


def _parts(path: Path, rows: int, encoding: str) -> Iterator[Part]:
    if path == STDIN:
        return told_as_ours(path, encoding, read_lines(sys.stdin, rows))
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    form = format_of(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    if form in {"parquet", "xlsx"}:
        from xmpress.data.binary_files import read_parquet_parts, read_workbook

        return read_parquet_parts(path, rows) if form == "parquet" else read_workbook(path, rows)
    if form == "jsonl":
        return told_as_ours(path, encoding, read_jsonl(path, rows, encoding))
    delimiter = "\t" if form == "tsv" else None
    return told_as_ours(path, encoding, read_delimited(path, rows, encoding, delimiter))


def _format(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        form = FORMATS.get(Path(path.stem).suffix.lower())
        return form if form in {"csv", "tsv", "jsonl"} else None
    return FORMATS.get(suffix)


def _is_data(path: Path, root: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return not hidden and _format(path) is not None and path.is_file()


def _glob(pattern: Path) -> list[Path]:
    base = Path(pattern.anchor)
    try:
        found = base.glob(str(pattern.relative_to(base)))
        return sorted(p for p in found if p.is_file())
    except ValueError:  # not a pattern
        return []
