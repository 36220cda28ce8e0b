import errno
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from xmpress import zoo
from xmpress.data.readers import column, read_table
from xmpress.errors import DataError, UsageError
from xmpress.runtime.analyzer import Analyzer
from xmpress.scoring import folder as folders
from xmpress.scoring.folder import OutputFolder, open_folder


@pytest.fixture
def comments(lines) -> Path:
    """Fifty rows, some repeated, some blank, some bad."""
    rows = [
        {"id": i, "text": f"waiting {'far too ' * (i % 9)}long {i % 13}", "lang": "en-GB"}
        for i in range(50)
    ]
    rows[7] = b"broken"
    rows[20]["text"] = " "
    rows[33] = {"id": 33, "text": 3}
    return lines("in/comments.jsonl", *rows)


def test_parts_hold_what_the_library_says(run, comments, tiny_bundle, tmp_path):
    report = run(comments, rows_per_part=20, probabilities=True)
    names = ["part-00001-000001", "part-00001-000002", "part-00001-000003"]
    files = sorted((tmp_path / "out" / "parts").iterdir())
    assert [f.name for f in files] == [f"{name}.parquet" for name in names]
    tables = [read_table(f) for f in files]
    assert [t.num_rows for t in tables] == [19, 19, 10]
    ids = [i for table in tables for i in column(table, "id")]
    assert ids == [i for i in range(50) if i not in {7, 33}]
    analyzer = zoo.load(tiny_bundle)
    for table in tables:
        analyses = analyzer.analyze(column(table, "text"))
        for task in analyzer.tasks:
            found = column(table, task.name)
            for value, analysis in zip(found, analyses, strict=True):
                said = analysis[task.name]
                blank = said.confidence is None
                assert value == (None if blank else list(said.labels) if task.multi else said.label)
    assert report.totals.model_dump() == {"rows": 50, "scored": 48, "blank": 1, "rejected": 2}
    assert report.languages == {"en": 48}
    assert sum(report.labels["sentiment"].values()) == 47
    assert list(report.labels["sentiment"]) == list(analyzer.tasks["sentiment"].labels)


def test_rejected_rows(run, comments, tmp_path):
    run(comments, rows_per_part=20)
    text = (tmp_path / "out" / "rejected.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["file"], row["row"], row["line"]) for row in rows] == [
        (str(comments), 8, 8),
        (str(comments), 34, 34),
    ]
    assert rows[1]["reason"] == "column text is a int, expected text"


