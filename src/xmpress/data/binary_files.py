"""Parquet files and workbooks as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arro3.core import Table
from arro3.io import read_parquet

from xmpress.data.arrow import to_table
from xmpress.data.text_files import Part, check_header
from xmpress.errors import DataError


def read_parquet_parts(path: Path, rows: int) -> Iterator[Part]:
    """A Parquet file, streamed."""
    _check_whole(path)
    first = 1
    try:
        reader = read_parquet(path, batch_size=rows)
        schema = reader.schema
        check_header(path, schema.names)
        for batch in reader:
            yield Table.from_batches([batch]), first
            first += batch.num_rows
    except DataError:
        raise
    except BaseException as error:
        # A panic of the Rust reader derives from BaseException alone.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{path} is damaged: {error}; copy or download it again") from error
    if first == 1:
        yield Table.from_batches([], schema=schema), first


def read_workbook(path: Path, rows: int) -> Iterator[Part]:
    """The first sheet of a workbook, whose first row names the columns."""
    from python_calamine import CalamineError, CalamineWorkbook  # rarely needed

    try:
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    except (CalamineError, OSError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a workbook: {error}") from error
    if not sheet:
        raise DataError(f"{path} is empty: its first sheet holds no cells")
    header = [str(name).strip() for name in sheet[0]]
    check_header(path, header)
    body = [[_cell(cell) for cell in row] for row in sheet[1:]]
    table = to_table({name: [row[i] for row in body] for i, name in enumerate(header)})
    for start in range(0, max(len(body), 1), rows):
        yield table.slice(start, min(rows, len(body) - start)), start + 1


def _check_whole(path: Path) -> None:
    """Refuse a file that is cut off or no Parquet, which the reader would panic at."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(size - 8, 0))
        end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if size < 12 or start != b"PAR1" or end[4:] != b"PAR1" or length > size - 12:
        raise DataError(f"{path} is not a complete Parquet file; copy or download it again")


def _cell(cell: Any) -> Any:
    """A cell's value: whole numbers as int, dates as ISO text, empty as null."""
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, str | int | float) else str(cell)
