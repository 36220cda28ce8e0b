"""Several teachers, teachers that run beside the student, and those that cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AlbertModel, AutoModelForMaskedLM, BertModel

from xmpress.compression import Artefact
from xmpress.compression.distillation.states import observe
from xmpress.compression.distillation.teachers import (
    align,
    average,
    open_state_teacher,
    panel,
)
from xmpress.errors import ModelError, RecipeError
from xmpress.modeling import MultiTaskModel
from xmpress.modeling.artefact import copy_tokenizer
from xmpress.tasks import Task, TaskSet
from xmpress.training.masking import IGNORED

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "ok", "good"))
TOPICS = Task(name="topics", kind="multi_label", labels=("price", "staff"))
Models = Callable[..., MultiTaskModel]
Saved = Callable[[Any, str], Path]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_probabilities_are_averaged_at_the_temperature() -> None:
    rng = np.random.default_rng(0)
    for task, squash in ((MOOD, softmax), (TOPICS, sigmoid)):
        logits = [rng.normal(scale=3, size=(5, len(task))).astype(np.float32) for _ in range(3)]
        found = average(task, logits, temperature=2.0)
        expected = np.mean([squash(x.astype(np.float64) / 2) for x in logits], axis=0)
        np.testing.assert_allclose(squash(found / 2.0), expected, rtol=1e-5)
        # A teacher that says the same louder by a constant says the same.
        assert average(task, logits[:1], temperature=2.0) is logits[0]
    extreme = [np.array([[200.0, -200.0]], np.float32), np.array([[-200.0, -200.0]], np.float32)]
    assert np.isfinite(average(TOPICS, extreme, temperature=1.0)).all()


def test_a_panel_has_voices_for_every_task(tiny: Models, saved: Saved, tmp_path: Path) -> None:
    from xmpress.modeling.encoders import EncoderSource, make_model

    experience = TaskSet.load("experience")

    def teacher(name: str, tasks: TaskSet) -> Path:
        encoder = tiny("bert", layers=1).encoder
        return saved(make_model(EncoderSource(encoder, Path(), name), tasks, max_length=64), name)

    a = teacher("a", experience.select(["sentiment", "effort"]))
    b = teacher("b", experience.select(["emotion", "sentiment"]))
    own = Artefact(a)
    found = panel(own, (str(a), str(b)))
    assert found.tasks.names == ("sentiment", "effort", "emotion")
    voices = {name: [v.path for v in who] for name, who in found.voices.items()}
    assert voices == {"sentiment": [a, b], "effort": [a], "emotion": [b]}
    # Tasks nobody was named for stay with the recipe's teacher.
    by_task = panel(own, {"emotion": str(b)})
    assert by_task.tasks.names == found.tasks.names
    assert [v.path for v in by_task.voices["sentiment"]] == [a]
    # A student that is there already keeps its tasks.
    assert panel(own, (str(b),), only=experience.select(["sentiment"])).tasks.names == (
        "sentiment",
    )
    with pytest.raises(RecipeError, match="no teacher predicts the student's task intensity"):
        panel(own, None, only=experience.select(["intensity"]))
    other = TaskSet(tasks=(Task(name="sentiment", kind="single_label", labels=("up", "down")),))
    c = teacher("c", other)
    with pytest.raises(RecipeError, match="other labels for sentiment: up, down"):
        panel(own, (str(c),))


def renumbered(source: Path, target: Path, keep: Callable[[int], bool]) -> Path:
    """A tokenizer without some of the pieces, and other ids for the rest."""
    content = json.loads(source.read_text())
    pieces = {p: i for p, i in content["model"]["vocab"].items() if i < 5 or keep(i)}
    content["model"]["vocab"] = {p: n for n, p in enumerate(sorted(pieces, key=pieces.__getitem__))}
    content["model"]["merges"] = [
        m for m in content["model"]["merges"] if {*m, "".join(m)} <= pieces.keys()
    ]
    target.write_text(json.dumps(content))
    return target


def test_a_trimmed_student_shows_its_tokens_to_the_teacher(
    tiny: Models, saved: Saved, tiny_tokenizer_file: Path, tmp_path: Path
) -> None:
    trimmed = renumbered(tiny_tokenizer_file, tmp_path / "trimmed.json", lambda i: i % 2 == 0)
    ids = align(trimmed, tiny_tokenizer_file, names="hidden")
    assert ids[:8].tolist() == [0, 1, 2, 3, 4, 6, 8, 10]
    same = align(tiny_tokenizer_file, tiny_tokenizer_file, names="hidden")
    assert torch.equal(same, torch.arange(len(same)))
    with pytest.raises(RecipeError, match=r"does not know .* of its .* tokens"):
        align(tiny_tokenizer_file, trimmed, names="hidden")
    path = saved(tiny("bert"), "teacher")
    teacher = open_state_teacher(path, trimmed, names="hidden", max_length=64)
    student_ids = torch.tensor([[2, 6, 7, 3]])
    inputs = {"input_ids": student_ids, "attention_mask": torch.ones_like(student_ids)}
    with torch.no_grad():
        seen = teacher.observe(inputs, frozenset({"hidden"})).hidden[-1]
        inputs["input_ids"] = torch.tensor([[2, 8, 10, 3]])
        direct = observe(teacher.model, inputs, frozenset({"hidden"})).hidden[-1]
    assert torch.equal(seen, direct)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "distilbert", "modernbert", "deberta-v2"])
def test_a_masked_language_model_predicts_the_hidden_tokens_itself(
    kind: str, tiny: Models, tiny_tokenizer_file: Path, tmp_path: Path, padded: dict[str, Any]
) -> None:
    path = tmp_path / "mlm"
    model = AutoModelForMaskedLM.from_config(tiny(kind).config.encoder_config).eval()
    model.save_pretrained(path)
    copy_tokenizer(tiny_tokenizer_file.parent, path)
    teacher = open_state_teacher(path, tiny_tokenizer_file, names="mlm", max_length=64)
    targets = torch.full((2, 7), IGNORED)
    targets[0, 3] = targets[1, 1] = 9
    with torch.no_grad():
        states = teacher.observe(padded, frozenset({"hidden"}), targets)
        whole = model(**padded).logits
    assert states.token_logits is not None
    torch.testing.assert_close(states.token_logits, whole[targets != IGNORED])
    assert states.hidden[-1].shape == (2, 7, 32)


def test_a_plain_encoder_may_show_its_states(
    tiny: Models, tiny_tokenizer_file: Path, tmp_path: Path, padded: dict[str, Any]
) -> None:
    path = tmp_path / "encoder"
    BertModel(tiny("bert").config.encoder_config, add_pooling_layer=False).save_pretrained(path)
    copy_tokenizer(tiny_tokenizer_file.parent, path)
    teacher = open_state_teacher(path, tiny_tokenizer_file, names="relations", max_length=64)
    assert len(teacher.observe(padded, frozenset({"projections"})).projections) == 3
    assert not any(p.requires_grad for p in teacher.model.parameters())
    with pytest.raises(RecipeError, match=r"up to 65 tokens, but .* has 64 positions"):
        open_state_teacher(path, tiny_tokenizer_file, names="relations", max_length=65)
    with pytest.raises(ModelError, match="'none/such' is no directory, and the model hub did not"):
        open_state_teacher("none/such", tiny_tokenizer_file, names="relations", max_length=64)
    (path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json"):
        open_state_teacher(path, tiny_tokenizer_file, names="relations", max_length=64)


def test_a_teacher_stored_in_half_precision_runs_in_full(
    tiny: Models, tiny_tokenizer_file: Path, tmp_path: Path
) -> None:
    config = tiny("bert").config.encoder_config
    for name, model in (
        ("mlm", AutoModelForMaskedLM.from_config(config)),
        ("encoder", BertModel(config, add_pooling_layer=False)),
    ):
        path = tmp_path / name
        model.half().save_pretrained(path)
        copy_tokenizer(tiny_tokenizer_file.parent, path)
        teacher = open_state_teacher(path, tiny_tokenizer_file, names="hidden", max_length=64)
        assert teacher.model.dtype == torch.float32


def test_an_architecture_whose_attention_is_unknown_is_named(padded: dict[str, Any]) -> None:
    # One set of weights for all layers.
    config = AlbertConfig(
        vocab_size=400,
        embedding_size=8,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
    )
    with pytest.raises(ModelError, match="queries, keys and values of a 'albert' encoder cannot"):
        observe(AlbertModel(config), padded, frozenset({"projections"}))
