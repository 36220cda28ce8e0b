"""Inputs read in windows of rows, whatever single rows are like.

`xmpress.data.readers` refuses a file with a bad row, because whoever trains wants to know. Here a
bad row goes aside with the reason and the others go on. A window is a function of the file and the
settings alone.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arro3.core import DataType, Table

from xmpress.data.arrow import clean, joined_kind, kind_of, to_table
from xmpress.data.readers import format_of, read_chunks
from xmpress.data.text_files import check_header, open_text
from xmpress.errors import DataError
from xmpress.scoring.settings import ScoreSettings

LONGEST_CELL = 2**24
"""Characters of a CSV cell; more means a quote that is never closed, which would swallow the file
into memory."""
_NOT_TEXT = re.compile("[\udc80-\udcff]")
"""What undecodable bytes are read as (``surrogateescape``), and nothing else is."""


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be scored.

    Attributes:
        row: its number among the file's data rows, from 1.
        line: the line of the file where it ends; ``None`` where a file has no lines.
        reason: what is wrong with it; nothing of its text.
    """

    row: int
    line: int | None
    reason: str


@dataclass(frozen=True)
class Window:
    """Consecutive rows of a file.

    Attributes:
        number: of the window within its file, from 1.
        first_row: number of its first row among the file's data rows, from 1.
        rows: how many rows it has in the file.
        table: those that can be scored.
        rejected: the others.
    """

    number: int
    first_row: int
    rows: int
    table: Table
    rejected: tuple[Rejected, ...] = ()


_Item = dict[str, Any] | list[str] | Rejected
"""A JSON object, the cells of a CSV row, or what is wrong with it."""


def kinds_of(path: Path, settings: ScoreSettings) -> dict[str, str]:
    """The columns of a file and what they hold; none if it has neither rows nor a header.

    What they hold is a kind of `xmpress.data.arrow.kind_of`; ``text`` in CSV; and ``text`` or
    ``typed`` where the file itself has types (Parquet, XLSX).

    Reads the whole of a JSONL file: only that tells its columns.

    Raises:
        DataError: if the file cannot be read at all.
    """
    form = format_of(path)
    if path.stat().st_size == 0:
        return {}
    if form == "jsonl":
        return _kinds_of_jsonl(path, settings)
    if form in {"csv", "tsv"}:
        try:
            return dict.fromkeys(next(_delimited(path, settings.encoding), []), "text")
        except _DAMAGE as error:
            raise _told(error, path, settings.encoding) from error
    schema = next(read_chunks(path, rows=1)).table.schema
    found = {}
    for name in schema.names:
        field = schema.field(name)
        kind = field.type
        if DataType.is_dictionary(kind):
            kind = kind.value_type or kind
        texts = (
            DataType.is_string,
            DataType.is_large_string,
            DataType.is_string_view,
            DataType.is_null,
        )
        is_text = any(test(kind) for test in texts)
        found[name] = "text" if is_text else "typed"
    return found


def read_windows(path: Path, kinds: dict[str, str], settings: ScoreSettings) -> Iterator[Window]:
    """Read a file of such columns (`kinds_of`) in windows, of which the last may have fewer rows.

    Raises:
        DataError: where the file is damaged, after the windows of what comes before.
        OSError: if the machine fails to read it.
    """
    if not kinds:
        return
    rows, encoding = settings.rows_per_part, settings.encoding
    form = format_of(path)
    if form in {"parquet", "xlsx"}:
        for number, chunk in enumerate(read_chunks(path, rows=rows), start=1):
            if len(chunk):
                yield Window(number, chunk.first_row, len(chunk), chunk.table)
        return
    if form == "jsonl":
        items = _objects(path, settings)
    else:
        items = _delimited(path, encoding)
        next(items)  # the header
    for number, group in enumerate(_groups(path, items, rows, encoding), start=1):
        good: list[Any] = [item for item in group if not isinstance(item, Rejected)]
        if form == "jsonl":
            values = {name: [item.get(name) for item in good] for name in kinds}
        else:
            values = {name: [cells[i] or None for cells in good] for i, name in enumerate(kinds)}
        table = to_table(values, kinds)
        rejected = tuple(item for item in group if isinstance(item, Rejected))
        yield Window(number, (number - 1) * rows + 1, len(group), table, rejected)