def test_manifest(run, comments, tmp_path, tiny_bundle):
    from xmpress.data.files import sha256

    run(comments, rows_per_part=20)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "complete"
    assert manifest["plan"]["inputs"][0]["sha256"] == sha256(comments)
    assert manifest["plan"]["bundle"] == {
        "name": "tiny",
        "version": "7",
        "sha256": sha256(tiny_bundle / "xmpress.json"),
    }
    assert manifest["plan"]["versions"]["xmpress"] == manifest["xmpress"]
    for part in manifest["parts"]:
        file = tmp_path / "out" / part["file"]
        assert (file.stat().st_size, sha256(file)) == (part["bytes"], part["sha256"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        ".lock",
        "manifest.json",
        "parts",
        "rejected.jsonl",
    ]


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_a_folder_of_formats(run, tmp_path, format_):
    folder = tmp_path / "lake"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("text,n\ngood,1\n", encoding="utf-8")
    (folder / "b.jsonl").write_text('{"text": "bad"}\n{"text": "ok"}\n', encoding="utf-8")
    (folder / "c.jsonl").touch()
    (folder / "deep" / "d.parquet").write_bytes(b"")
    run(folder, format=format_, tasks=("sentiment", "emotion"))
    parts = sorted((tmp_path / "out" / "parts").iterdir())
    assert [p.name for p in parts] == [f"part-0000{i}-000001.{format_}" for i in (1, 2)]
    first, second = (read_table(p) for p in parts)
    predicted = ["sentiment", "sentiment_confidence", "emotion", "emotion_confidence"]
    assert first.column_names == ["text", "n", *predicted]
    assert column(second, "text") == ["bad", "ok"]


def test_identical_texts_are_computed_once(run, lines, monkeypatch):
    seen = []
    original = Analyzer._run

    def counted(self, encoded, rows):
        seen.append(len(rows))
        return original(self, encoded, rows)

    monkeypatch.setattr(Analyzer, "_run", counted)
    rows = [{"text": ["good", "bad", "so so"][i % 3]} for i in range(300)]
    run(lines("a.jsonl", *rows), rows_per_part=100)
    assert sum(seen) == 9  # three per part


def test_nothing_is_overwritten(run, lines, tmp_path):
    report = run(lines("a.jsonl", {"text": "a", "sentiment": "mine"}))
    (part,) = (tmp_path / "out" / "parts").iterdir()
    assert column(read_table(part), "sentiment") == ["mine"]
    assert report.renamed["sentiment"] == "sentiment_predicted"


def test_resume_after_an_error(run, comments, left, monkeypatch):
    run(comments, out="whole", rows_per_part=5)
    original = OutputFolder.note
    for stop in (1, 3, 6):
        notes = iter(range(stop))

        def failing(self, entry, notes=notes):
            if next(notes, None) is None:
                raise ZeroDivisionError
            original(self, entry)

        monkeypatch.setattr(OutputFolder, "note", failing)
        with pytest.raises(ZeroDivisionError):
            run(comments, rows_per_part=5, resume=True)
    monkeypatch.undo()
    assert left()["manifest.json"]["state"] == "running"
    report = run(comments, rows_per_part=5, resume=True)
    assert report.state == "complete"
    assert left() == left("whole")


def test_resume_skips_what_is_whole(run, comments, monkeypatch):
    def stopped(self, entry):
        original(self, entry)
        if entry.get("part", {}).get("number") == 2:
            raise ZeroDivisionError

    original = OutputFolder.note
    monkeypatch.setattr(OutputFolder, "note", stopped)
    with pytest.raises(ZeroDivisionError):
        run(comments, rows_per_part=20)
    monkeypatch.undo()
    saved = []
    monkeypatch.setattr(
        "xmpress.scoring.scorer.write_parquet",
        lambda table, *args, **kwargs: saved.append(table.num_rows),
    )
    run(comments, rows_per_part=20, resume=True)
    assert saved == [10]


def test_resume_of_a_complete_run_does_nothing(run, comments, left, monkeypatch):
    report = run(comments)
    before = left()
    monkeypatch.setattr(Analyzer, "__init__", None)
    assert run(comments, resume=True) == report
    assert left() == before


def test_a_part_that_was_damaged_is_made_again(run, comments, left, tmp_path, monkeypatch):
    run(comments, out="whole", rows_per_part=20)
    monkeypatch.setattr("xmpress.scoring.run._Run.finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(comments, rows_per_part=20)
    monkeypatch.undo()
    part = tmp_path / "out" / "parts" / "part-00001-000002.parquet"
    part.write_bytes(part.read_bytes()[:-10])
    (tmp_path / "out" / "parts" / ".part-00001-000003.1234abcd.parquet").write_bytes(b"half")
    with (tmp_path / "out" / ".journal.jsonl").open("ab") as journal:
        journal.write(b'{"part": {"input": 1, "num')  # killed as it wrote
    run(comments, rows_per_part=20, resume=True)
    assert left() == left("whole")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows_per_part": 10}, "setting rows_per_part: was 20, is 10"),
        ({"tasks": ("effort",)}, "setting tasks: was not given, is effort"),
        ({"format": "csv"}, "setting format: was parquet, is csv"),
    ],
)
def test_resume_with_another_setting(run, comments, left, settings, message):
    run(comments, rows_per_part=20)
    before = left()
    with pytest.raises(UsageError, match=message):
        run(comments, resume=True, **{"rows_per_part": 20, **settings})
    assert left() == before


