"""Two studies side by side."""

import json
from pathlib import Path

import pytest

from xmpress.cli.app import main
from xmpress.evaluation.render import MEAN
from xmpress.study.compare import compare, grids, to_markdown


def better(results, name: str, points: float):
    """The same results, but one model scores so many points more."""
    models = []
    for model in results.models:
        if model.name == name:
            cells = [
                {**cell, "macro_f1": cell["macro_f1"] + points / 100}
                for cell in model.scorecard["cells"]
            ]
            model = model.model_copy(update={"scorecard": {**model.scorecard, "cells": cells}})
        models.append(model)
    return results.model_copy(update={"models": models})


@pytest.fixture(scope="module")
def pair(whole, tmp_path_factory) -> tuple[Path, Path]:
    """Two directories: in the second, one model is better, one is gone, and the rate is another."""
    first, second = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    few = [m for m in whole.models if m.role in {"multi_task", "compressed"}][:8]
    whole = whole.model_copy(update={"models": few})
    whole.write(first)
    changed = better(whole, "distilmbert int8", 2.5)
    gone = [m for m in changed.models if m.name != "mbert multi-task"]
    speed = whole.speed.model_copy(
        update={
            "rows": [row.model_copy(update={"speedup": 2 * (row.speedup or 1)})
                     for row in whole.speed.rows]
        }
    )  # fmt: skip
    changed.model_copy(update={"models": gone, "speed": speed}).write(second)
    for directory, rate in ((first, "1e-5"), (second, "3e-5")):
        (directory / "study.yaml").write_text(
            f"name: paper\nfit: {{rate: {rate}, epochs: 3}}\nrecipes: [{{name: a}}]\n"
        )
    return first, second


def test_changes_by_task_and_language(pair) -> None:
    found = compare(*pair)
    (changed,) = [m for m in found.models if m.name == "distilmbert int8"]
    assert set(changed.tasks) == {
        "sentiment", "emotion", "intensity", "effort", "actionability", MEAN,
    }  # fmt: skip
    for delta in (*changed.tasks.values(), *changed.languages.values()):
        assert delta.change == pytest.approx(2.5)
    assert changed.speedup is not None and changed.speedup.change == pytest.approx(4.2)
    (same,) = [m for m in found.models if m.name == "distilmbert fp32"]
    assert same.tasks[MEAN].change == 0.0
    assert same.degradation is not None and same.degradation.change == 0.0


def test_which_settings_and_models_differ(pair) -> None:
    found = compare(*pair)
    assert found.settings == {"fit.rate": ("1e-5", "3e-5")}
    assert found.only == (("mbert multi-task",), ())
    assert found.same_data and "same data" in found.caution
    assert found.names == (pair[0].name, pair[1].name)


def test_other_data_is_said_first(pair, whole, tmp_path: Path) -> None:
    data = whole.data.model_copy(update={"fingerprint": "f" * 64})
    whole.model_copy(update={"data": data, "models": whole.models[:2]}).write(tmp_path)
    found = compare(pair[0], tmp_path)
    assert not found.same_data
    assert "different data" in found.caution
    assert "(data fingerprint)" in found.settings
    assert found.settings["fit.rate"] == ("1e-5", "(not set)")


def test_speeds_of_other_machines_are_told_apart(pair, whole, tmp_path: Path) -> None:
    speed = whole.speed.model_copy(update={"machine": {"cpu": "Another CPU"}, "threads": 1})
    whole.model_copy(update={"speed": speed}).write(tmp_path)
    assert compare(pair[0], tmp_path).settings["(speed measured on)"] == (
        "Example CPU 9000, 4 threads, 2,000 texts", "Another CPU, 1 thread, 2,000 texts"
    )  # fmt: skip


def test_nothing_in_common(pair, synthetic, tmp_path: Path) -> None:
    synthetic.small().write(tmp_path)
    found = compare(pair[0], tmp_path)
    assert not found.models
    assert "No model of one has the name of a model of the other." in to_markdown(found)


def test_tables(pair) -> None:
    titles = [grid.title for grid in grids(compare(*pair))]
    assert titles == [
        "What differs", "Macro-F1 by task, points",
        "Macro-F1 by language, mean over the tasks, points", "Degradation, speed and size",
    ]  # fmt: skip
    text = to_markdown(compare(*pair))
    assert "| distilmbert int8 | +2.5 [" in text
    assert "| fit.rate | 1e-5 | 3e-5 |" in text
    assert "Only in" in text


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_the_command(pair, tmp_path: Path, capsys) -> None:
    assert run("compare", *pair, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"] == {"fit.rate": ["1e-5", "3e-5"]}
    assert run("compare", *pair) == 0
    assert "Macro-F1 by task, points" in capsys.readouterr().out
    assert run("compare", *pair, "-o", tmp_path / "change.md") == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "change.md").read_text(encoding="utf-8").startswith("# ")
    assert run("compare", pair[0], tmp_path) == 1
    assert "results.json cannot be read" in capsys.readouterr().err
