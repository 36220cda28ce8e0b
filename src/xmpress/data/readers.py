"""Feedback in: CSV, TSV, JSONL, Parquet and XLSX files as Arrow tables, in chunks.

Parquet, CSV, TSV and JSONL are streamed; a sheet of a workbook is read whole. CSV and TSV cells are
text, an empty cell is null. A file that cannot be read, and rows that do not fit, are reported with
file and row.
"""

from __future__ import annotations

import csv
import glob
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from arro3.core import Table
from arro3.io import read_parquet

from xmpress.data.arrow import clean, column, kind_of, to_table
from xmpress.errors import DataError, Problem

__all__ = ["STDIN", "Chunk", "column", "find_files", "format_of", "read_chunks", "read_table"]

STDIN = Path("-")
"""Stands for standard input: one text per line."""

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
_TEXT_FORMATS = {"csv", "tsv", "jsonl"}
_KNOWN = ", ".join(_FORMATS)


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
            files = [Path(p) for p in sorted(glob.glob(str(item), recursive=True))]
            files = [p for p in files if p.is_file()]
        if not files:
            what = f"holds no data file ({_KNOWN})" if path.is_dir() else "there is no such file"
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
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        form = _FORMATS.get(suffixes[-2]) if len(suffixes) > 1 else None
        if form in _TEXT_FORMATS:
            return form
    elif suffixes and suffixes[-1] in _FORMATS:
        return _FORMATS[suffixes[-1]]
    raise DataError(
        f"{path}: the format of '{''.join(path.suffixes)}' is not known; expected one of {_KNOWN} "
        "(the text formats also as .gz)"
    )


