"""Tiny studies from the file to the results: kills, missing labels, failures, what changes what."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xmpress.data.files import locked
from xmpress.errors import ConfigError, DataError, StudyError, UsageError
from xmpress.study import StudyConfig, StudyResults, run_study
from xmpress.study.plan import Plan, make_plan
from xmpress.study.rows import Rows
from xmpress.study.steps import Workshop
from xmpress.training.monitor import Monitor

GOOD, BAD = ("great", "lovely", "perfect"), ("awful", "slow", "broken")
LANGS = ("en", "fr", "ja")


def rows(langs: tuple[str, ...] = LANGS, count: int = 20) -> list[dict[str, Any]]:
    """For each language so many easy rows of two tasks, parallel over the languages."""
    rng = random.Random(0)
    found = []
    for i in range(count):
        good = rng.random() < 0.5
        text = " ".join([*rng.choices(GOOD if good else BAD, k=2), rng.choice(("app", "queue"))])
        found += [
            {
                "id": f"{lang}-{i}",
                "text": f"{text} {lang} {i}",
                "lang": lang,
                "split": ("train", "train", "validation", "test", "test")[i % 5],
                "sentiment": "positive" if good else "negative",
                "intensity": "low" if i % 3 else "high",
            }
            for lang in langs
        ]
    return found


@pytest.fixture
def make(tmp_path: Path, tiny_tokenizer_file: Path) -> Callable[..., StudyConfig]:
    """A study of tiny models on these rows."""

    def study(content: list[dict[str, Any]] | None = None, **keys: Any) -> StudyConfig:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, rows() if content is None else content)))
        settings = {
            "name": "tiny",
            "data": str(path),
            "encoders": {
                "small": {
                    "model_type": "bert",
                    "num_hidden_layers": 1,
                    "hidden_size": 16,
                    "num_attention_heads": 2,
                    "intermediate_size": 16,
                }
            },
            "training": {
                "tokenizer": str(tiny_tokenizer_file.parent),
                "max_length": 16,
                "fit": {
                    "steps": 4,
                    "batch_tokens": 256,
                    "learning_rate": 1e-2,
                    "evaluate_every": 4,
                    "checkpoint_every": 1,
                },
            },
            "evaluation": {"resamples": 10, "parallel": str(path)},
        }
        return StudyConfig.model_validate({**settings, **keys})

    return study


def planned(study: StudyConfig, folder: Path) -> Plan:
    found = Rows(study)
    return make_plan(study, found, Workshop(found, folder, lambda line: None, True))


def without_times(directory: Path) -> dict[str, Any]:
    """The results without what differs from run to run, and from folder to folder."""
    text = (directory / "results.json").read_text().replace(str(directory), "DIR")
    content = json.loads(text)
    del content["created"]
    for model in content["models"]:
        del model["seconds"]
    return content  # type: ignore[no-any-return]


# ---- what depends on what -------------------------------------------------------------------


FULL: dict[str, Any] = {
    "single_task": {},
    "zero_shot": {"leave_out": ["fr"]},
    "recipes": {"int8-only": {}, "distill-int8": {}},
    "baselines": ["majority"],
    "speed": {},
    "cost": {},
}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"title": "Another"}, set()),
        ({"cost": {"rate": 7}}, {"cost"}),
        ({"speed": {"rounds": 2}}, {"speed", "cost"}),
        ({"evaluation": {"resamples": 11}}, {"compare"}),
        (
            {"training": {"fit": {"steps": 3}}},
            {"train", "compress", "export", "evaluate", "compare", "speed", "cost"},
        ),
    ],
    ids=["title", "rate", "rounds", "resamples", "training"],
)
def test_a_change_of_the_study_changes_what_depends_on_it(
    make: Callable[..., StudyConfig], tmp_path: Path, change: dict[str, Any], kinds: set[str]
) -> None:
    study = make(**FULL)
    graph = planned(study, tmp_path).graph
    before = graph.hashes()
    assert planned(make(**FULL), tmp_path).graph.hashes() == before
    content = study.model_dump()
    merged = {k: {**content[k], **v} if isinstance(v, dict) else v for k, v in change.items()}
    if "training" in change:
        merged["training"]["fit"] = {**content["training"]["fit"], "steps": 3}
    after = planned(StudyConfig.model_validate({**content, **merged}), tmp_path).graph.hashes()
    changed = {name for name in before if before[name] != after[name]}
    expected = {step.name for step in graph if step.kind in kinds} - {"evaluate-majority"}
    assert changed == expected


def test_a_recipes_settings_reach_only_its_models(
    make: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    study = make(**FULL)
    graph = planned(study, tmp_path).graph
    recipes = {**FULL["recipes"], "distill-int8": {"set": ["passes.distill.epochs=1"]}}
    after = planned(make(**{**FULL, "recipes": recipes}), tmp_path).graph.hashes()
    changed = {name for name, value in graph.hashes().items() if after[name] != value}
    step = "compress-small-distill-int8-seed0"
    assert changed == {step, *graph.dependants(step)}
    assert "speed-cpu" in changed
    assert not any("int8-only" in name for name in changed)


def test_models_of_a_plan(make: Callable[..., StudyConfig], tmp_path: Path) -> None:
    plan = planned(make(**FULL, seeds=[1, 2]), tmp_path)
    ids = [model.id for model in plan.models if model.seed == 1]
    assert ids == [
        "small/multi-task/seed1",
        "small/sentiment/seed1",
        "small/intensity/seed1",
        "small/int8-only/int8/seed1",  # nothing but quantization: no model before it
        "small/distill-int8/fp32/seed1",
        "small/distill-int8/int8/seed1",
        "small/without-fr/seed1",
        "majority",
    ]
    assert len(plan.models) == 2 * (len(ids) - 1) + 1
    trained = [step.name for step in plan.graph if step.kind == "train"]
    assert len(trained) == 2 * 4  # the teacher of both recipes once
    left_out = next(model for model in plan.models if model.role == "zero_shot")
    assert left_out.languages == ["en", "ja"]


# ---- end to end -----------------------------------------------------------------------------


def test_results_of_a_study(make: Callable[..., StudyConfig], tmp_path: Path) -> None:
    study = make(single_task={"tasks": ["sentiment"]}, zero_shot={"only": ["en"]})
    out = tmp_path / "out"
    boards: list[Any] = []
    found = run_study(study, out, quiet=True, watch=boards.append)
    found.check()
    results = StudyResults.read(out)
    assert results.model_dump(mode="json") == found.results.model_dump(mode="json")
    assert results.complete
    multi, single, english = results.models
    assert (multi.role, single.role, english.role) == ("multi_task", "single_task", "zero_shot")
    assert english.trained_languages == ["en"]
    assert single.reference == english.reference == multi.id
    comparison = single.compared()
    assert comparison is not None
    assert (comparison.reference.model, comparison.candidate.model) == (multi.id, single.id)
    assert list(comparison.tasks) == ["sentiment"]
    card = multi.card()
    assert card is not None
    assert card.languages == LANGS
    assert multi.calibration == {task: card.task(task, "ece") for task in card.tasks}
    assert multi.consistency is not None
    assert multi.consistency["sentiment"].items == 8
    assert multi.path is not None
    assert (out / multi.path / "model.safetensors").is_file()
    assert multi.parameters
    assert multi.bytes
    assert results.data.rows["test"] == dict.fromkeys(LANGS, 8)
    assert results.tasks[0].name == "sentiment"
    reasons = [f"{m.question}: {m.reason}" for m in results.missing]
    assert "compression: The study compresses nothing (recipes)." in reasons
    assert "cost: The study measures no speed (speed)." in reasons
    assert boards[-1][0].done == 3
    # Once more: nothing is left to do, and nothing is done.
    before = without_times(out)
    boards.clear()
    run_study(study, out, resume=True, quiet=True, watch=boards.append)
    assert without_times(out) == before
    assert len(boards) == 1


RECIPE = """
name: half
student: {layers: 1}
passes:
  - distill: {steps: 2, batch_tokens: 256}
  - quantize: {checked_rows: 8}
