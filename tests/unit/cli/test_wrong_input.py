"""Wrong input gives one clear message, the right exit code, and nothing half-written."""

import shutil

import pytest

EXPERIENCE = "tasks: [{name: mood, kind: ordinal, labels: [bad, good]}]"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entries(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_csv_without_a_text_column(fails, write_csv, tiny_bundle, work):
    write_csv("a.csv", "id,comment", ["1", "fine"])
    before = entries(work)
    message = fails("analyze", "a.csv", "-m", tiny_bundle, "-o", "out.csv").err
    assert "a.csv has no column 'text'; it has id, comment" in message
    assert "--text COL" in message
    typo = fails("analyze", "a.csv", "-m", tiny_bundle, "--text", "coment").err
    assert "did you mean 'comment'?" in typo
    labelled = fails("data", "check", "a.csv").err
    assert "no column 'text'" in labelled
    assert entries(work) == before


def test_unknown_label(fails, write_csv, work):
    write_csv("a.csv", "text,sentiment", ["fine", "positive"], ["great", "pozitive"])
    message = fails("data", "check", "a.csv").err
    assert "a.csv, row 2, column sentiment: 'pozitive' is not a label" in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (EXPERIENCE.replace("labels", "lables"), "did you mean 'labels'?"),
        (EXPERIENCE.replace("ordinal", "ordinary"), "kind"),
        ("tasks: [", "is not valid YAML"),
    ],
)
def test_task_file_with_a_typo(fails, write_csv, work, text, part):
    write_csv("a.csv", "text,mood", ["fine", "good"])
    (work / "tasks.yaml").write_text(text)
    assert part in fails("data", "stats", "a.csv", "--tasks", "tasks.yaml").err


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_half_downloaded_model_directory(fails, tiny_model_dir, work, name):
    shutil.copytree(tiny_model_dir, work / "model")
    file = work / "model" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = entries(work)
    assert name in fails("export", "model", "-o", "bundle").err
    file.unlink()
    assert f"{name} missing" in fails("export", "model", "-o", "bundle").err
    assert entries(work) == [entry for entry in before if entry != name]


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "xmpress.json"])
def test_half_copied_bundle(fails, feedback, tiny_bundle, work, name):
    shutil.copytree(tiny_bundle, work / "bundle")
    file = work / "bundle" / name
    file.write_bytes(file.read_bytes()[:100])
    message = fails("analyze", feedback, "-m", "bundle", "-o", "out.csv").err
    assert name in message
    assert not (work / "out.csv").exists()


@pytest.mark.parametrize("out", ["nowhere/out.csv", "file/out.csv", "folder.csv", "/proc/out.csv"])
def test_place_that_cannot_be_written_to(fails, feedback, tiny_bundle, work, out):
    (work / "file").write_text("")
    (work / "folder.csv").mkdir()
    before = entries(work)
    assert out.split("/")[0] in fails("analyze", feedback, "-m", tiny_bundle, "-o", out).err
    assert entries(work) == before


def test_empty_file(fails, tiny_bundle, work):
    (work / "a.csv").write_text("")
    assert "a.csv is empty" in fails("analyze", "a.csv", "-m", tiny_bundle).err
    assert "a.csv is empty" in fails("data", "check", "a.csv").err


def test_latin_1(fails, run, write_csv, tiny_bundle, work):
    write_csv("a.csv", "text", ["Très bien"], ["Schön"], encoding="latin-1")
    message = fails("analyze", "a.csv", "-m", tiny_bundle, "-o", "out.csv").err
    assert "a.csv, line 2" in message
    assert "--encoding latin-1" in message
    assert not (work / "out.csv").exists()
    assert run("analyze", "a.csv", "-m", tiny_bundle, "--encoding", "latin-1").code == 0
    assert "no encoding 'nonsense'" in (
        fails("analyze", "a.csv", "-m", tiny_bundle, "--encoding", "nonsense").err
    )


def test_a_row_of_100_000_characters(run, fails, write_csv, tiny_bundle, work):
    write_csv("a.csv", "text", ["word " * 20_000], ["short"])
    assert run("analyze", "a.csv", "-m", tiny_bundle).code == 0
    assert run("analyze", "a.csv", "-m", tiny_bundle, "-o", "out.parquet").code == 0
    message = fails("analyze", "a.csv", "-m", tiny_bundle, "-o", "out.xlsx").err
    assert "a cell holds 32,767 characters" in message
    assert not (work / "out.xlsx").exists()


def test_ragged_rows(fails, tiny_bundle, work):
    (work / "a.csv").write_text("text,lang\nfine,en\ntoo,many,cells\n")
    message = fails("analyze", "a.csv", "-m", tiny_bundle).err
    assert "row 2 (line 3): has 3 cells, expected 2" in message


@pytest.mark.parametrize("name", ["a.pdf", "a", "missing.csv", "folder"])
def test_inputs_that_are_no_data(fails, tiny_bundle, work, name):
    (work / "folder").mkdir()
    for file in ("a.pdf", "a"):
        (work / file).write_text("x")
    assert name in fails("analyze", name, "-m", tiny_bundle).err


def test_unknown_task_and_model(fails, feedback, tiny_bundle, tiny_model_dir):
    message = fails("analyze", feedback, "-m", tiny_bundle, "--tasks", "mood").err
    assert "there is no task 'mood'" in message
    assert (
        "is a model directory, not a bundle" in fails("analyze", feedback, "-m", tiny_model_dir).err
    )
    assert "there is no model 'nonsense'" in fails("analyze", feedback, "-m", "nonsense").err
