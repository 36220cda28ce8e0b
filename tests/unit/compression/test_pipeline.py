import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from xmpress.compression import (
    CompressionResult,
    Finding,
    Judgement,
    Recipe,
    Verdict,
    compress,
    pipeline,
)
from xmpress.compression.distillation import Distill
from xmpress.compression.quantization import Quantize
from xmpress.data import Dataset
from xmpress.errors import (
    ConfigError,
    DataError,
    GuardError,
    ModelError,
    RecipeError,
    UsageError,
)
from xmpress.modeling import load_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle

QUANTIZE = """
name: only
passes: [quantize: {checked_rows: 20}]
"""
DISTILL = """
name: tiny
student: {layers: 1}
passes:
  - distill: {steps: 4, batch_tokens: 512, learning_rate: 1.0e-3}
  - quantize: {checked_rows: 20}
"""


def recipe(text: str = DISTILL, **keys: object) -> Recipe:
    return Recipe.from_yaml(text + (yaml.safe_dump(keys) if keys else ""))


def run(recipe: Recipe, model: Path, out: Path, **options: object) -> CompressionResult:
    return compress(recipe, model=model, out=out, quiet=True, **options)  # type: ignore[arg-type]


@pytest.fixture
def quick_export(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another bundle in place of the student's, where only the course of things matters."""

    def copy(model: Path, out: Path, name: str) -> Path:
        return Path(shutil.copytree(tiny_bundle, out))

    monkeypatch.setattr("xmpress.compression.quantization.quantize.export_bundle", copy)


@pytest.fixture(scope="module")
def finished(
    tiny_model_dir: Path, labelled_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CompressionResult]:
    out = tmp_path_factory.mktemp("compressed") / "out"
    guarded = recipe(data=str(labelled_data), guard={"average": 100, "worst_task": 100})
    return out, run(guarded, tiny_model_dir, out)


def test_the_result_is_a_model_directory_and_a_bundle(
    finished: tuple[Path, CompressionResult],
) -> None:
    out, result = finished
    assert result.model == out / "model"
    assert load_model(out / "model").model.config.encoder_config.num_hidden_layers == 1
    analysis = Analyzer(result.bundle).analyze("the queue was great")[0]
    assert analysis["sentiment"].label
    manifest = Bundle.open(result.bundle).manifest
    assert manifest.name == "tiny"
    assert manifest.quantization is not None
    assert manifest.scorecard is not None
    assert manifest.scorecard["average"] == result.comparison.candidate.average  # type: ignore[union-attr]
    assert manifest.calibration == load_model(out / "model").calibration
    assert not (out / "work").exists()
    assert not list(out.rglob(".*"))


def test_the_report_tells_what_each_pass_cost(finished: tuple[Path, CompressionResult]) -> None:
    out, result = finished
    report = json.loads((out / "report.json").read_text())
    assert report == result.report
    distill, quantize = report["passes"]
    assert (distill["pass"], quantize["pass"]) == ("distill", "quantize")
    assert distill["params"]["steps"] == 4
    assert distill["details"]["steps"] == 4
    assert distill["scorecard"]["after"] == quantize["scorecard"]["before"]
    assert distill["bytes"]["after"] == quantize["bytes"]["before"]
    for entry in (distill, quantize):
        assert entry["seconds"] > 0
        assert entry["guard"]["verdict"] == "kept"
        assert set(entry["comparison"]["tasks"]) == {"sentiment", "emotion", "intensity"}
    assert result.verdict is Verdict.KEPT


def test_a_lock_file_lies_beside_everything(finished: tuple[Path, CompressionResult]) -> None:
    out, _ = finished
    for folder in ("", "model", "bundle", "passes/01-distill", "passes/02-quantize"):
        lock = yaml.safe_load((out / folder / "recipe.lock.yaml").read_text())
        assert lock["recipe"]["name"] == "tiny"
        assert lock["seeds"] == [0]
        assert lock["data"]
        assert "onnxruntime" in lock["versions"]


@pytest.mark.usefixtures("quick_export")
def test_nothing_is_run_again_unless_its_inputs_changed(
    tiny_model_dir: Path, labelled_data: Path, finished: tuple[Path, CompressionResult]
) -> None:
    out, first = finished
    before = (out / "passes/02-quantize/xmpress.json").read_bytes()
    same = recipe(data=str(labelled_data), guard={"average": 99})
    again = run(same, tiny_model_dir, out)
    assert [entry["skipped"] for entry in again.report["passes"]] == [True, True]
    assert again.report["passes"][0]["seconds"] == first.report["passes"][0]["seconds"]
    assert (out / "passes/02-quantize/xmpress.json").read_bytes() == before
    changed = recipe(
        DISTILL.replace("{checked_rows", "{embedding: fp32, checked_rows"), data=same.data
    )
    third = run(changed, tiny_model_dir, out)
    assert [entry["skipped"] for entry in third.report["passes"]] == [True, False]


@pytest.mark.usefixtures("quick_export")
def test_the_recipe_says_how_many_rows_choose_and_calibrate(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def spread(dataset: Dataset, rows: int, *, seed: int) -> Dataset:
        drawn.append(rows)
        return dataset.take(slice(0, rows))

    monkeypatch.setattr("xmpress.compression.distillation.distill.spread", spread)
    told = recipe(data=str(labelled_data), validation={"rows": 5, "calibration_rows": 9})
    run(told, tiny_model_dir, tmp_path / "out")
    assert drawn == [5, 9]
    other = recipe(data=str(labelled_data), validation={"rows": 5, "calibration_rows": 8})
    again = run(other, tiny_model_dir, tmp_path / "out")
    assert [entry["skipped"] for entry in again.report["passes"]] == [False, False]
    assert drawn[2:] == [5, 8]


def test_what_is_told_of_rows_held_out_changes_with_them(
    tiny_bundle: Path, labelled_data: Path, tmp_path: Path
) -> None:
    for rows in (10, 12):
        given = recipe(QUANTIZE, data=str(labelled_data), evaluation={"max_rows": rows})
        (entry,) = run(given, tiny_bundle, tmp_path).report["passes"]
        assert not entry["skipped"]
        assert entry["details"]["checked"]["rows"] <= rows
    assert run(given, tiny_bundle, tmp_path).report["passes"][0]["skipped"]


@pytest.mark.usefixtures("quick_export")
def test_another_encoder_at_the_same_place_makes_another_student(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_model_dir, encoder)
    text = DISTILL.replace("{layers: 1}", f"{{encoder: '{encoder}'}}")
    for number in range(2):
        (encoder / "notes.json").write_text(str(number))
        result = run(recipe(text, data=str(labelled_data)), tiny_model_dir, tmp_path / "out")
        assert not result.report["passes"][0]["skipped"]


def test_an_altered_artefact_is_made_again(tiny_bundle: Path, tmp_path: Path) -> None:
    only = recipe(QUANTIZE)
    run(only, tiny_bundle, tmp_path)
    (tmp_path / "passes/01-quantize/tokenizer.json").write_text("{}")
    again = run(only, tiny_bundle, tmp_path)
    assert not again.report["passes"][0]["skipped"]
    assert Analyzer(again.bundle).analyze("fine")


def test_without_data_nothing_is_scored(tiny_bundle: Path, tmp_path: Path) -> None:
    result = compress(
        "int8-only",
        model=tiny_bundle,
        out=tmp_path,
        overrides=["passes.quantize.checked_rows=20"],
        quiet=True,
    )
    (entry,) = result.report["passes"]
    assert "scorecard" not in entry
    assert (result.comparison, result.verdict, result.model) == (None, None, None)
    assert entry["bytes"]["after"] < entry["bytes"]["before"]
    assert not (tmp_path / "model").exists()


def test_a_chain_without_a_bundle_ends_with_an_export_and_the_same_seed_gives_the_same_student(
    tiny_model_dir: Path,
    labelled_data: Path,
    finished: tuple[Path, CompressionResult],
    tmp_path: Path,
) -> None:
    alone = recipe(
        DISTILL.replace("  - quantize: {checked_rows: 20}\n", ""), data=str(labelled_data)
    )
    result = run(alone, tiny_model_dir, tmp_path)
    assert [entry["pass"] for entry in result.report["passes"]] == ["distill", "export"]
    assert Bundle.open(result.bundle).manifest.quantization is None
    students = [folder / "model/model.safetensors" for folder in (finished[0], tmp_path)]
    assert students[0].read_bytes() == students[1].read_bytes()


def test_a_broken_guard_stops_and_leaves_the_report_but_no_result(
    tiny_bundle: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guarded(**guard: object) -> Recipe:
        return recipe(QUANTIZE, data=str(labelled_data), guard=guard)

    out = tmp_path / "out"
    run(guarded(average=100), tiny_bundle, out)
    monkeypatch.setattr("xmpress.compression.guard._verdict", lambda *interval: Verdict.BROKEN)
    with pytest.raises(GuardError, match=r"after quantize .*broken(.|\n)*worst_task") as caught:
        run(guarded(worst_task=1), tiny_bundle, out)
    assert caught.value.exit_code == 3
    assert not (out / "bundle").exists()
    report = json.loads((out / "report.json").read_text())
    assert [entry["guard"]["verdict"] for entry in report["passes"]] == ["broken"]
    said: list[str] = []
    result = run(guarded(worst_task=1, on_violation="report"), tiny_bundle, out, say=said.append)
    assert result.verdict is Verdict.BROKEN
    assert result.bundle.is_dir()
    assert any("broken" in line for line in said)


def test_where_the_guard_is_broken_gentler_settings_are_tried_in_order(
    tiny_bundle: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = "checked_rows: 20, embedding: int4, fallback: [{embedding: int8}, {embedding: fp32}]"
    given = Recipe.from_yaml(
        f"name: gentle\ndata: {labelled_data}\nguard: {{average: 1}}\n"
        f"passes: [quantize: {{{settings}}}]"
    )
    verdicts = [Verdict.BROKEN, Verdict.UNDECIDED]
    monkeypatch.setattr(pipeline, "judge", judged(verdicts))
    result = run(given, tiny_bundle, tmp_path / "out")
    (entry,) = result.report["passes"]
    assert entry["params"]["embedding"] == "int8"
    assert [a["params"]["embedding"] for a in entry["attempts"]] == ["int4", "int8"]
    assert [a["verdict"] for a in entry["attempts"]] == ["broken", "undecided"]
    assert "average" in entry["attempts"][0]["broken"][0]
    assert result.verdict is Verdict.UNDECIDED
    quantization = Bundle.open(result.bundle).manifest.quantization or {}
    assert quantization["embedding"] == "int8, per row"
    monkeypatch.setattr(pipeline, "judge", judged(verdicts))
    again = run(given, tiny_bundle, tmp_path / "out")
    assert [a["skipped"] for a in again.report["passes"][0]["attempts"]] == [True, True]

    verdicts[:] = [Verdict.BROKEN]
    monkeypatch.setattr(pipeline, "judge", judged(verdicts))
    with pytest.raises(GuardError, match="after quantize the guard"):
        run(given, tiny_bundle, tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())
    attempts = report["passes"][0]["attempts"]
    assert [a["params"]["embedding"] for a in attempts] == ["int4", "int8", "fp32"]


def test_what_an_earlier_pass_broke_no_gentler_setting_of_a_later_one_is_tried_for(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Recipe.from_yaml(
        f"name: late\ndata: {labelled_data}\nguard: {{average: 1, on_violation: report}}\n"
        "passes:\n  - factorise_embedding: {rank: 4}\n"
        "  - quantize: {checked_rows: 20, embedding: int4, fallback: {embedding: fp32}}"
    )
    monkeypatch.setattr(pipeline, "judge", judged([Verdict.BROKEN]))
    result = run(given, tiny_model_dir, tmp_path / "out")
    entry = result.report["passes"][-1]
    assert entry["params"]["embedding"] == "int4"
    assert "attempts" not in entry


def judged(verdicts: list[Verdict]) -> Callable[..., Judgement]:
    """In place of `judge`: these verdicts in turn, the last one for ever."""
    left = iter([*verdicts, *verdicts[-1:] * 10])

    def judge(guard: object, comparison: object, shares: object) -> Judgement:
        return Judgement((Finding("average", "average", 1.0, 2.0, 1.5, 2.5, next(left)),))

    return judge


@pytest.mark.usefixtures("quick_export")
def test_an_interrupted_pass_leaves_nothing_half_written_and_goes_on(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Quantize.run
    calls = {"distill": 0}
    distill = Distill.run

    def counted(self, context, target):  # type: ignore[no-untyped-def]
        calls["distill"] += 1
        return distill(self, context, target)

    def interrupted(self, context, target):  # type: ignore[no-untyped-def]
        (target / "xmpress.json").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Distill, "run", counted)
    monkeypatch.setattr(Quantize, "run", interrupted)
    out = tmp_path / "out"
    given = recipe(data=str(labelled_data))
    with pytest.raises(KeyboardInterrupt):
        run(given, tiny_model_dir, out)
    assert {path.name for path in (out / "passes").iterdir()} == {"01-distill", "01-distill.json"}
    assert not (out / "bundle").exists()
    monkeypatch.setattr(Quantize, "run", real)
    assert run(given, tiny_model_dir, out).bundle.is_dir()
    assert calls["distill"] == 1


def test_wrong_calls_fail_before_anything_is_made(
    tiny_model_dir: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="names no model"):
        compress(recipe(), out=out)
    with pytest.raises(ModelError, match="no model"):
        compress(recipe(), model=tmp_path / "none", out=out)
    with pytest.raises(RecipeError, match=r"distill of recipe 'tiny' needs data"):
        compress(recipe(), model=tiny_model_dir, out=out)
    with pytest.raises(RecipeError, match="distill needs a model"):
        compress(recipe(data="x.csv"), model=tiny_bundle, out=out)
    with pytest.raises(RecipeError, match="the guard"):
        compress("int8-only", model=tiny_bundle, out=out, overrides=["guard.average=1"])
    with pytest.raises(RecipeError, match="describes a student, but no pass makes it"):
        run(recipe(QUANTIZE, student={"layers": 1}), tiny_model_dir, out)
    with pytest.raises(UsageError, match="overrides"):
        compress(recipe(), model=tiny_model_dir, out=out, overrides=["seed=1"])
    assert not out.exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot make folder"):
        compress("int8-only", model=tiny_bundle, out=tmp_path / "file")


@pytest.mark.parametrize("guarded", [{}, {"guard": {"average": 5}}])
def test_data_without_test_rows_is_refused_before_anything_is_made(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path, guarded: dict[str, object]
) -> None:
    rows = [json.loads(line) for line in labelled_data.read_text().splitlines()]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows if row["split"] == "train"))
    with pytest.raises(DataError, match=r"no labelled rows of the split 'test'.*evaluation\.split"):
        run(recipe(data=str(path), **guarded), tiny_model_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_of_other_tasks_is_refused_before_anything_is_made(
    tiny_model_dir: Path, labelled_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text("tasks: [{name: stay, kind: single_label, labels: [a, b]}]")
    data = tmp_path / "data.yaml"
    sources = {"a": {"path": str(labelled_data)}}
    data.write_text(yaml.safe_dump({"tasks": str(tmp_path / "t.yaml"), "sources": sources}))
    with pytest.raises(ConfigError, match="has labels of stay"):
        run(recipe(data=str(data)), tiny_model_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()
