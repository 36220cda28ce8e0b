"""The study file: every problem at once, with the nearest valid key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from xmpress.errors import ConfigError
from xmpress.study import config as module
from xmpress.study import load_study, packaged_studies
from xmpress.study.config import StudyConfig

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": "sample",
    "encoders": {"small": {"model_type": "bert", "hidden_size": 32}},
}


def write(folder: Path, **keys: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**TINY, **keys}))
    return path


def refused(folder: Path, *overrides: str, **keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_study(write(folder, **keys), overrides)
    return str(caught.value)


@pytest.mark.parametrize("name", packaged_studies())
def test_studies_that_ship_are_valid(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.title
    assert study.recipes
    assert study.cost


def test_a_name_or_a_configuration_stands_for_an_encoder(tmp_path: Path) -> None:
    study = load_study(
        write(tmp_path, encoders={"a": "xlm-roberta-base", "b": TINY["encoders"]["small"]})
    )
    assert study.encoders["a"].encoder == "xlm-roberta-base"
    assert study.encoders["b"].encoder == {"model_type": "bert", "hidden_size": 32}


def test_unknown_keys_are_refused_with_the_nearest_one_all_at_once(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        encoder={"a": "b"},
        speed={"row": 3},
        recipes={"int8-only": {"sets": []}},
        zero_shot={"leave": ["th"]},
    )
    assert "encoder: unknown key; did you mean 'encoders'?" in said
    assert "speed.row: unknown key; did you mean 'rows'?" in said
    assert "recipes.int8-only.sets: unknown key; did you mean 'set'?" in said
    assert "zero_shot.leave: unknown key; did you mean 'leave_out'?" in said


def test_names_must_stand_for_something(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        single_task={"tasks": ["sentimnet"], "encoders": ["smal"], "seeds": [7]},
        speed={"baselines": ["xlm-roberta"], "policies": ["all at onse"]},
    )
    assert "single_task.tasks[0]: 'sentimnet' is not known; did you mean 'sentiment'?" in said
    assert "single_task.encoders[0]: 'smal' is not known; did you mean 'small'?" in said
    assert "single_task.seeds[0]: '7' is not known; there is 0" in said
    assert "did you mean 'xlm-roberta-base'?" in said
    assert "speed.policies[0]: 'all at onse' is not known; did you mean 'all at once'?" in said


def test_settings_of_a_training_are_checked_where_they_stand(tmp_path: Path) -> None:
    encoders = {"small": {"encoder": "x", "training": {"fit": {"stepps": 3}}}}
    said = refused(tmp_path, training={"max_len": 64}, encoders=encoders)
    assert "training.max_len: unknown key; did you mean 'max_length'?" in said
    assert "encoders.small.training.fit.stepps: unknown key; did you mean 'steps'?" in said


@pytest.mark.parametrize("key", ["data", "encoder", "only_tasks", "only_languages"])
def test_what_the_study_decides_is_no_setting_of_its_trainings(tmp_path: Path, key: str) -> None:
    assert f"training.{key}: the study itself decides this" in refused(
        tmp_path, training={key: "a"}
    )


def test_a_study_that_names_no_tasks_takes_those_of_its_data(tmp_path: Path) -> None:
    tasks = {"tasks": [{"name": "urgency", "kind": "ordinal", "labels": ["low", "high"]}]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(tasks), encoding="utf-8")
    data = {"tasks": str(tmp_path / "own.yaml"), "sources": {"a": {"path": "a.csv"}}}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    named = write(tmp_path, data=str(tmp_path / "data.yaml"), single_task={"tasks": ["urgency"]})
    assert load_study(named).task_set().names == ("urgency",)
    said = refused(tmp_path, data=str(tmp_path / "data.yaml"), tasks="experience")
    assert "urgency" in said


def test_seeds_are_the_studys(tmp_path: Path) -> None:
    said = refused(tmp_path, training={"fit": {"seed": 3}})
    assert "training.fit.seed: give the study's seeds instead" in said
    assert "each must be there once" in refused(tmp_path, seeds=[1, 1])


def test_a_wrong_recipe_is_told_with_its_place(tmp_path: Path) -> None:
    recipes = {"nothing": {}, "int8-only": {"set": ["passes.quantize.mod=int4"]}}
    said = refused(tmp_path, recipes=recipes)
    assert "recipes.nothing: 'nothing' is neither a recipe file" in said
    assert "recipes.int8-only: passes[0].quantize.mod: unknown key; did you mean 'mode'?" in said


def test_a_cost_needs_a_speed(tmp_path: Path) -> None:
    assert "cost: needs speed" in refused(tmp_path, cost={})


def test_zero_shot_says_which_languages(tmp_path: Path) -> None:
    assert "name languages to leave_out" in refused(tmp_path, zero_shot={})


def test_overrides_reach_everything(tmp_path: Path) -> None:
    study = load_study(write(tmp_path), ["seeds=[3, 4]", "training.fit.steps=7"])
    assert study.seeds == [3, 4]
    settings = study.train_config("small", 4, only_tasks=["effort"])
    assert (settings.fit.steps, settings.fit.seed, settings.only_tasks) == (7, 4, ["effort"])


def test_an_encoders_own_settings_replace_the_common_ones(tmp_path: Path) -> None:
    encoders = {"a": "x", "b": {"encoder": "y", "training": {"fit": {"steps": 9}}}}
    study = load_study(
        write(tmp_path, encoders=encoders, training={"max_length": 24, "fit": {"steps": 5}})
    )
    found = {name: study.train_config(name, 0) for name in "ab"}
    assert [found[name].fit.steps for name in "ab"] == [5, 9]
    assert {settings.max_length for settings in found.values()} == {24}


def test_single_task_models_may_be_trained_otherwise(tmp_path: Path) -> None:
    single = {"training": {"fit": {"steps": 2}}}
    study = load_study(write(tmp_path, training={"fit": {"steps": 10}}, single_task=single))
    found = [study.train_config("small", 0, single_task=single) for single in (False, True)]
    assert [settings.fit.steps for settings in found] == [10, 2]
    said = refused(tmp_path, single_task={"training": {"fit": {"stepps": 2}}})
    assert "single_task.training.fit.stepps: unknown key; did you mean 'steps'?" in said
    said = refused(tmp_path, single_task={"training": {"data": "other"}})
    assert "single_task.training.data: the study itself decides this" in said


def test_a_recipe_runs_on_the_studys_data_and_to_the_end(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            recipes={"distilmbert": None},
            evaluation={"max_rows": 9},
            training={"validation": {"rows": 7}},
            seeds=[5],
        )
    )
    recipe = study.recipe("distilmbert", "small", 5)
    assert (recipe.data, recipe.seed, recipe.evaluation.max_rows) == ("sample", 5, 9)
    assert recipe.validation == study.train_config("small", 5).validation
    assert recipe.validation.rows == 7
    assert recipe.guard is not None
    assert (recipe.guard.on_violation, recipe.guard.average) == ("report", 3.0)


def test_paths_are_found_beside_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\n")
    (tmp_path / "mine.yaml").write_text("name: mine\npasses: [quantize]\n")
    recipes = {"own": {"recipe": "mine.yaml"}}
    study = load_study(write(tmp_path, data="rows.csv", recipes=recipes))
    assert study.data == str(tmp_path / "rows.csv")
    assert study.recipe("own", "small", 0).name == "own"


def test_neither_a_file_nor_a_name() -> None:
    with pytest.raises(ConfigError, match=r"neither a study file \(.yaml\) nor a study that ships"):
        load_study("nothing")


def test_every_key_has_its_meaning() -> None:
    sections = [StudyConfig, *module._Section.__subclasses__(), *module._Scope.__subclasses__()]
    assert len(sections) >= 8
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no docstring"
