import gzip
import io
from pathlib import Path

import openpyxl
import pytest
from arro3.io import write_parquet

from xmpress.data.arrow import column, to_table
from xmpress.data.readers import find_files, read_chunks, read_table
from xmpress.errors import DataError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def columns(path: Path, **options: str) -> dict[str, list[object]]:
    table = read_table(path, **options)
    return {name: column(table, name) for name in table.column_names}


# ---- CSV and TSV


def test_csv_cells_are_text_and_empty_ones_null(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,n\n"a, ""b""\nc",1\n,02\n\nlast,\n')
    assert columns(path) == {"text": ['a, "b"\nc', None, "last"], "n": ["1", "02", None]}


def test_csv_with_byte_order_mark_semicolons_and_tabs(tmp_path: Path) -> None:
    bom = write(tmp_path / "a.csv", b"\xef\xbb\xbftext;n\na, b;1\n")
    assert columns(bom) == {"text": ["a, b"], "n": ["1"]}
    assert columns(write(tmp_path / "a.tsv", "text\tn\na;b,c\t1\n")) == {
        "text": ["a;b,c"],
        "n": ["1"],
    }


def test_a_cell_may_be_long_and_hold_nul(tmp_path: Path) -> None:
    long = "é" * 200_000
    path = write(tmp_path / "a.csv", f"text\n{long}\na\0b\n")
    assert columns(path) == {"text": [long, "a\0b"]}


def test_chunks_know_their_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\n" + "".join(f"{i}\n" for i in range(7)))
    chunks = list(read_chunks(path, rows=3))
    assert [(c.first_row, len(c)) for c in chunks] == [(1, 3), (4, 3), (7, 1)]
    assert column(chunks[1].table, "text") == ["3", "4", "5"]
    assert chunks[0].file == path


def test_a_header_alone_gives_columns_and_no_rows(tmp_path: Path) -> None:
    (chunk,) = read_chunks(write(tmp_path / "a.csv", "text,lang\n"))
    assert chunk.table.column_names == ["text", "lang"]
    assert len(chunk) == 0


def test_every_ragged_row_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,n\n"a\nb",1\nc\nd,2,3\n')
    with pytest.raises(DataError) as caught:
        read_table(path)
    where = [(p.where, p.what) for p in caught.value.problems]
    assert where == [
        (f"{path}, row 2 (line 4)", "has 1 cells, expected 2 as in the header"),
        (f"{path}, row 3 (line 5)", "has 3 cells, expected 2 as in the header"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n", "is empty: no line with the names"),
        ("a.csv", b"text,n,text\na,b,c\n", "columns 'text' appear more than once"),
        ("a.csv", "text\nok\nété\n".encode("latin-1"), r"line 3: byte 0xe9 .*--encoding latin-1"),
        ("a.csv", "text\nok\n".encode("utf-16"), r"line 1: byte 0xff .*--encoding utf-16"),
        ("a.jsonl", '{"text": "é"}\n'.encode("latin-1"), "line 1: byte 0xe9"),
        ("a.jsonl", b"\n \n", "is empty: it holds no rows"),
        ("a.csv.gz", b"text\na\n", "is damaged or incomplete"),
        (
            "a.csv.gz",
            gzip.compress(b"text\n" + b"abc" * 99, mtime=0)[:-9],
            "is damaged or incomplete",
        ),
        ("a.parquet", b"PAR1" + b"\0" * 40, "not a complete Parquet file"),
        ("a.parquet", b"PAR1" + b"\0" * 40 + b"PAR1", "is damaged"),
        ("a.xlsx", b"PK\x03\x04 not a workbook", "cannot be read as a workbook"),
        ("a.txt", b"a", r"'\.txt' is not known; expected one of \.csv"),
        ("a.parquet.gz", b"a", "is not known"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / name, content))


def test_other_encodings_on_request(tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-16"):
        path = write(tmp_path / "a.csv", "text\nété\n".encode(encoding))
        assert columns(path, encoding=encoding) == {"text": ["été"]}
    with pytest.raises(DataError, match="no encoding 'latin-99'"):
        read_table(path, encoding="latin-99")


def test_gzip_is_read_through(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"text\na\n", mtime=0))
    assert columns(path) == {"text": ["a"]}
    path = write(tmp_path / "b.csv.gz", gzip.compress(b"text\n\xe9\n", mtime=0))
    with pytest.raises(DataError, match="line 2: byte 0xe9"):
        read_table(path)


# ---- JSONL


def test_jsonl_keeps_types_and_fills_gaps(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '{"text": "a", "n": 1, "emotion": ["joy"], "ok": true}\n\n'
        '{"n": 2.5, "text": "b", "emotion": [], "meta": {"q": 1}}\n',
    )
    assert columns(path) == {
        "text": ["a", "b"],
        "n": [1.0, 2.5],
        "emotion": [["joy"], []],
        "ok": [True, None],
        "meta": [None, '{"q": 1}'],
    }


def test_chunks_of_jsonl_have_the_same_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b", "n": 1}\n{"n": "x"}\n')
    chunks = list(read_chunks(path, rows=1))
    assert len({str(c.table.schema) for c in chunks}) == 1
    assert [column(c.table, "n") for c in chunks] == [[None], ["1"], ["x"]]


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", r'{"text": "a\ud800b", "e\udc00": ["\ud83d"]}' + "\n")
    assert columns(path) == {"text": ["a\ufffdb"], "e\ufffd": [["\ufffd"]]}


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n\n{oops\n[1]\n' + "[" * 100_000 + "\n")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert [p.where for p in caught.value.problems] == [
        f"{path}, row 2 (line 3)",
        f"{path}, row 3 (line 4)",
        f"{path}, row 4 (line 5)",
    ]
    assert "is a list, expected an object" in caught.value.problems[1].what


# ---- Parquet, XLSX, standard input


def test_parquet_in_chunks(tmp_path: Path) -> None:
    emotions = [["joy"], None, [], ["joy", "trust"], None]
    write_parquet(to_table({"text": list("abcde"), "emotion": emotions}), tmp_path / "a.parquet")
    chunks = list(read_chunks(tmp_path / "a.parquet", rows=2))
    assert [(c.first_row, len(c)) for c in chunks] == [(1, 2), (3, 2), (5, 1)]
    assert columns(tmp_path / "a.parquet")["emotion"] == emotions


def test_parquet_without_rows(tmp_path: Path) -> None:
    write_parquet(to_table({"text": ["a"]}).slice(0, 0), tmp_path / "a.parquet")
    assert columns(tmp_path / "a.parquet") == {"text": []}


def test_parquet_with_garbage_inside_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(to_table({"text": [f"text {i}" for i in range(1000)]}), path)
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    with pytest.raises(DataError, match="is damaged"):
        read_table(write(path, bytes(content)))


def test_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [["text", "stars", "day"], ["a", 4, None], [None, 2.5, "x"]]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert columns(tmp_path / "a.xlsx") == {
        "text": ["a", None],
        "stars": [4.0, 2.5],
        "day": [None, "x"],
    }


def test_workbook_without_cells(tmp_path: Path) -> None:
    openpyxl.Workbook().save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="is empty"):
        read_table(tmp_path / "a.xlsx")


def test_standard_input_is_one_text_per_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n\nb, c"))
    first, second = read_chunks("-", rows=2)
    assert column(first.table, "text") == ["a", ""]
    assert column(second.table, "text") == ["b, c"]
    assert second.first_row == 3


# ---- finding files


def test_files_folders_and_globs_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.csv", "a.jsonl", "deep/c.parquet", "notes.txt", ".hidden.csv", "_tmp/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_files([tmp_path / "b.csv", tmp_path, str(tmp_path / "*.csv")])
    assert [str(p.relative_to(tmp_path)) for p in found] == [
        "b.csv",
        "a.jsonl",
        "deep/c.parquet",
        ".hidden.csv",  # the glob asked for it
    ]
    monkeypatch.chdir(tmp_path)
    assert find_files(["**/*.parquet", "-"]) == [Path("deep/c.parquet"), Path("-")]


def test_every_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        find_files([tmp_path / "no.csv", tmp_path / "empty", str(tmp_path / "**x" / "*.csv")])
    assert [p.what.split(" (")[0] for p in caught.value.problems] == [
        "there is no such file",
        "holds no data file",
        "there is no such file",
    ]
