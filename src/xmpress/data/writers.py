"""Tables out: CSV, TSV, JSONL, Parquet and XLSX files, written whole or not at all.

Lists are joined by ``;`` in CSV, TSV and XLSX and are real lists elsewhere.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, time
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy as np
from arro3.core import DataType, RecordBatch, RecordBatchReader, Schema, Table

from xmpress.data.arrow import column
from xmpress.data.files import atomic_path
from xmpress.data.readers import STDIN, format_of
from xmpress.errors import DataError, UsageError

_ROW_GROUP = 131_072
"""Rows that are in memory, compressed, before they are written."""
_CELL_LIMIT = 32_767
_SHEET_LIMIT = 1_048_576


class TableWriter:
    r"""Writes tables of the same columns, one after the other, to one file.

    The format follows from the suffix; ``-`` writes JSONL to standard output. Use it as a context
    manager: the file appears under its name when the block ends without an error. CSV, TSV,
    JSONL and Parquet are streamed; XLSX is collected in memory first.

    Raises:
        DataError: if the suffix is not known, the folder cannot be written to, or a table does not
            fit the format or the tables before it.

    Example:
        >>> import tempfile
        >>> from xmpress.data.arrow import to_table
        >>> path = Path(tempfile.mkdtemp()) / "out.csv"
        >>> with TableWriter(path) as writer:
        ...     writer.write(to_table({"text": ["a"], "emotion": [["joy", "trust"]]}))
        >>> path.read_text()
        'text,emotion\na,joy;trust\n'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._format = "jsonl" if self.path == STDIN else format_of(self.path)
        self._stack = ExitStack()
        self._sink: _Sink | None = None
        self._columns: list[str] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self.path == STDIN:
                self._sink = _JsonLines(sys.stdout)
            else:
                place = stack.enter_context(atomic_path(self.path))
                self._sink = self._open(place, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sink, self._sink = self._sink, None
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if sink is not None:
                sink.finish()

    def write(self, table: Table) -> None:
        """Append the rows of a table."""
        if self._sink is None:
            raise UsageError("a TableWriter writes inside its with block only")
        names = list(table.column_names)
        if self._columns is None:
            self._columns = names
        elif names != self._columns:
            raise DataError(
                f"{self.path}: a table has columns {', '.join(names)}, but the ones before it have "
                f"{', '.join(self._columns)}; write them to files of their own"
            )
        self._sink.write(table)

    def _open(self, place: Path, stack: ExitStack) -> _Sink:
        if self._format == "parquet":
            parquet = _Parquet(place, self.path)
            stack.callback(parquet.close)
            return parquet
        if self._format == "xlsx":
            return _Workbook(place, self.path)
        file = stack.enter_context(_create(place, packed=self.path.suffix.lower() == ".gz"))
        if self._format == "jsonl":
            return _JsonLines(file)
        return _Delimited(file, "\t" if self._format == "tsv" else ",")


class _Sink(Protocol):
    def write(self, table: Table) -> None: ...

    def finish(self) -> None: ...


class _Delimited:
    def __init__(self, file: IO[str], delimiter: str) -> None:
        self._usual = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        # Before Python 3.13 a carriage return is not quoted of itself, and reads as a line's end.
        self._quoted = csv.writer(
            file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        self._started = False

    def write(self, table: Table) -> None:
        if not self._started:
            self._append(table.column_names)
            self._started = True
        for row in _rows(table):
            self._append([_flat(cell) for cell in row])

    def _append(self, cells: Sequence[Any]) -> None:
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if returns else self._usual).writerow(cells)

    def finish(self) -> None:
        """Nothing is left to write."""


class _JsonLines:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, table: Table) -> None:
        names = table.column_names
        for row in _rows(table):
            item = dict(zip(names, row, strict=True))
            self._file.write(json.dumps(item, ensure_ascii=False, default=_plain) + "\n")

    def finish(self) -> None:
        self._file.flush()


