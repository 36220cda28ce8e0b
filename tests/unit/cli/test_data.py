import pytest


@pytest.fixture
def clean(write_csv):
    return write_csv(
        "clean.csv",
        "text,lang,split,sentiment,emotion",
        ["Never again!", "en", "train", "very_negative", "anger;disappointment"],
        ["Merci beaucoup", "fr", "train", "positive", "gratitude"],
        ["Ganz okay.", "de", "test", "neutral", ""],
    )


def test_check(run, clean):
    outcome = run("data", "check", clean)
    assert outcome.code == 0
    assert "never seen" in outcome.out  # actionability has no row at all
    report = run("data", "check", clean, "--json").json
    assert report["rows"] == 3
    assert report["clean"]


def test_leakage_fails(run, write_csv):
    path = write_csv(
        "leak.csv",
        "text,split,sentiment,id",
        ["Great staff", "train", "positive", "a1"],
        ["great staff!", "test", "positive", "b2"],
    )
    outcome = run("data", "check", path)
    assert outcome.code == 1
    assert "test b2 = train a1" in outcome.err
    assert "error: 1 texts are in more than one split" in outcome.err
    as_json = run("data", "check", path, "--json")
    assert as_json.code == 1
    assert as_json.json["leaks"]["test in train"] == 1


def test_near_duplicates_only_if_asked(run, write_csv):
    text = "The room was clean and the breakfast was served until eleven"
    path = write_csv(
        "near.csv",
        "text,split,sentiment",
        [text, "train", "positive"],
        [text + " sharp", "test", "positive"],
    )
    assert run("data", "check", path).code == 0
    assert run("data", "check", path, "--near", 0.7).code == 1


def test_every_bad_row_is_told(fails, write_csv):
    path = write_csv(
        "bad.csv",
        "text,sentiment",
        ["fine", "happy"],
        ["", "neutral"],
        ["okay", "neutral"],
        ["fine", "glad"],
    )
    message = fails("data", "check", path).err
    for part in ("row 1, column sentiment", "row 2, column text", "row 4, column sentiment"):
        assert part in message
    assert "'happy'" in message
    assert "row 3" not in message


def test_stats(run, clean):
    outcome = run("data", "stats", clean)
    assert outcome.code == 0
    assert "3 rows of train 2, test 1" in outcome.err
    assert outcome.out.splitlines()[0].split()[:3] == ["lang", "rows", "sentiment"]
    assert "very negative 33.3%" in outcome.out
    summary = run("data", "stats", clean, "--json").json
    assert summary["languages"] == {"de": 1, "en": 1, "fr": 1}
    assert summary["tasks"]["emotion"]["rows"] == 2


def test_other_tasks_and_columns(run, write_csv, tmp_path):
    tasks = tmp_path / "hotel.yaml"
    tasks.write_text("tasks: [{name: stay, kind: single_label, labels: [short, long]}]")
    path = write_csv("guests.csv", "Kommentar,Sprache,stay", ["Gut", "de", "short"])
    options = ["--tasks", tasks, "--text", "Kommentar", "--lang", "Sprache", "--json"]
    summary = run("data", "stats", path, *options).json
    assert summary["tasks"]["stay"]["labels"]["short"]["rows"] == 1


def test_a_data_config_names_its_columns_itself(fails, tmp_path):
    message = fails("data", "stats", tmp_path / "data.yaml", "--text", "comment", code=2).err
    assert "drop --text" in message


def test_a_data_config_may_name_its_tasks(run, fails, write_csv, tmp_path):
    tasks = tmp_path / "hotel.yaml"
    tasks.write_text("tasks: [{name: stay, kind: single_label, labels: [short, long]}]")
    write_csv("guests.csv", "text,stay", ["Gut", "short"], ["Bien", "long"])
    source = tmp_path / "data.yaml"
    source.write_text(f"tasks: {tasks}\nroot: {tmp_path}\nsources: {{a: {{path: guests.csv}}}}")
    assert run("data", "check", source, "--json").json["unlabelled_rows"] == 0
    assert list(run("data", "stats", source, "--json").json["tasks"]) == ["stay"]
    message = fails("data", "check", source, "--tasks", "experience").err
    assert "has labels of stay" in message
