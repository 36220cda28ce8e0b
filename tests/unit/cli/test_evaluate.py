import shutil

import pytest


@pytest.fixture
def labelled(write_csv):
    labels = ["very_negative", "negative", "neutral", "positive", "very_positive"]
    rows = [
        [f"text number {i}", ["en", "de"][i % 2], ["train", "test"][i % 3 == 0], labels[i % 5]]
        for i in range(60)
    ]
    return write_csv("labelled.csv", "text,lang,split,sentiment", *rows)


def test_scorecard(run, labelled, tiny_bundle):
    outcome = run("evaluate", tiny_bundle, "--data", labelled)
    assert outcome.code == 0, outcome.err
    assert "20 rows" in outcome.err  # only the test split
    assert "sentiment" in outcome.out
    assert "emotion" not in outcome.out
    (card,) = run("evaluate", tiny_bundle, "--data", labelled, "--json").json["scorecards"]
    assert {cell["lang"] for cell in card["cells"]} == {"en", "de"}
    assert sum(cell["rows"] for cell in card["cells"]) == 20


def test_other_rows(run, labelled, tiny_bundle):
    for split, rows in {"train": 40, "all": 60}.items():
        cards = run("evaluate", tiny_bundle, "--data", labelled, "--split", split, "--json").json
        assert sum(cell["rows"] for cell in cards["scorecards"][0]["cells"]) == rows


def test_a_split_that_is_not_there(fails, labelled, tiny_bundle):
    outcome = fails("evaluate", tiny_bundle, "--data", labelled, "--split", "validation")
    assert "it has test, train" in outcome.err


def test_against_a_reference(run, labelled, tiny_bundle, tiny_model_dir):
    arguments = ["evaluate", tiny_bundle, "--data", labelled, "--reference", tiny_model_dir]
    result = run(*arguments, "--resamples", 50, "--json").json
    assert len(result["scorecards"]) == 2
    (comparison,) = result["comparisons"]
    # A bundle is the model: nothing is lost.
    assert comparison["average"]["percent"] == 0.0
    assert comparison["resamples"] == 50
    shown = run(*arguments, "--resamples", 50).out
    assert "Degradation of" in shown
    assert "| " in run(*arguments, "--resamples", 50, "--markdown").out


def test_floors(run, labelled, tiny_bundle):
    arguments = ["evaluate", tiny_bundle, "--data", labelled, "--tasks", "sentiment"]
    result = run(*arguments, "--baseline", "majority", "--baseline", "tfidf", "--json").json
    assert len(result["scorecards"]) == 3
    majority = result["scorecards"][1]
    assert majority["tasks"]["sentiment"] < 0.2  # one label of five
    unknown = run(*arguments, "--baseline", "nonsense")
    assert unknown.code == 2
    assert "tfidf" in unknown.err


def test_floors_are_not_scored_on_the_rows_they_are_fitted_on(
    run, fails, labelled, tiny_bundle, write_csv
):
    rows = [[f"text number {i}", "en", ["negative", "positive"][i % 2]] for i in range(20)]
    plain = write_csv("plain.csv", "text,lang,sentiment", *rows)
    arguments = ["evaluate", tiny_bundle, "--data", plain]
    assert run(*arguments, "--json").code == 0
    assert "has no splits" in fails(*arguments, "--baseline", "majority").err
    for split in ("train", "all"):
        asked = ["--data", labelled, "--split", split, "--baseline", "tfidf"]
        assert f"--split {split}" in fails("evaluate", tiny_bundle, *asked, code=2).err


def test_models_of_one_name_are_told_apart(run, labelled, tiny_bundle, tmp_path):
    paths = [tmp_path / "a" / "bundle", tmp_path / "b" / "bundle"]
    for path in paths:
        shutil.copytree(tiny_bundle, path)
    result = run("evaluate", *paths, "--data", labelled, "--json").json
    assert [card["model"] for card in result["scorecards"]] == [str(path) for path in paths]


def test_a_data_set_without_labels(run, feedback, tiny_bundle):
    outcome = run("evaluate", tiny_bundle, "--data", feedback)
    assert outcome.code == 1
    assert "no row is labelled" in outcome.err
    assert outcome.out == ""


def test_a_data_config_of_other_tasks_is_refused(fails, labelled, tiny_bundle, tmp_path):
    tasks, data = tmp_path / "tasks.yaml", tmp_path / "data.yaml"
    tasks.write_text("tasks: [{name: sentiment, kind: ordinal, labels: [bad, good]}]")
    data.write_text(f"tasks: {tasks}\nroot: /\nsources: {{a: {{path: {labelled}}}}}")
    message = fails("evaluate", tiny_bundle, "--data", data).err
    assert "sentiment: is ordinal (very_negative" in message
