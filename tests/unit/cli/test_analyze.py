import io
import json
import subprocess
import sys

import pytest
from arro3.core import Table

from xmpress import zoo
from xmpress.data.readers import column, read_table
from xmpress.runtime.analyzer import Analyzer

TASKS = ["sentiment", "emotion", "intensity", "effort", "actionability"]


def test_a_table_and_a_summary(run, feedback, tiny_bundle):
    outcome = run("analyze", feedback, "-m", tiny_bundle)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["text", "lang", *TASKS]
    assert lines[1].startswith("Checked in within two")
    assert len(lines[1]) <= 120
    assert lines[20].startswith("客服")
    assert "the first 20 of 30 rows" in outcome.err
    for task in TASKS:
        assert any(line.startswith(task) and "%" in line for line in lines[21:])
    by_language = [line.split()[:2] for line in lines if line[:2] in {"en", "th"}]
    assert by_language == [["en", "4"], ["th", "2"]]


def test_narrow_terminal(run, feedback, tiny_bundle, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("analyze", feedback, "-m", tiny_bundle).out.splitlines()
    assert lines[0].split() == ["text", "lang", *(t for t in TASKS if t != "intensity")]
    assert max(map(len, lines)) <= 80


def test_rows(run, feedback, tiny_bundle):
    some = run("analyze", feedback, "-m", tiny_bundle, "--rows", 3)
    assert some.out.splitlines()[4] == ""
    none = run("analyze", feedback, "-m", tiny_bundle, "--rows", 0)
    assert none.out.startswith("sentiment")
    assert none.err == ""


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "xlsx", "csv.gz"])
def test_a_file(run, feedback, tiny_bundle, tmp_path, suffix):
    path = tmp_path / f"scored.{suffix}"
    outcome = run("analyze", feedback, "-m", tiny_bundle, "-o", path)
    assert outcome.code == 0, outcome.err
    assert f"wrote 30 rows to {path}" in outcome.err
    table = read_table(path)
    given = ["id", "lang", "channel", "text"]
    assert table.column_names == [
        *given,
        *(name for task in TASKS for name in (task, f"{task}_confidence")),
    ]
    original = read_table(feedback)
    for name in given:
        assert column(table, name) == column(original, name)
    emotions = column(table, "emotion")
    assert isinstance(emotions[0], list if suffix in {"jsonl", "parquet"} else str)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_text_that_comes_again_is_not_computed_again(run, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("xmpress.cli.analyze.CHUNK_ROWS", 2)
    encode, computed = Analyzer._encode, []

    def watched(self, pairs):
        computed.extend(text for text, _ in pairs)
        return encode(self, pairs)

    monkeypatch.setattr(Analyzer, "_encode", watched)
    path = tmp_path / "many.csv"
    path.write_text("text\ngood\nslow\n" + "good\nslow\n" * 20, encoding="utf-8")
    assert run("analyze", path, "-m", tiny_bundle).code == 0
    assert len(computed) < 42 / 2  # a few windows are read ahead
    assert set(computed) >= {"good", "slow"}


def test_predictions_are_those_of_the_library(run, feedback, tiny_bundle, tmp_path):
    path = tmp_path / "scored.jsonl"
    run("analyze", feedback, "-m", tiny_bundle, "-o", path, "--probabilities")
    analyses = zoo.load(tiny_bundle).analyze(column(read_table(feedback), "text"))
    for line, analysis in zip(path.read_text().splitlines(), analyses, strict=True):
        row = json.loads(line)
        assert row["sentiment"] == analysis["sentiment"].label
        assert row["emotion"] == list(analysis["emotion"].labels)
        assert row["effort.hard"] == pytest.approx(
            analysis["effort"].probabilities["hard"], abs=1e-4
        )


def test_lines_through_a_pipe(run, tiny_bundle, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Great!\n\nTrop cher.\n"))
    outcome = run("analyze", "-", "-m", tiny_bundle, "-o", "-", "--tasks", "sentiment, emotion")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["text"] for row in rows] == ["Great!", "", "Trop cher."]
    assert set(rows[0]) == {
        "text",
        "sentiment",
        "sentiment_confidence",
        "emotion",
        "emotion_confidence",
    }
    assert rows[1]["sentiment"] is None
    assert rows[1]["emotion"] is None
    assert "rows without text, which have no prediction: 1" in outcome.err


def test_summary_as_json(run, feedback, tiny_bundle):
    summary = run("analyze", feedback, "-m", tiny_bundle, "--json").json
    assert summary["rows"] == 30
    assert summary["blank"] == 0
    assert sum(summary["tasks"]["sentiment"].values()) == 30
    assert summary["languages"]["th"]["rows"] == 2
    assert sum(lang["rows"] for lang in summary["languages"].values()) == 30
    for task in TASKS:
        for label, count in summary["tasks"][task].items():
            parts = [lang["tasks"][task][label] for lang in summary["languages"].values()]
            assert sum(parts) == count


def test_columns_by_name(run, write_csv, tiny_bundle):
    path = write_csv("a.csv", "Kommentar,Sprache,Frage", ["Gut", "de", "Was?"], ["Bad", "en", ""])
    outcome = run(
        "analyze", path, "-m", tiny_bundle, "--text", "Kommentar", "--lang", "Sprache", "--json"
    )
    assert set(outcome.json["languages"]) == {"de", "en"}


def test_context_is_used(run, write_csv, tiny_bundle, tmp_path):
    plain = write_csv("plain.csv", "text,asked", *[["ok", "What annoyed you?"]])
    named = write_csv("named.csv", "text,context", *[["ok", "What annoyed you?"]])
    results = {}
    for name, arguments in {
        "without": (plain,),
        "by option": (plain, "--context", "asked"),
        "by name": (named,),
    }.items():
        out = tmp_path / "out.jsonl"
        run("analyze", *arguments, "-m", tiny_bundle, "-o", out)
        results[name] = json.loads(out.read_text())["sentiment_confidence"]
    assert results["by option"] == results["by name"] != results["without"]


def test_nothing_is_overwritten(run, write_csv, tiny_bundle, tmp_path):
    path = write_csv("a.csv", "text,sentiment", ["Great", "my own"])
    out = tmp_path / "out.jsonl"
    outcome = run("analyze", path, "-m", tiny_bundle, "-o", out)
    row = json.loads(out.read_text())
    assert row["sentiment"] == "my own"
    assert row["sentiment_predicted"] in zoo.load(tiny_bundle).tasks["sentiment"].labels
    assert "there is a column 'sentiment' already" in outcome.err


def test_several_files(run, write_csv, tiny_bundle, tmp_path):
    write_csv("in1.csv", "text", ["a"], ["b"])
    write_csv("in2.csv", "text", ["c"])
    out = tmp_path / "out.csv"
    assert run("analyze", tmp_path / "in*.csv", "-m", tiny_bundle, "-o", out).code == 0
    assert column(read_table(out), "text") == ["a", "b", "c"]


def test_files_with_other_columns(fails, write_csv, tiny_bundle, tmp_path):
    paths = [write_csv("in1.csv", "text", ["a"]), write_csv("in2.csv", "text,x", ["c", "1"])]
    out = tmp_path / "out.csv"
    message = fails("analyze", *paths, "-m", tiny_bundle, "-o", out).err
    assert "in2.csv has the columns text, x, but" in message
    assert not out.exists()


def test_more_rows_than_a_chunk(run, write_csv, tiny_bundle, tmp_path):
    from xmpress.cli.analyze import CHUNK_ROWS

    texts = [f"text {i % 7}" for i in range(CHUNK_ROWS + 5)]
    path = write_csv("long.csv", "text", *([t] for t in texts))
    out = tmp_path / "out.parquet"
    outcome = run("analyze", path, "-m", tiny_bundle, "-o", out, "--json")
    assert outcome.json["rows"] == len(texts)
    table = read_table(out)
    assert isinstance(table, Table)
    assert column(table, "text") == texts
    assert column(table, "sentiment")[:5] == column(table, "sentiment")[7:12]


def test_a_header_without_rows(run, write_csv, tiny_bundle, tmp_path):
    path, out = write_csv("none.csv", "text"), tmp_path / "out.csv"
    assert run("analyze", path, "-m", tiny_bundle).err == "the input has no rows\n"
    assert run("analyze", path, "-m", tiny_bundle, "-o", out).code == 0
    assert out.read_text().startswith("text,sentiment,")


def test_ctrl_c_leaves_no_file(run, feedback, tiny_bundle, tmp_path, monkeypatch):
    from xmpress.runtime.analyzer import Analyzer

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Analyzer, "_run", interrupted)
    assert run("analyze", feedback, "-m", tiny_bundle, "-o", tmp_path / "out.csv").code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_ctrl_c_in_the_middle_leaves_no_file(
    run, write_csv, tiny_bundle, tmp_path, monkeypatch, suffix
):
    from xmpress.data.writers import TableWriter

    monkeypatch.setattr("xmpress.cli.analyze.CHUNK_ROWS", 10)
    path = write_csv("many.csv", "text", *([f"text {i}"] for i in range(100)))
    written = []
    write = TableWriter.write

    def interrupted(self, table):
        written.append(table.num_rows)
        if len(written) == 4:
            raise KeyboardInterrupt
        write(self, table)

    monkeypatch.setattr(TableWriter, "write", interrupted)
    assert run("analyze", path, "-m", tiny_bundle, "-o", tmp_path / f"out.{suffix}").code == 130
    assert sum(written) == 40
    assert [p.name for p in tmp_path.iterdir()] == ["many.csv"]


def test_a_corrupt_row_far_down_leaves_no_file(fails, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("xmpress.cli.analyze.CHUNK_ROWS", 10)
    path = tmp_path / "in.csv"
    path.write_text("id,text\n" + "".join(f"{i},fine\n" for i in range(50)) + "51,a,b,c\n")
    message = fails("analyze", path, "-m", tiny_bundle, "-o", tmp_path / "out.parquet").err
    assert "row 51" in message
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_the_engine_can_be_named(run, fails, feedback, tiny_bundle):
    assert run("analyze", feedback, "-m", tiny_bundle, "--engine", "onnx", "--json").code == 0
    message = fails("analyze", feedback, "-m", tiny_bundle, "--engine", "openvino").err
    assert "has no graph for engine 'openvino' (it has: onnx)" in message


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    comments = tmp_path / "comments.jsonl"
    comments.write_text(json.dumps({"text": "fine", "note": "x" * 1000}) + "\n")
    comments.write_text(comments.read_text() * 2_000)
    command = f"{sys.executable} -m xmpress analyze {comments} -o - | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