guard: {average: 90, on_violation: stop}
"""


def test_a_recipe_gives_a_model_and_its_bundle(
    make: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    (tmp_path / "half.yaml").write_text(RECIPE)
    study = make(recipes={"half": {"recipe": str(tmp_path / "half.yaml"), "title": "Half"}})
    out = tmp_path / "out"
    found = run_study(study, out, quiet=True)
    found.check()
    multi, *compressed = found.results.models
    assert [model.variant for model in compressed] == ["fp32", "int8"]
    assert [model.name for model in compressed] == ["small Half fp32", "small Half int8"]
    for model, file in zip(compressed, ("model.safetensors", "onnx/model.onnx"), strict=True):
        assert model.path is not None
        assert (out / model.path / file).is_file()
        assert model.reference == multi.id
        assert model.comparison is not None
        assert model.bytes
        assert model.parameters
        assert model.command is not None
        assert f"{multi.path} -o DIR" in model.command
    fp32, int8 = compressed
    assert (fp32.verdict, int8.verdict) == (None, "undecided")  # too few rows to judge
    assert not list(out.glob("steps/*/passes"))


class Killed(BaseException):
    """Nothing in the package knows it, as nothing knows a kill."""


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_and_resumed_it_gives_the_same(
    make: Callable[..., StudyConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    study = make(single_task={"tasks": ["sentiment"]})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    moments = 0
    at: set[int] = set()

    def moment(*args: Any, **kwargs: Any) -> None:
        nonlocal moments
        moments += 1
        if moments in at:
            raise Killed

    step = Monitor.step

    def spied(self: Monitor, *args: Any, **kwargs: Any) -> None:
        moment()
        step(self, *args, **kwargs)

    # Within trainings, after each optimizer step, and between a step's end and the next.
    monkeypatch.setattr(Monitor, "step", spied)
    run_study(study, whole, quiet=True, watch=moment)
    at = set(random.Random(seed).sample(range(1, moments + 1), 3))
    moments, kills = 0, 0
    while True:
        try:
            run_study(study, broken, resume=kills > 0, quiet=True, watch=moment)
            break
        except Killed:
            kills += 1
    assert kills == 3
    assert without_times(broken) == without_times(whole)


def test_one_task_one_language(make: Callable[..., StudyConfig], tmp_path: Path) -> None:
    content = [{k: v for k, v in row.items() if k != "intensity"} for row in rows(("en",), 40)]
    study = make(content, single_task={}, zero_shot={"leave_out": "each"})
    found = run_study(study, tmp_path / "out", quiet=True)
    found.check()
    assert [model.role for model in found.results.models] == ["multi_task"]
    assert [task.name for task in found.results.tasks] == ["sentiment"]
    reasons = [f"{m.question}: {m.reason}" for m in found.results.missing]
    assert any(r.startswith("multi_task: There is one task, sentiment") for r in reasons)
    assert any(r.startswith("multi_task: No training row is labelled for emotion") for r in reasons)
    assert any(r.startswith("zero_shot: The test rows are of one language, en") for r in reasons)
    assert any(r.startswith("consistency: ") for r in reasons)


def test_no_test_labels_in_a_language(make: Callable[..., StudyConfig], tmp_path: Path) -> None:
    content = [row for row in rows() if (row["lang"], row["split"]) != ("ja", "test")]
    for row in content:
        if (row["lang"], row["split"]) == ("fr", "test"):
            row["intensity"] = None
    study = make(content, zero_shot={"leave_out": ["ja"]})
    found = run_study(study, tmp_path / "out", quiet=True)
    found.check()
    assert found.results.languages == ["en", "fr"]
    assert [model.role for model in found.results.models] == ["multi_task"]
    reasons = {f"{m.question}: {m.reason}" for m in found.results.missing}
    assert "languages: No test row is labelled in ja, so nothing is known of it." in reasons
    assert "zero_shot: No test row is labelled in ja, so nothing is known of it." in reasons
    assert "languages: No test row is labelled for intensity in fr." in reasons


def test_a_step_that_fails_is_told_and_the_rest_is_done(
    make: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    small = make().encoders["small"].encoder
    assert isinstance(small, dict)
    study = make(encoders={"bad": {**small, "num_attention_heads": 3}, "good": small})
    found = run_study(study, tmp_path / "out", quiet=True)
    assert [model.id for model in found.results.models] == ["good/multi-task/seed0"]
    assert [failure.step for failure in found.results.failures] == ["train-bad-multi-task-seed0"]
    assert any("bad/multi-task/seed0" in m.reason for m in found.results.missing)
    with pytest.raises(StudyError, match="1 steps of study 'tiny' failed") as caught:
        found.check()
    assert caught.value.exit_code == 1
    assert "train-bad-multi-task-seed0" in str(caught.value)


def test_a_folder_that_is_there_needs_resume(
    make: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="go on with --resume"):
        run_study(make(), tmp_path / "out")
    with pytest.raises(UsageError, match="is no study directory"):
        run_study(make(), tmp_path / "out", resume=True)


def test_two_studies_do_not_write_to_one_folder(
    make: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with (
        locked(tmp_path / "out"),
        pytest.raises(DataError, match="another process writes to"),
    ):
        run_study(make(), tmp_path / "out", resume=True)
    # A study that ended before it wrote anything leaves nothing that would be in the way.
    with pytest.raises(ConfigError, match="zero_shot"):
        run_study(make(zero_shot={"leave_out": ["xx"]}), tmp_path / "out")


def test_data_must_fit(make: Callable[..., StudyConfig], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"zero_shot.leave_out\[0\].*'xx'"):
        run_study(make(zero_shot={"leave_out": ["xx"]}), tmp_path / "a")
    untested = [row for row in rows() if row["split"] != "test"]
    with pytest.raises(DataError, match="has no labelled rows of the split 'test'"):
        run_study(make(untested), tmp_path / "b")
    unlabelled = [{"text": "x", "lang": "en", "split": "train"}]
    with pytest.raises(DataError, match="no training rows that are labelled"):
        run_study(make(unlabelled), tmp_path / "c")