def test_resume_with_another_input(run, comments, lines):
    run(comments)
    more = lines("in/more.jsonl", {"text": "more"})
    with pytest.raises(UsageError, match=r"more\.jsonl: is an input, and was none"):
        run(comments, more, resume=True)
    with comments.open("a") as file:
        file.write('{"text": "one more"}\n')
    with pytest.raises(UsageError, match=r"comments\.jsonl: has changed"):
        run(comments, resume=True)


def test_a_folder_that_is_not_ours(run, comments, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="is not empty"):
        run(comments, resume=True)
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_run_is_not_overwritten(run, comments):
    run(comments)
    with pytest.raises(UsageError, match=r"holds a run already.*--resume"):
        run(comments)


def test_two_at_a_time_are_refused(run, comments, tmp_path):
    with (
        open_folder(tmp_path / "out", "parquet", resume=False),
        pytest.raises(DataError, match="another process writes to"),
    ):
        run(comments)
    assert run(comments).state == "complete"


def test_output_within_the_input(run, lines, tmp_path):
    lines("lake/a.jsonl", {"text": "a"})
    first = run(tmp_path / "lake", out="lake/out", format="jsonl")
    again = run(tmp_path / "lake", out="lake/out", format="jsonl", resume=True)
    assert first == again
    assert first.totals.rows == 1


def test_a_damaged_input_does_not_stop_the_others(run, lines, tmp_path, left):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 this is none")
    good = lines("good.jsonl", {"text": "a"})
    report = run(bad, good)
    assert report.totals.scored == 1
    assert "not a complete Parquet file" in report.unreadable[str(bad)]
    (row,) = map(json.loads, (tmp_path / "out" / "rejected.jsonl").read_text().splitlines())
    assert (row["file"], row["row"]) == (str(bad), None)
    with pytest.raises(DataError, match="no input can be read"):
        run(bad, out="other")


def test_a_wrong_column_is_said_before_anything_is_scored(run, lines, tmp_path):
    one = lines("one.jsonl", {"text": "a"})
    two = lines("two.jsonl", {"texts": "a"})
    with pytest.raises(DataError) as error:
        run(one, two)
    assert "two.jsonl: has no column 'text' (did you mean 'texts'?); it has texts" in str(error)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_numbers_are_no_texts(run, tmp_path):
    import pyarrow as pa

    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"text": [1, 2]}), path)
    with pytest.raises(DataError, match=r"n\.parquet: column 'text' holds no text"):
        run(path)


def test_a_full_disk(run, comments, left, monkeypatch):
    run(comments, out="whole", rows_per_part=20)
    original = Path.write_bytes
    writes = iter(range(2))

    def full(self, content):
        original(self, bytes(content)[:100])
        if next(writes, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"no space is left .*2 parts are whole.*--resume"):
        run(comments, rows_per_part=20)
    monkeypatch.undo()
    parts = [name for name in left() if name.startswith("parts")]
    assert parts == ["parts/part-00001-000001.parquet", "parts/part-00001-000002.parquet"]
    run(comments, rows_per_part=20, resume=True)
    assert left() == left("whole")


def test_an_input_that_changes_meanwhile(run, comments, monkeypatch):
    original = folders.OutputFolder.part_path

    def meanwhile(self, *numbers):
        with comments.open("a") as file:
            file.write('{"text": "more"}\n')
        return original(self, *numbers)

    monkeypatch.setattr(folders.OutputFolder, "part_path", meanwhile)
    with pytest.raises(DataError, match="was changed while it was read"):
        run(comments, rows_per_part=5)


def test_standard_input_cannot_be_resumed(run):
    with pytest.raises(UsageError, match="standard input"):
        run(Path("-"))


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(run, comments, left, tmp_path, tiny_bundle, threads):
    from xmpress.scoring import ScoreSettings, score

    run(comments, rows_per_part=20, probabilities=True)
    settings = ScoreSettings(rows_per_part=20, probabilities=True)
    score([comments], tmp_path / "more", model=tiny_bundle, settings=settings, threads=threads)
    assert left() == left("more")
