import json
import random
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from arro3.core import Table

from xmpress.data.arrow import column, to_table
from xmpress.data.readers import read_table
from xmpress.data.writers import TableWriter
from xmpress.errors import DataError, UsageError

ROWS: dict[str, list[Any]] = {
    "text": ['a, "b"\nc', None, "=1+1"],
    "emotion": [["joy", "trust"], [], None],
    "n": [1, None, 3],
    "ok": [True, False, None],
}


def write(path: Path, *tables: Table) -> Path:
    with TableWriter(path) as writer:
        for table in tables:
            writer.write(table)
    return path


def columns(path: Path) -> dict[str, list[Any]]:
    table = read_table(path)
    return {name: column(table, name) for name in table.column_names}


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_lists_and_types_survive(tmp_path: Path, suffix: str) -> None:
    assert columns(write(tmp_path / f"a{suffix}", to_table(ROWS))) == ROWS


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_lists_are_joined_in_text(tmp_path: Path, suffix: str) -> None:
    assert columns(write(tmp_path / f"a{suffix}", to_table(ROWS))) == {
        "text": ROWS["text"],
        "emotion": ["joy;trust", None, None],
        "n": ["1", None, "3"],
        "ok": ["true", "false", None],
    }


def test_a_workbook_holds_text_and_no_formulas(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", to_table(ROWS | {"text": ["a\x00b", None, "=1+1"]}))
    sheet = openpyxl.load_workbook(path).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows == [
        ["text", "emotion", "n", "ok"],
        ["a\ufffdb", "joy;trust", 1, "true"],
        [None, None, None, "false"],
        ["=1+1", None, 3, None],
    ]
    assert sheet["A4"].data_type == "s"


def test_a_text_too_long_for_a_workbook_is_named(tmp_path: Path) -> None:
    table = to_table({"text": ["ok", "x" * 32_768]})
    with pytest.raises(DataError, match=r"row 2, column text: .* has 32,768; write CSV"):
        write(tmp_path / "a.xlsx", table)
    assert list(tmp_path.iterdir()) == []


def test_tables_one_after_the_other(tmp_path: Path) -> None:
    tables = [to_table({"text": ["a"]}), to_table({"text": ["b", "c"]})]
    for suffix in ("csv", "jsonl", "parquet", "xlsx"):
        assert columns(write(tmp_path / f"a.{suffix}", *tables)) == {"text": ["a", "b", "c"]}


def test_tables_of_other_columns_or_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has columns other, but the ones before it have text"):
        write(tmp_path / "a.csv", to_table({"text": ["a"]}), to_table({"other": ["b"]}))
    with pytest.raises(DataError, match="column 'n' is"):
        write(tmp_path / "a.parquet", to_table({"n": [1]}), to_table({"n": ["x"]}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
def test_an_error_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(KeyboardInterrupt), TableWriter(tmp_path / f"a.{suffix}") as writer:
        writer.write(to_table({"text": ["a"]}))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_floats_are_short_and_finite(tmp_path: Path) -> None:
    table = Table.from_arrow(
        pa.table(
            {
                "single": pa.array([0.9, float("nan")], pa.float32()),
                "double": pa.array([0.1 + 0.2, float("inf")]),
            }
        )
    )
    assert write(tmp_path / "a.csv", table).read_text().splitlines() == [
        "single,double",
        "0.9,0.30000000000000004",
        ",",
    ]
    lines = write(tmp_path / "a.jsonl", table).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"single": 0.9, "double": 0.30000000000000004},
        {"single": None, "double": None},
    ]


def test_values_that_a_format_has_no_type_for(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    data = {"when": pa.array([moment]), "bytes": [b"a"], "struct": [{"q": 1}]}
    table = Table.from_arrow(pa.table(data))
    assert write(tmp_path / "a.csv", table).read_text().splitlines()[1] == (
        '2024-05-01 12:00:00+00:00,a,"{""q"": 1}"'
    )
    assert json.loads(write(tmp_path / "a.jsonl", table).read_text()) == {
        "when": "2024-05-01 12:00:00+00:00",
        "bytes": "a",
        "struct": {"q": 1},
    }
    assert columns(write(tmp_path / "a.xlsx", table))["when"] == ["2024-05-01T12:00:00+00:00"]


def test_dash_is_jsonl_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("-"), to_table({"text": ["é"], "emotion": [["joy"]]}))
    assert capsys.readouterr().out == '{"text": "é", "emotion": ["joy"]}\n'


def test_where_it_cannot_write_it_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'\.txt' is not known"):
        TableWriter(tmp_path / "a.txt")
    with pytest.raises(DataError, match="does not exist"):
        TableWriter(tmp_path / "no" / "a.csv").__enter__()
    with pytest.raises(UsageError, match="with block"):
        TableWriter(tmp_path / "a.csv").write(to_table({"text": ["a"]}))


def test_parquet_is_written_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmpress.data.writers._ROW_GROUP", 10)
    with TableWriter(tmp_path / "a.parquet") as writer:
        for _ in range(10):
            writer.write(to_table({"text": [random.randbytes(5_000).hex() for _ in range(10)]}))
        (unfinished,) = tmp_path.iterdir()
        assert unfinished.stat().st_size > 100_000
    assert read_table(tmp_path / "a.parquet").num_rows == 100
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("tables", [0, 1, 3])
def test_an_interrupted_parquet_leaves_nothing(tmp_path: Path, tables: int) -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), TableWriter(tmp_path / "a.parquet") as writer:
        for _ in range(tables):
            writer.write(to_table(ROWS))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_a_parquet_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("arro3.io.write_parquet", full)
    with (
        pytest.raises(DataError, match=r"a\.parquet cannot be written: no space left"),
        TableWriter(tmp_path / "a.parquet") as writer,
    ):
        for _ in range(5):
            writer.write(to_table(ROWS))
    assert list(tmp_path.iterdir()) == []
