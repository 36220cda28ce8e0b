"""Training end to end on a few rows, with interruptions of both kinds."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from xmpress.data import load_dataset
from xmpress.errors import ConfigError, TrainingError, UsageError
from xmpress.modeling import load_model
from xmpress.modeling.model import fingerprint
from xmpress.tasks import TaskSet
from xmpress.training import TrainConfig, train
from xmpress.training.monitor import Monitor
from xmpress.training.train import spread

MOODS = {"good": ["lovely", "perfect", "friendly"], "bad": ["broken", "rude", "late"]}


@pytest.fixture
def config_file(tmp_path: Path, tiny_tokenizer_file: Path) -> Path:
    rows = [
        {"text": f"{word} {thing}", "lang": lang, "mood": mood, "split": split}
        for mood, words in MOODS.items()
        for word in words
        for lang in ("en", "fr")
        for i, thing in enumerate(("room", "train", "desk", "line", "shop", "meal", "call", "app"))
        for split in (["train", "train", "train", "validation"][i % 4],)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    config = {
        "data": str(data),
        "tasks": [{"name": "mood", "kind": "single_label", "labels": ["good", "bad"]}],
        "encoder": {
            "model_type": "bert",
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        },
        "tokenizer": str(tiny_tokenizer_file.parent),
        "max_length": 16,
        "fit": {
            "steps": 24,
            "batch_tokens": 128,
            "learning_rate": 5e-3,
            "evaluate_every": 8,
            "checkpoint_every": 5,
        },
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def weights(path: Path) -> str:
    return fingerprint(load_model(path).model)


def test_it_learns_and_writes_a_complete_model_directory(config_file, tmp_path):
    result = train(TrainConfig.load(config_file), tmp_path / "model", quiet=True)
    assert result.scorecard.average > 0.9
    files = {path.name for path in result.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= files
    lock = yaml.safe_load((result.path / "recipe.lock.yaml").read_text())
    assert lock["train"]["fit"]["steps"] == 24
    assert lock["data"][str(tmp_path / "rows.jsonl")]
    assert not (tmp_path / "model.checkpoints").exists()
    assert load_model(result.path).calibration["mood"].temperature != 1.0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(config_file, tmp_path):
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        train(TrainConfig.load(config_file, [f"fit.seed={seed}"]), tmp_path / name, quiet=True)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_after_ctrl_c_a_resumed_training_ends_as_if_nothing_had_happened(
    config_file, tmp_path, monkeypatch
):
    config = TrainConfig.load(config_file)
    train(config, tmp_path / "whole", quiet=True)

    step = Monitor.step

    def interrupt(self, number, **numbers):
        step(self, number, **numbers)
        if number == 11:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "resumed", quiet=True)
    assert not (tmp_path / "resumed").exists()
    with pytest.raises(UsageError, match="--resume"):
        train(config, tmp_path / "resumed", quiet=True)

    resumed = train(config, tmp_path / "resumed", resume=True, quiet=True)
    assert resumed.steps == 24
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


def test_after_sigkill_a_resumed_training_ends_as_if_nothing_had_happened(config_file, tmp_path):
    settings = ["fit.steps=400", "fit.checkpoint_every=10", "fit.evaluate_every=100"]
    config = TrainConfig.load(config_file, settings)
    train(config, tmp_path / "whole", quiet=True)

    code = (
        "import sys; from xmpress.training import TrainConfig, train\n"
        "train(TrainConfig.load(sys.argv[1], sys.argv[3:]), sys.argv[2], quiet=True)"
    )
    command = [sys.executable, "-c", code, str(config_file), str(tmp_path / "killed"), *settings]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed.checkpoints").glob("step-*")):
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed").exists()

    train(config, tmp_path / "killed", resume=True, quiet=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_checkpoint_of_another_training_is_refused(config_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Monitor, "evaluated", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train(TrainConfig.load(config_file), tmp_path / "model", quiet=True)
    with pytest.raises(TrainingError, match="another configuration"):
        train(
            TrainConfig.load(config_file, ["fit.learning_rate=1e-3"]),
            tmp_path / "model",
            resume=True,
            quiet=True,
        )


def test_training_stops_early_when_validation_does_not_improve(config_file, tmp_path):
    config = TrainConfig.load(
        config_file, ["fit.steps=5000", "fit.evaluate_every=10", "fit.patience=2"]
    )
    result = train(config, tmp_path / "model", quiet=True)
    assert result.steps < 1000
    assert result.best_step == result.steps - 20


def test_accumulated_batches_make_one_step(config_file, tmp_path):
    config = TrainConfig.load(config_file, ["fit.accumulate=3"])
    assert train(config, tmp_path / "model", quiet=True).steps == 24


def test_a_diverging_loss_is_an_error_with_a_remedy(config_file, tmp_path):
    config = TrainConfig.load(config_file, ["fit.learning_rate=1e30", "fit.warmup=0"])
    with pytest.raises(TrainingError, match=r"learning_rate"):
        train(config, tmp_path / "model", quiet=True)
    assert not (tmp_path / "model").exists()


def test_an_existing_model_is_not_overwritten_by_accident(config_file, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").touch()
    with pytest.raises(UsageError, match="--overwrite"):
        train(TrainConfig.load(config_file), tmp_path / "model", quiet=True)
    assert (tmp_path / "model" / "precious").exists()


def test_every_problem_of_a_config_is_reported_at_once(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("dta: x\nencoder: y\nfit: {step: 3, learning_rate: -1}\n")
    with pytest.raises(ConfigError) as caught:
        TrainConfig.load(path)
    message = str(caught.value)
    assert "dta: unknown key; did you mean 'data'?" in message
    assert "fit.step: unknown key; did you mean 'steps'?" in message
    assert "fit.learning_rate" in message
    assert "data: Field required" in message


def test_rows_are_spread_by_the_weights_of_their_sources():
    dataset = load_dataset("sample", TaskSet.load("experience"), split="train")
    names = ["much" if row % 2 else "little" for row in range(len(dataset))]
    dataset = replace(dataset, sources=names, weights={"much": 3.0})
    sources = spread(dataset, 400, seed=0).sources
    assert 2.5 < sources.count("much") / sources.count("little") < 3.5
    assert len(spread(dataset, 10**6, seed=0)) == len(dataset)


def test_languages_can_be_left_out(config_file, tmp_path):
    config = TrainConfig.load(config_file, ["only_languages=[fr]", "fit.steps=2"])
    result = train(config, tmp_path / "model", quiet=True)
    assert load_model(result.path).model.config.languages == ["fr"]
    assert result.scorecard.languages == ("fr",)  # nor do the others choose the best step


def test_a_language_without_rows_is_named(config_file, tmp_path):
    config = TrainConfig.load(config_file, ["only_languages=[fr, xx]"])
    with pytest.raises(TrainingError, match=r"of the language xx; the data has en, fr"):
        train(config, tmp_path / "model", quiet=True)


def test_one_process_may_train_in_several_precisions(config_file, tmp_path):
    for precision in ("bf16", "no"):
        config = TrainConfig.load(config_file, [f"fit.precision='{precision}'", "fit.steps=1"])
        train(config, tmp_path / precision, quiet=True)
        assert (tmp_path / precision / "model.safetensors").is_file()


def test_the_tasks_are_those_that_the_data_config_names_unless_told_otherwise(
    config_file, tmp_path
):
    content = yaml.safe_load(config_file.read_text())
    tasks, data = tmp_path / "tasks.yaml", tmp_path / "data.yaml"
    tasks.write_text(yaml.safe_dump({"tasks": content.pop("tasks")}))
    sources = {"a": {"path": content["data"]}}
    data.write_text(yaml.safe_dump({"tasks": str(tasks), "root": "/", "sources": sources}))
    content["fit"] |= {"steps": 2}
    config_file.write_text(yaml.safe_dump(content | {"data": str(data)}))
    result = train(TrainConfig.load(config_file), tmp_path / "model", quiet=True)
    assert load_model(result.path).tasks == TaskSet.load(tasks)
    # What was trained is on record, and the same as if it had been named.
    lock = yaml.safe_load((result.path / "recipe.lock.yaml").read_text())
    assert lock["train"]["tasks"] == str(tasks)
    with pytest.raises(ConfigError, match="has labels of mood"):
        train(TrainConfig.load(config_file, tasks="experience"), tmp_path / "b", quiet=True)
    # Plain data names no tasks.
    assert TrainConfig.load(config_file, data="sample").with_tasks().tasks == "experience"
