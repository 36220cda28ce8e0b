"""CSV, TSV, JSONL and plain lines, streamed as Arrow tables."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

from arro3.core import Table

from xmpress.data.arrow import clean, joined_kind, kind_of, to_table
from xmpress.errors import DataError, Problem

Part = tuple[Table, int]
"""Some rows, and the number of the first of them, from 1."""


def read_delimited(path: Path, rows: int, encoding: str, delimiter: str | None) -> Iterator[Part]:
    """A CSV or TSV file; cells are text, an empty cell is null, a blank line is no row.

    Without a delimiter it is the one of comma, semicolon and tab that the header has most of.
    """
    csv.field_size_limit(2**31 - 1)  # the default refuses cells over 128 KiB
    with open_text(path, encoding) as file:
        if delimiter is None:
            line = file.readline()
            delimiter = max(",;\t", key=line.count)
            file.seek(0)
        reader = csv.reader(file, delimiter=delimiter)
        header = [name.strip() for name in next((row for row in reader if row), [])]
        if not header:
            raise DataError(f"{path} is empty: no line with the names of the columns was found")
        check_header(path, header)
        cells: list[list[str]] = []
        problems: list[Problem] = []
        row, first = 0, 1
        for line_cells in reader:
            if not line_cells:
                continue
            row += 1
            if len(line_cells) != len(header):
                what = f"has {len(line_cells)} cells, expected {len(header)} as in the header"
                problems.append(Problem(f"{path}, row {row} (line {reader.line_num})", what))
            cells.append(line_cells)
            if len(cells) == rows:
                _raise_ragged(path, problems)
                yield _text_table(header, cells), first
                cells, first = [], row + 1
        _raise_ragged(path, problems)
        if cells or first == 1:
            yield _text_table(header, cells), first


def read_jsonl(path: Path, rows: int, encoding: str) -> Iterator[Part]:
    """One JSON object per line; columns in the order in which they first occur."""
    # Two passes: only the whole file tells the columns and what each holds, and all parts must
    # have the same columns.
    kinds: dict[str, str] = {}
    for objects, _ in _objects(path, rows, encoding):
        for name in dict.fromkeys(name for item in objects for name in item):
            kind = kind_of(item.get(name) for item in objects)
            kinds[name] = joined_kind(kinds.get(name, "null"), kind)
    named = {clean(name): kind for name, kind in kinds.items()}
    for objects, first in _objects(path, rows, encoding):
        columns = {clean(name): [item.get(name) for item in objects] for name in kinds}
        yield to_table(columns, named), first


def read_lines(lines: IO[str], rows: int) -> Iterator[Part]:
    """One text per line, as column ``text``."""
    texts: list[str] = []
    first = 1
    for number, line in enumerate(lines, start=1):
        texts.append(line.rstrip("\r\n"))
        if len(texts) == rows:
            yield to_table({"text": texts}, {"text": "text"}), first
            texts, first = [], number + 1
    if texts or first == 1:
        yield to_table({"text": texts}, {"text": "text"}), first


def told_as_ours(path: Path, encoding: str, parts: Iterator[Part]) -> Iterator[Part]:
    """The parts, with errors of decoding and decompression turned into `DataError`."""
    try:
        yield from parts
    except UnicodeError as error:
        raise DataError(_wrong_encoding(path, encoding)) from error
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        raise DataError(f"{path} is damaged or incomplete: {error}") from error


def open_text(path: Path, encoding: str, *, errors: str = "strict") -> TextIO:
    """Open a text file, compressed if its suffix says so; ``errors`` as for `open`."""
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"  # drops the byte-order mark that spreadsheets write
    try:
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
        return path.open(encoding=encoding, errors=errors, newline="")
    except LookupError as error:
        raise DataError(
            f"there is no encoding '{encoding}'; usual ones are utf-8, latin-1 and utf-16"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse columns of the same name."""
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: columns {', '.join(map(repr, twice))} appear more than once in the header; "
            "give every column a name of its own"
        )


def _text_table(header: list[str], cells: list[list[str]]) -> Table:
    values = zip(*cells, strict=True) if cells else ((),) * len(header)
    columns = {
        name: [cell or None for cell in column] for name, column in zip(header, values, strict=True)
    }
    return to_table(columns, dict.fromkeys(header, "text"))


def _raise_ragged(path: Path, problems: list[Problem]) -> None:
    if problems:
        raise DataError(
            f"{path} holds rows with too many or too few cells; quote cells that contain "
            "separators or line breaks",
            problems,
        )


def _objects(path: Path, rows: int, encoding: str) -> Iterator[tuple[list[dict[str, Any]], int]]:
    with open_text(path, encoding) as file:
        objects: list[dict[str, Any]] = []
        problems: list[Problem] = []
        row, first = 0, 1
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row += 1
            try:
                objects.append(_object(line))
            except (ValueError, RecursionError) as error:
                problems.append(Problem(f"{path}, row {row} (line {number})", str(error)))
                continue
            if len(objects) == rows:
                _raise_bad_lines(path, problems)
                yield objects, first
                objects, first = [], row + 1
        _raise_bad_lines(path, problems)
        if not row:
            raise DataError(f"{path} is empty: it holds no rows")
        if objects:
            yield objects, first


def _object(line: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(item, dict):
        raise ValueError(f'is a {type(item).__name__}, expected an object such as {{"text": ...}}')
    return item


def _raise_bad_lines(path: Path, problems: list[Problem]) -> None:
    if problems:
        raise DataError(f"{path} holds lines that are not JSON objects", problems)


def _wrong_encoding(path: Path, encoding: str) -> str:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        lines = list(file)
    likely = "utf-16" if lines[0][:2] in {b"\xff\xfe", b"\xfe\xff"} else "latin-1"
    place = f"{path} is not {encoding}"
    for number, content in enumerate(lines, start=1):
        try:
            content.decode(encoding)
        except UnicodeDecodeError as error:
            byte = content[error.start]
            place = f"{path}, line {number}: byte 0x{byte:02x} is not {encoding}"
            break
    return f"{place}; name the file's encoding (--encoding {likely}) or convert the file to UTF-8"
