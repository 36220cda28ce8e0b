import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from xmpress.data.readers import column
from xmpress.errors import DataError
from xmpress.scoring import ScoreSettings
from xmpress.scoring.reading import Rejected, kinds_of, read_windows


def read(path, **settings):
    chosen = ScoreSettings(**{"rows_per_part": 3, **settings})
    return list(read_windows(path, kinds_of(path, chosen), chosen))


def texts(windows):
    return [column(window.table, "text") for window in windows]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx", "csv.gz"])
def test_windows_are_cut_by_rows(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    rows = [f"text {i}" for i in range(7)]
    if suffix == "parquet":
        # Row groups of another size than the windows.
        pq.write_table(pa.table({"text": rows}), path, row_group_size=2)
    elif suffix == "xlsx":
        book = Workbook()
        for row in ["text", *rows]:
            book.active.append([row])
        book.save(path)
    else:
        content = "\n".join(f'{{"text": "{t}"}}' if suffix == "jsonl" else t for t in rows)
        content = content if suffix == "jsonl" else f"text\n{content}"
        encoded = content.encode()
        path.write_bytes(gzip.compress(encoded) if suffix.endswith("gz") else encoded)
    windows = read(path)
    assert texts(windows) == [rows[:3], rows[3:6], rows[6:]]
    assert [(w.number, w.first_row, w.rows) for w in windows] == [(1, 1, 3), (2, 4, 3), (3, 7, 1)]


def test_bad_rows_of_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"text,x\n"
        b"good,1\n"
        b"short\n"
        b"caf\xe9,2\n"
        b'"two\nlines",3\n'
        b"\n"  # no row
        b"long,4,5\n"
        b"last,\n"
    )
    windows = read(path)
    assert texts(windows) == [["good"], ["two\nlines", "last"]]
    assert column(windows[1].table, "x") == ["3", None]
    assert [w.rejected for w in windows] == [
        (
            Rejected(2, 3, "has 1 cells, expected 2 as in the header"),
            Rejected(3, 4, "byte 0xe9 is not utf-8"),
        ),
        (Rejected(5, 8, "has 3 cells, expected 2 as in the header"),),
    ]


def test_a_quote_that_is_never_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("xmpress.scoring.reading.LONGEST_CELL", 100)
    path = tmp_path / "a.csv"
    many = "".join(f"row number {i},1\n" for i in range(30))
    path.write_text(f'text,x\nfirst,1\n"open,2\n{many}', encoding="utf-8")
    windows = read(path, rows_per_part=100)
    (rejected,) = windows[0].rejected
    assert rejected.row == 2
    assert "from line 3 on: unclosed quote?" in rejected.reason
    # What was swallowed is bounded.
    assert len(texts(windows)[0]) > 20
    assert texts(windows)[0][-1] == "row number 29"


def test_bad_rows_of_jsonl(lines):
    path = lines(
        "a.jsonl",
        {"text": "good", "n": 1},
        b"{not json",
        {"text": 5},
        {"n": 2.5},
        ["a list"],
        b'{"text": "caf\xe9"}',
        {"text": None, "extra": "x"},
        {"text": ["a"]},
        b"[" * 100_000,
    )
    windows = read(path, rows_per_part=100)
    assert texts(windows) == [["good", None, None]]
    assert column(windows[0].table, "n") == [1.0, 2.5, None]
    assert column(windows[0].table, "extra") == [None, None, "x"]
    reasons = {r.row: r.reason for r in windows[0].rejected}
    assert reasons[2].startswith("is not JSON: ")
    assert reasons[3] == "column text is a int, expected text"
    assert reasons[5].startswith("is a list, expected an object")
    assert reasons[6] == "byte 0xe9 is not utf-8"
    assert reasons[8] == "column text is a list, expected text"
    assert reasons[9] == "is not JSON that can be read: RecursionError"
    assert sorted(reasons) == [2, 3, 5, 6, 8, 9]


def test_a_named_context_must_be_text_and_another_may_be_anything(lines):
    path = lines("a.jsonl", {"text": "a", "context": "why?"}, {"text": "b", "context": {"x": 1}})
    assert texts(read(path)) == [["a", "b"]]
    assert texts(read(path, context="context")) == [["a"]]


def test_half_a_character_in_an_escape(lines):
    path = lines("a.jsonl", rb'{"text": "a\ud83d", "n\ud83d": 1}')
    (window,) = read(path)
    assert window.table.column_names == ["text", "n\ufffd"]
    assert column(window.table, "n\ufffd") == [1]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_empty(tmp_path, name):
    (tmp_path / name).touch()
    assert read(tmp_path / name) == []


def test_only_a_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,lang\n", encoding="utf-8")
    assert read(path) == []


def test_cut_off(tmp_path):
    whole = gzip.compress(b"text\n" + b"".join(b"row %d\n" % i for i in range(20_000)))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    settings = ScoreSettings(rows_per_part=3_000)
    windows = read_windows(path, kinds_of(path, settings), settings)
    found = []
    with pytest.raises(DataError, match=r"a\.csv\.gz is damaged or incomplete"):
        found.extend(windows)
    # All that could be unpacked is there, also what does not fill a window.
    assert [w.rows for w in found[:-1]] == [3_000] * (len(found) - 1)
    assert 0 < found[-1].rows < 3_000


def test_wrong_encoding(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text\nGrüße\n".encode("utf-16") + b"a")
    settings = ScoreSettings(encoding="utf-16")
    with pytest.raises(DataError, match=r"is not utf-16.*--encoding"):
        list(read_windows(path, kinds_of(path, settings), settings))


def test_types_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "text": pa.array(["a", "a"]).dictionary_encode(),
            "large": pa.array(["a", "b"], pa.large_string()),
            "n": [1, 2],
            "none": pa.nulls(2),
        }
    )
    pq.write_table(table, path)
    found = kinds_of(path, ScoreSettings())
    assert found == {"text": "text", "large": "text", "n": "typed", "none": "text"}
    assert texts(read(path)) == [["a", "a"]]