def read_chunks(
    path: str | Path, *, rows: int = 10_000, encoding: str = "utf-8"
) -> Iterator[Chunk]:
    """Read a file in chunks of at most ``rows`` rows; a file without data rows gives one chunk.

    Args:
        path: the file; ``-`` reads standard input, one text per line, as column ``text``.
        rows: the size of a chunk.
        encoding: of text files.

    Raises:
        DataError: if the file is missing, empty, damaged or not in that encoding, or naming the
            rows that do not fit.
    """
    path = Path(path)
    if path == STDIN:
        return _stdin(rows)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    form = format_of(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    if form == "parquet":
        return _parquet(path, rows)
    if form == "xlsx":
        return _xlsx(path, rows)
    if form == "jsonl":
        return _decoded(path, encoding, _jsonl(path, rows, encoding))
    return _decoded(path, encoding, _csv(path, rows, encoding, "\t" if form == "tsv" else None))


def read_table(path: str | Path, *, encoding: str = "utf-8") -> Table:
    """Read a whole file as one table; for errors see `read_chunks`."""
    tables = [chunk.table for chunk in read_chunks(path, rows=100_000, encoding=encoding)]
    batches = [batch for table in tables for batch in table.to_batches()]
    return Table.from_batches(batches, schema=tables[0].schema)


def _is_data(path: Path, root: Path) -> bool:
    """Whether a file found in a folder is one to read (hidden and ``_`` files are not)."""
    parts = path.relative_to(root).parts
    if any(part.startswith((".", "_")) for part in parts) or not path.is_file():
        return False
    try:
        format_of(path)
    except DataError:
        return False
    return True


# ---- text formats ---------------------------------------------------------------------------


def _open(path: Path, encoding: str) -> TextIO:
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"  # drops the byte-order mark that spreadsheets write
    try:
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rt", encoding=encoding, newline="")
        return path.open(encoding=encoding, newline="")
    except LookupError:
        raise DataError(
            f"{path}: there is no encoding '{encoding}'; try utf-8 or latin-1"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _decoded(path: Path, encoding: str, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The chunks, with errors of decoding and decompression told as ours."""
    try:
        yield from chunks
    except UnicodeError as error:
        raise DataError(_wrong_encoding(path, encoding)) from error
    except (gzip.BadGzipFile, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged or incomplete: {error}") from error


def _wrong_encoding(path: Path, encoding: str) -> str:
    opened = gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")
    start = b""
    with opened as file:
        for line, content in enumerate(file, start=1):
            start = start or content[:2]
            try:
                content.decode(encoding)
            except UnicodeError as error:
                at = getattr(error, "start", 0)
                byte = (
                    f"byte 0x{content[at]:02x} at position {at + 1} " if at < len(content) else ""
                )
                break
        else:
            line, byte = 1, ""
    likely = "utf-16" if start in {b"\xff\xfe", b"\xfe\xff"} else "latin-1"
    return (
        f"{path}, line {line}: {byte}is not {encoding}; name the file's encoding "
        f"(--encoding {likely}) or convert the file to UTF-8"
    )


def _csv(path: Path, rows: int, encoding: str, delimiter: str | None) -> Iterator[Chunk]:
    csv.field_size_limit(2**31 - 1)  # the default refuses cells over 128 KiB
    with _open(path, encoding) as file:
        if delimiter is None:
            delimiter = _delimiter(file.readline())
            file.seek(0)
        reader = csv.reader(file, delimiter=delimiter)
        header = next((row for row in reader if row), None)
        if header is None:
            raise DataError(f"{path} is empty: no line with the names of the columns was found")
        header = [name.strip() for name in header]
        _check_header(path, header)
        chunk: list[list[str]] = []
        problems: list[Problem] = []
        row, first = 0, 1
        for cells in reader:
            if not cells:  # a blank line
                continue
            row += 1
            if len(cells) != len(header):
                what = f"has {len(cells)} cells, expected {len(header)} as in the header"
                problems.append(Problem(f"{path}, row {row} (line {reader.line_num})", what))
            chunk.append(cells)
            if len(chunk) == rows:
                yield _csv_chunk(path, header, chunk, first, problems)
                chunk, first = [], row + 1
        if chunk or first == 1:
            yield _csv_chunk(path, header, chunk, first, problems)


def _csv_chunk(
    path: Path, header: list[str], cells: list[list[str]], first: int, problems: list[Problem]
) -> Chunk:
    if problems:
        raise DataError(
            f"{path} holds rows with too many or too few cells; quote cells that contain "
            "separators or line breaks",
            problems,
        )
    values = zip(*cells, strict=True) if cells else ((),) * len(header)
    columns: dict[str, Sequence[Any]] = {
        name: [cell or None for cell in column_cells]
        for name, column_cells in zip(header, values, strict=True)
    }
    return Chunk(to_table(columns, dict.fromkeys(header, "text")), path, first)


def _delimiter(line: str) -> str:
    """The separator of a CSV file: what stands between the header's names (``,``, ``;`` or tab)."""
    counts = {mark: line.count(mark) for mark in ",;\t"}
    return max(counts, key=lambda mark: counts[mark])


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: columns {', '.join(map(repr, twice))} appear more than once in the header; "
            "give every column a name of its own"
        )


def _jsonl(path: Path, rows: int, encoding: str) -> Iterator[Chunk]:
    # Two passes: only the whole file tells the columns and what each holds, and a chunk must have
    # the same columns as the next.
    kinds: dict[str, str] = {}
    for objects, _ in _objects(path, rows, encoding):
        for name in dict.fromkeys(name for item in objects for name in item):
            kind = kind_of(item.get(name) for item in objects)
            kinds[name] = _joined_kind(kinds.get(name, "null"), kind)
    kinds = {name: "text" if kind == "null" else kind for name, kind in kinds.items()}
    for objects, first in _objects(path, rows, encoding):
        columns = {clean(n): [item.get(n) for item in objects] for n in kinds}
        yield Chunk(to_table(columns, {clean(n): k for n, k in kinds.items()}), path, first)


def _joined_kind(one: str, other: str) -> str:
    if "null" in {one, other}:
        return other if one == "null" else one
    if one == other:
        return one
    if {one, other} == {"int", "float"}:
        return "float"
    return "json" if {one, other} & {"json", "list"} else "text"


def _objects(path: Path, rows: int, encoding: str) -> Iterator[tuple[list[dict[str, Any]], int]]:
    with _open(path, encoding) as file:
        objects: list[dict[str, Any]] = []
        problems: list[Problem] = []
        row, first = 0, 1
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row += 1
            try:
                item = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                problems.append(Problem(f"{path}, line {number}", f"is not JSON: {error}"))
                continue
            if not isinstance(item, dict):
                what = f'is a {type(item).__name__}, expected an object such as {{"text": ...}}'
                problems.append(Problem(f"{path}, line {number}", what))
                continue
            objects.append(item)
            if len(objects) == rows:
                _raise_bad_lines(path, problems)
                yield objects, first
                objects, first = [], row + 1
        _raise_bad_lines(path, problems)
        if not row:
            raise DataError(f"{path} is empty: it holds no rows")
        if objects:
            yield objects, first


def _raise_bad_lines(path: Path, problems: list[Problem]) -> None:
    if problems:
        raise DataError(f"{path} holds lines that are not JSON objects", problems)


def _stdin(rows: int) -> Iterator[Chunk]:
    lines: list[str] = []
    first = 1
    for number, line in enumerate(sys.stdin, start=1):
        lines.append(line.rstrip("\r\n"))
        if len(lines) == rows:
            yield Chunk(to_table({"text": lines}, {"text": "text"}), STDIN, first)
            lines, first = [], number + 1
    if lines or first == 1:
        yield Chunk(to_table({"text": lines}, {"text": "text"}), STDIN, first)


# ---- binary formats -------------------------------------------------------------------------


def _parquet(path: Path, rows: int) -> Iterator[Chunk]:
    _check_parquet(path)
    first = 1
    try:
        reader = read_parquet(path, batch_size=rows)
        schema = reader.schema
        _check_header(path, schema.names)
        for batch in reader:
            yield Chunk(Table.from_batches([batch]), path, first)
            first += batch.num_rows
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} is damaged: {error}") from error
    except BaseException as error:
        # A panic of the Rust reader derives from BaseException alone.
        if type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{path} is damaged: {error}") from error
    if first == 1:
        yield Chunk(schema.empty_table(), path, 1)


def _check_parquet(path: Path) -> None:
    """Refuse a file that is cut off or no Parquet, which the reader would panic at."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(size - 8, 0))
        end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if size < 12 or start != b"PAR1" or end[4:] != b"PAR1" or length > size - 12:
        raise DataError(f"{path} is not a complete Parquet file; copy or download it again")


def _xlsx(path: Path, rows: int) -> Iterator[Chunk]:
    from python_calamine import CalamineError, CalamineWorkbook  # slow to import, rarely needed

    try:
        book = CalamineWorkbook.from_path(str(path))
        sheet = book.get_sheet_by_index(0).to_python()
    except (CalamineError, OSError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a workbook: {error}") from error
    if not sheet:
        raise DataError(f"{path} is empty: its first sheet holds no cells")
    header = [str(name).strip() for name in sheet[0]]
    _check_header(path, header)
    body = [[_cell(cell) for cell in row] for row in sheet[1:]]
    columns = {name: [row[i] for row in body] for i, name in enumerate(header)}
    table = to_table(columns)
    for start in range(0, max(len(body), 1), rows):
        yield Chunk(table.slice(start, rows), path, start + 1)


def _cell(cell: Any) -> Any:
    """A worksheet's cell: whole numbers as int, dates as ISO text, empty as null."""
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, str | int | float) else str(cell)
