"""The verbs that make models: train, export, compress, recipe."""

import sys
from pathlib import Path

import pytest
import yaml

from xmpress import zoo

ROOT = Path(__file__).parents[3]

TEXTS = {
    "en": ("great staff and a lovely room", "the queue was far too long", "the room was a room"),
    "fr": ("merci pour votre accueil", "trop d'attente au guichet", "une chambre ordinaire"),
}
ENCODER = {
    "model_type": "bert",
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture
def config(tmp_path, write_csv):
    """A training of three steps on invented rows."""
    rows = [
        [f"{text} {i}", lang, ["train", "train", "validation", "test"][i % 4], label]
        for i in range(24)
        for lang, texts in TEXTS.items()
        for text, label in zip(texts, ("positive", "negative", "neutral"), strict=True)
    ]
    data = write_csv("labelled.csv", "text,lang,split,sentiment", *rows)
    settings = {
        "data": str(data),
        "only_tasks": ["sentiment"],
        "encoder": ENCODER,
        "vocab_size": 320,
        "max_length": 24,
        "fit": {"steps": 3, "learning_rate": 1e-3},
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_train_export_compress(run, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = run("train", config, "-o", "model", "--set", "fit.steps=2", "--quiet")
    assert trained.code == 0, trained.err
    assert "sentiment" in trained.out
    assert "next: xmpress export model" in trained.err
    assert run("info", "model", "--json").json["scorecard"]["split"] == "validation"

    exported = run("export", "model", "-o", "bundle", "--name", "hotel", "--version", "3")
    assert exported.code == 0, exported.err
    assert "next: xmpress analyze comments.csv -m bundle" in exported.err
    manifest = zoo.load("bundle").bundle.manifest
    assert (manifest.name, manifest.version) == ("hotel", "3")
    assert manifest.scorecard is not None
    assert run("export", "model", "-o", "bundle").code == 2
    assert run("export", "model", "-o", "bundle", "--overwrite").code == 0

    arguments = ["compress", "int8-only", "--model", "model", "--data", "labelled.csv"]
    compressed = run(*arguments, "-o", "small", "--quiet")
    assert compressed.code == 0, compressed.err
    assert "Degradation" in compressed.out
    assert "quantize" in compressed.out
    assert "next: xmpress analyze comments.csv -m small/bundle" in compressed.err
    assert zoo.load("small/bundle").bundle.manifest.quantization is not None
    again = run(*arguments, "-o", "small", "--quiet", "--json")
    assert again.json["passes"][0]["skipped"]
    judged = run(*arguments, "-o", "small", "--set", "guard.average=99", "--quiet")
    assert judged.code == 0, judged.err
    assert "not run again" in judged.err
    assert "undecided" in judged.out  # too few rows to judge


def test_guard_failure_is_exit_code_3(run, tiny_model_dir, tmp_path, monkeypatch):
    from xmpress.compression import pipeline
    from xmpress.errors import GuardError

    def broken(*args, **kwargs):
        raise GuardError("after quantize the guard is broken")

    monkeypatch.setattr(pipeline, "compress", broken)
    outcome = run("compress", "int8-only", "--model", tiny_model_dir, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert outcome.err == "error: after quantize the guard is broken\n"


def test_train_as_json(run, config, tmp_path):
    result = run("train", config, "-o", tmp_path / "model", "--quiet", "--json").json
    assert result["steps"] == 3
    assert result["validation"]["cells"]


def test_interrupted_training_says_how_to_go_on(run, config, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    module = sys.modules["xmpress.training.train"]  # the package has a function of that name
    monkeypatch.setattr(module, "fit", interrupted)
    outcome = run("train", config, "-o", tmp_path / "model", "--quiet")
    assert outcome.code == 130
    assert "--resume" in outcome.err
    assert not (tmp_path / "model").exists()


def test_train_needs_data_and_an_encoder(fails, tmp_path):
    message = fails("train", "--data", "x.csv", "-o", tmp_path / "m", code=2).err
    assert "both --data and --encoder" in message


def test_every_wrong_setting_is_told(fails, config, tmp_path):
    content = yaml.safe_load(config.read_text())
    content["fit"] |= {"learning_rat": 1, "clip": -1}
    config.write_text(yaml.safe_dump(content))
    message = fails("train", config, "-o", tmp_path / "model").err
    assert "did you mean 'learning_rate'?" in message
    assert "fit.clip" in message


def test_recipes(run, fails, tmp_path):
    listed = run("recipe", "list")
    assert "distill-int8" in listed.out
    assert "distill → quantize" in listed.out
    assert set(run("recipe", "list", "--json").json) >= {"distill-int8", "int8-only"}
    shown = run("recipe", "show", "distill-int8", "--set", "student.layers=2").out
    assert yaml.safe_load(shown)["student"]["layers"] == 2
    # As it is written: remarks say which overrides a small encoder needs.
    assert run("recipe", "show", "minilm-l6").out == (ROOT / "recipes/minilm-l6.yaml").read_text()
    resolved = run("recipe", "show", "minilm-l6", "--resolved").out
    assert yaml.safe_load(resolved)["passes"] and "#" not in resolved
    mine = tmp_path / "mine.yaml"
    mine.write_text(shown)
    assert "is valid: distill → quantize" in run("recipe", "validate", mine).err
    mine.write_text("name: x\npases: []\npasses: [distil: {}]")
    message = fails("recipe", "validate", mine).err
    assert "did you mean 'passes'?" in message
    assert "distil" in message