def _groups(path: Path, items: Iterator[_Item], rows: int, encoding: str) -> Iterator[list[_Item]]:
    """The items in groups, also those before the place where the content is damaged.

    That the machine fails to read is another matter, and ends the run: it may work the next time.
    """
    group: list[_Item] = []
    damage: DataError | None = None
    while True:
        try:
            group.append(next(items))
        except StopIteration:
            break
        except _DAMAGE as error:
            damage = _told(error, path, encoding)
            break
        if len(group) == rows:
            yield group
            group = []
    if group:
        yield group
    if damage:
        raise damage


_DAMAGE = (UnicodeError, EOFError, gzip.BadGzipFile, zlib.error)
"""What a reader raises because of a file's content."""


def _told(error: Exception, path: Path, encoding: str) -> DataError:
    if isinstance(error, UnicodeError):
        told = DataError(f"{path} is not {encoding}: {error}; name its encoding (--encoding)")
    else:
        told = DataError(f"{path} is damaged or incomplete: {error}")
    told.__cause__ = error
    return told


# ---- CSV ----------------------------------------------------------------------------------------


def _delimited(path: Path, encoding: str) -> Iterator[Any]:
    """The header, then per row its cells or what is wrong with it."""
    csv.field_size_limit(LONGEST_CELL)
    with open_text(path, encoding, errors="surrogateescape") as file:
        delimiter = "\t"
        if format_of(path) == "csv":
            line = file.readline()
            delimiter = max(",;\t", key=line.count)
            file.seek(0)
        reader = csv.reader(file, delimiter=delimiter)
        header = [clean(name.strip()) for name in next((row for row in reader if row), [])]
        if not header:
            return
        check_header(path, header)
        yield header
        row = 0
        while True:
            first = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                row += 1
                yield Rejected(
                    row, reader.line_num, f"{error}, from line {first} on: unclosed quote?"
                )
                continue
            if not cells:
                continue
            row += 1
            joined = "".join(cells)
            if not joined.isascii() and (found := _NOT_TEXT.search(joined)):
                yield Rejected(row, reader.line_num, _undecodable(found[0], encoding))
            elif len(cells) != len(header):
                reason = f"has {len(cells)} cells, expected {len(header)} as in the header"
                yield Rejected(row, reader.line_num, reason)
            else:
                yield cells


# ---- JSONL --------------------------------------------------------------------------------------


def _objects(path: Path, settings: ScoreSettings) -> Iterator[_Item]:
    """Per row its object or what is wrong with it."""
    with open_text(path, settings.encoding, errors="surrogateescape") as file:
        row = 0
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row += 1
            item = _object(line, settings)
            yield Rejected(row, number, item) if isinstance(item, str) else item


def _object(line: str, settings: ScoreSettings) -> dict[str, Any] | str:
    """The object in a line, or what is wrong with it."""
    if not line.isascii() and (found := _NOT_TEXT.search(line)):
        return _undecodable(found[0], settings.encoding)
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        return f"is not JSON that can be read: {type(error).__name__}"
    if not isinstance(item, dict):
        return f'is a {type(item).__name__}, expected an object such as {{"text": ...}}'
    if "\\u" in line:  # an escape may be half a character, which no name of a column can hold
        item = {clean(name): value for name, value in item.items()}
    for name in (settings.text, settings.context):
        if name is not None and not isinstance(item.get(name), str | None):
            return f"column {name} is a {type(item[name]).__name__}, expected text"
    return item


def _kinds_of_jsonl(path: Path, settings: ScoreSettings) -> dict[str, str]:
    kinds: dict[str, str] = {}
    try:
        for group in _groups(path, _objects(path, settings), 10_000, settings.encoding):
            good = [item for item in group if isinstance(item, dict)]
            for name in dict.fromkeys(name for item in good for name in item):
                kind = kind_of(item.get(name) for item in good)
                kinds[name] = joined_kind(kinds.get(name, "null"), kind)
    except DataError:
        if not kinds:
            raise
    return kinds | {n: "text" for n in (settings.text, settings.context) if n in kinds}


def _undecodable(character: str, encoding: str) -> str:
    return f"byte 0x{ord(character) - 0xDC00:02x} is not {encoding}"
