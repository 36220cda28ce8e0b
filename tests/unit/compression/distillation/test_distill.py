"""The pass, from parameters to the model directory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xmpress.compression import Artefact, Context
from xmpress.compression.distillation import Distill, DistillParams
from xmpress.compression.recipe import StudentSpec
from xmpress.data import load_dataset
from xmpress.errors import ModelError, RecipeError
from xmpress.modeling import MultiTaskModel, load_model, save_model
from xmpress.tasks import TaskSet

QUICK: dict[str, Any] = {"steps": 3, "batch_tokens": 400, "max_rows": 60, "learning_rate": 1e-3}
ONE_LAYER = StudentSpec(layers=1)
OBJECTIVES = ["logits", "relations", "attention", "hidden", "mlm"]
Distilled = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture
def distilled(context: Context, labelled_data: Path, tmp_path: Path) -> Distilled:
    """Runs the pass in a place of its own."""

    def run(
        name: str = "out",
        *,
        student: StudentSpec | None = ONE_LAYER,
        artefact: Path | None = None,
        teacher: Path | None = None,
        say: Callable[[str], None] = lambda line: None,
        **params: Any,
    ) -> tuple[dict[str, Any], Path]:
        work = tmp_path / f"work-{name}"
        work.mkdir(exist_ok=True)
        given = replace(
            context,
            data_name=str(labelled_data),
            student=student,
            say=say,
            workspace=work,
            teacher=Artefact(teacher or context.teacher.path),
            artefact=Artefact(artefact or teacher or context.artefact.path),
        )
        tasks = load_model(given.teacher.path).tasks if given.teacher.kind == "model" else None
        dataset = load_dataset(labelled_data, tasks or TaskSet.load("experience"))
        given = replace(given, dataset=lambda: dataset)
        target = tmp_path / name
        details = Distill(DistillParams(**QUICK | params)).run(given, target)
        return details, target

    return run


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_model(path).model.state_dict()
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_trains_a_student_that_loads_like_any(
    objective: str, distilled: Distilled
) -> None:
    details, path = distilled(objective=objective)
    assert details["steps"] == 3
    assert details["objectives"] == {objective: 1.0}
    model = load_model(path).model  # refuses weights that do not belong to the model
    assert all(torch.isfinite(p).all() for p in model.parameters())
    # What knows no tasks is not validated on them.
    assert bool(details["history"]) == (objective == "logits")


def test_a_student_as_deep_as_its_teacher_is_warned_of(distilled: Distilled) -> None:
    said: list[str] = []
    for layers in (1, 2):
        distilled(f"of-{layers}", student=StudentSpec(layers=layers), say=said.append)
    assert sum(line.startswith("warning: a student of 2 layers") for line in said) == 1


@pytest.mark.parametrize("objective", ["relations", "hidden", "mlm"])
def test_another_width_is_bridged_by_projections_that_are_dropped(
    objective: str, distilled: Distilled
) -> None:
    student = StudentSpec(layers=1, hidden=16, heads=2, init="random")
    _, path = distilled(student=student, objective=objective)
    assert load_model(path).model.config.encoder_config.hidden_size == 16


def test_objectives_are_summed(distilled: Distilled) -> None:
    details, _ = distilled(objectives={"logits": 1.0, "hidden": 0.1, "mlm": 0.5, "attention": 1})
    assert details["objectives"] == {"logits": 1.0, "hidden": 0.1, "mlm": 0.5, "attention": 1.0}
    assert details["history"]


@pytest.mark.parametrize(
    "params",
    [{"objectives": {"logits": 1.0, "hidden": 0.5, "mlm": 0.5}}, {"objective": "relations"}],
)
def test_an_interrupted_training_goes_on_to_the_same_student(
    params: dict[str, Any], distilled: Distilled, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = StudentSpec(layers=1, hidden=16, heads=2, init="random")
    shared = {**params, "student": student, "steps": 6, "checkpoint_every": 2, "evaluate_every": 3}
    _, whole = distilled("whole", **shared)
    from xmpress.compression.distillation.objectives import Distillation

    forward, calls = Distillation.forward, iter(range(100))

    def stop(self: Distillation, *inputs: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, *inputs)

    monkeypatch.setattr(Distillation, "forward", stop)
    with pytest.raises(KeyboardInterrupt):
        distilled("parts", **shared)
    monkeypatch.undo()
    _, parts = distilled("parts", **shared)
    expected, found = weights(whole), weights(parts)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def moved(before: Path, after: Path) -> set[str]:
    """Which weights a training changed."""
    old, new = weights(before), weights(after)
    return {name for name, value in new.items() if not torch.equal(value, old[name])}


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        (["encoder"], {"encoder"}),
        (["heads"], {"heads"}),
        (["embedding", {"layers": 1}], {"encoder.embeddings", "encoder.encoder.layer.0"}),
        (["layers"], {"encoder.encoder.layer"}),
    ],
)
def test_what_is_frozen_does_not_move_and_the_rest_does(
    freeze: list[Any], still: set[str], tiny_model_dir: Path, distilled: Distilled
) -> None:
    # Words that do not occur get no gradient, but weight decay.
    details, path = distilled(student=None, freeze=freeze, steps=4)
    changed = moved(tiny_model_dir, path)
    parts = {
        "heads": "heads",
        "embedding": "encoder.embeddings",
        "0": "encoder.encoder.layer.0",
        "1": "encoder.encoder.layer.1",
    }
    for prefix in parts.values():
        frozen = any(prefix.startswith(name) for name in still)
        assert any(name.startswith(prefix) for name in changed) != frozen, prefix
    trained = sum(
        p.numel()
        for name, p in load_model(path).model.named_parameters()
        if not any(name.startswith(prefix) for prefix in still)
    )
    assert details["parameters_trained"] == trained


def test_freezing_everything_or_too_much_is_refused(distilled: Distilled) -> None:
    with pytest.raises(RecipeError, match="leaves nothing to train"):
        distilled("all", freeze=["encoder", "heads"])
    with pytest.raises(RecipeError, match=r"freeze.layers is 5, the student has 1 layers"):
        distilled("many", freeze=[{"layers": 5}])


def test_a_cached_teacher_is_not_loaded(
    tiny_model_dir: Path, distilled: Distilled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xmpress.compression import outputs
    from xmpress.compression.distillation import distill, teachers

    distilled("first")

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was loaded")

    for module in (outputs, distill, teachers):
        monkeypatch.setattr(module, "load_model", refuse)
    details, _ = distilled("second")
    assert details["steps"] == 3


def test_a_bundle_teaches_logits_only(
    tiny_bundle: Path, distilled: Distilled, tiny_model_dir: Path
) -> None:
    given = {"artefact": tiny_model_dir, "teacher": tiny_bundle}
    assert distilled("logits", **given)[0]["steps"] == 3
    for objective in OBJECTIVES[1:]:
        with pytest.raises(ModelError, match=f"is a bundle, .*{objective} needs the model dir"):
            distilled(objective, objective=objective, **given)


def test_another_tokenizer_is_for_logits_only(
    tiny_model_dir: Path, distilled: Distilled, tmp_path: Path
) -> None:
    from xmpress.modeling.tokenizer import train_tokenizer

    other = tmp_path / "other"
    model = load_model(tiny_model_dir).model
    save_model(other, model, tiny_model_dir)
    train_tokenizer(["a few words to learn a tokenizer from"] * 9, other, vocab_size=300)
    student = StudentSpec(encoder=str(other))
    assert distilled("logits", student=student)[0]["steps"] == 3
    for objective in OBJECTIVES[1:]:
        with pytest.raises(RecipeError, match=r"another tokenizer.*use the objective logits"):
            distilled(objective, student=student, objective=objective)


def single(model_dir: Path, path: Path, *tasks: str, shift: float = 0.0) -> Path:
    """A teacher of some of the tasks."""
    loaded = load_model(model_dir)
    from xmpress.modeling.encoders import EncoderSource, make_model

    source = EncoderSource(loaded.model.encoder, model_dir, "single")
    made: MultiTaskModel = make_model(source, loaded.tasks.select(tasks), max_length=64)
    with torch.no_grad():
        for head in made.heads.values():
            head.bias += shift
    return save_model(path, made, model_dir)


def test_single_task_teachers_make_a_multi_task_student(
    tiny_model_dir: Path, distilled: Distilled, tmp_path: Path
) -> None:
    sentiment = single(tiny_model_dir, tmp_path / "sentiment", "sentiment")
    emotion = single(tiny_model_dir, tmp_path / "emotion", "emotion")
    _, path = distilled(
        "by-task",
        teacher=sentiment,
        teachers={"sentiment": str(sentiment), "emotion": str(emotion)},
    )
    assert load_model(path).tasks.names == ("sentiment", "emotion")
    _, path = distilled("listed", teacher=emotion, teachers=[str(sentiment), str(emotion)])
    assert load_model(path).tasks.names == ("emotion", "sentiment")
    with pytest.raises(RecipeError, match=r"teachers.sentiment is .*, which predicts emotion, not"):
        distilled("wrong", teachers={"sentiment": str(emotion)})


def test_the_pass_is_run_again_when_a_file_it_names_changes(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    transfer = tmp_path / "more.csv"
    transfer.write_text("text\none\n")
    teacher = single(tiny_model_dir, tmp_path / "other", "sentiment")
    step = Distill(DistillParams(transfer=str(transfer), teachers=(str(teacher),)))
    before = step.inputs()
    assert set(before) == {str(transfer), str(teacher)}
    transfer.write_text("text\ntwo\n")
    assert step.inputs()[str(transfer)] != before[str(transfer)]


def test_the_pass_is_run_again_when_a_file_changes_that_its_data_config_names(
    tmp_path: Path,
) -> None:
    texts, config = tmp_path / "more.csv", tmp_path / "more.yaml"
    texts.write_text("text\none\n")
    config.write_text(f"sources: {{more: {{path: '{texts}'}}}}")
    step = Distill(DistillParams(transfer=str(config)))
    before = step.inputs()
    texts.write_text("text\ntwo\n")
    assert step.inputs() != before


def test_what_does_not_go_together_is_refused() -> None:
    for params, message in (
        ({"steps": 1, "epochs": 1}, "not both"),
        ({"objective": "mlm", "objectives": {"mlm": 1.0}}, "not both"),
        ({"objective": "hidden", "temperature": 3}, "temperature is for the objective logits or"),
        ({"relation_heads": 4}, "relation_heads is for the objective relations, not for logits"),
        ({"objectives": {"logits": 0}}, "greater than 0"),
        ({"teachers": []}, "a list of models, or a model for each task"),
        ({"objective": "hidden", "layer_map": "even"}, "'uniform', or a list"),
        ({"freeze": ["body"]}, "a list of embedding, layers"),
    ):
        with pytest.raises(ValueError, match=message):
            DistillParams(**params)  # type: ignore[arg-type]
    assert DistillParams(freeze=["embedding", {"layers": 2}]).freeze[1] == {"layers": 2}  # type: ignore[arg-type]