class _Parquet:
    """Streams: a thread of the library takes the batches as they come, one waiting at most."""

    def __init__(self, place: Path, path: Path) -> None:
        self._place = place
        self._path = path
        self._schema: Schema | None = None
        self._batches: Queue[RecordBatch | None] = Queue(maxsize=1)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="xmpress-parquet")
        self._written: Future[None] | None = None

    def write(self, table: Table) -> None:
        if self._schema is None or self._written is None:
            self._schema = table.schema
            self._written = self._pool.submit(self._drain, self._schema)
        for name in table.column_names:
            if table.schema.field(name).type != self._schema.field(name).type:
                raise DataError(
                    f"{self._path}: column '{name}' is {table.schema.field(name).type} in one "
                    f"input and {self._schema.field(name).type} in another; write CSV or JSONL, or "
                    "the inputs one by one"
                )
        for batch in table.to_batches():
            self._put(batch.with_schema(self._schema))
        if self._written.done():
            self._written.result()  # it has failed

    def _put(self, batch: RecordBatch | None) -> None:
        while self._written is not None and not self._written.done():
            try:
                self._batches.put(batch, timeout=1)
            except Full:
                continue  # it is still at work, or has failed just now
            break

    def _drain(self, schema: Schema) -> None:
        from arro3.io import write_parquet

        stream = RecordBatchReader.from_batches(schema, iter(self._batches.get, None))
        try:
            write_parquet(stream, self._place, compression="zstd(3)", max_row_group_size=_ROW_GROUP)
        except Exception as error:  # the library raises the bare class
            raise DataError(f"{self._path} cannot be written: {error}") from error

    def finish(self) -> None:
        if self._written is not None:
            self._put(None)
            self._written.result()

    def close(self) -> None:
        """End the thread, whatever has been written."""
        self._put(None)
        self._pool.shutdown()


class _Workbook:
    def __init__(self, place: Path, path: Path) -> None:
        self._place = place
        self._path = path
        self._rows: list[Sequence[Any]] = []

    def write(self, table: Table) -> None:
        names = table.column_names
        if not self._rows:
            self._rows.append(names)
        for row in _rows(table):
            if len(self._rows) == _SHEET_LIMIT:
                limit = f"a sheet holds {_SHEET_LIMIT:,} rows"
                raise DataError(f"{self._path}: {limit}; write CSV, JSONL or Parquet instead")
            self._rows.append([self._value(n, c) for n, c in zip(names, row, strict=True)])

    def finish(self) -> None:
        # Only now: a workbook that is begun and not saved leaves files behind.
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        book = Workbook(write_only=True)
        sheet = book.create_sheet("xmpress")
        for row in self._rows:
            cells = list(row)
            for i, value in enumerate(row):
                if isinstance(value, str):
                    cells[i] = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", value))
                    cells[i].data_type = "s"  # text that begins with '=' is no formula
            sheet.append(cells)
        book.save(self._place)

    def _value(self, name: str, value: Any) -> Any:
        value = _flat(value)
        if isinstance(value, datetime | time) and value.tzinfo:
            return value.isoformat()  # a workbook knows no time zones
        if isinstance(value, str) and len(value) > _CELL_LIMIT:
            raise DataError(
                f"{self._path}, row {len(self._rows)}, column {name}: a cell holds "
                f"{_CELL_LIMIT:,} characters, this text has {len(value):,}; "
                "write CSV, JSONL or Parquet instead"
            )
        return value


def _create(place: Path, *, packed: bool) -> IO[str]:
    if packed:
        return gzip.open(place, "wt", encoding="utf-8", newline="")
    return place.open("w", encoding="utf-8", newline="")


def _rows(table: Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(_values(table, name) for name in table.column_names), strict=True)


def _values(table: Table, name: str) -> list[Any]:
    """The column's values; floats in their shortest form, null where they are not finite."""
    values = column(table, name)
    kind = table.schema.field(name).type
    if kind == DataType.float32():
        values = [None if v is None else float(str(np.float32(v))) for v in values]
    if kind in (DataType.float32(), DataType.float64()):
        values = [v if v is not None and math.isfinite(v) else None for v in values]
    return values


def _flat(cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return ";".join(str(value) for value in cell if value is not None)
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes):
        return _plain(cell)
    if isinstance(cell, dict):
        return json.dumps(cell, ensure_ascii=False, default=_plain)
    return cell


def _plain(value: Any) -> str:
    """Text for a value that the format has no type for, such as a date."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
