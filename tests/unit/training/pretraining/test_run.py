"""Pretraining from text to an encoder directory, with interruptions."""

import json
import os
import signal

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from xmpress.errors import ConfigError, ModelError, UsageError
from xmpress.training import TrainConfig, train
from xmpress.training.monitor import Monitor
from xmpress.training.pretraining import PretrainConfig, pretrain

TEXTS = ["the queue was far too long", "nobody answered the phone", "the staff was friendly"]
ENCODER = {
    "model_type": "bert",
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


@pytest.fixture
def settings(tmp_path, tiny_tokenizer_file):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(TEXTS * 20))
    return {
        "corpus": str(corpus),
        "encoder": ENCODER,
        "tokenizer": str(tiny_tokenizer_file.parent),
        "sequence_length": 32,
        "fit": {"steps": 20, "batch_tokens": 256, "learning_rate": 5e-3, "checkpoint_every": 6},
    }


def config_of(settings, *overrides, **changes):
    return PretrainConfig.load(None, overrides, **(settings | changes))


def weights(path):
    return load_file(path / "model.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def interrupted_at(monkeypatch, number):
    """A context in which SIGTERM arrives after that step."""
    step = Monitor.step

    def interrupt(self, done, **numbers):
        step(self, done, **numbers)
        if done == number:
            os.kill(os.getpid(), signal.SIGTERM)

    patch = monkeypatch.context()
    context = patch.__enter__()
    context.setattr(Monitor, "step", interrupt)
    return patch


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
def test_the_loss_falls(settings, tmp_path, objective):
    losses = []
    for steps in (1, 40):
        config = config_of(settings, f"fit.steps={steps}", objective=objective)
        result = pretrain(config, tmp_path / f"{steps}", quiet=True)
        losses.append(result.losses["mlm"])
        assert result.steps == steps
    assert losses[1] < 0.85 * losses[0]


def test_the_result_is_an_encoder_directory(settings, tmp_path):
    result = pretrain(config_of(settings, objective="rtd"), tmp_path / "encoder", quiet=True)
    files = {path.name for path in result.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= files
    # The encoder alone: neither heads nor a generator, the token embedding once.
    names = list(weights(result.path))
    assert all(name.startswith(("embeddings.", "encoder.")) for name in names)
    assert sum("word_embeddings" in name for name in names) == 1
    lock = yaml.safe_load((result.path / "recipe.lock.yaml").read_text())
    assert lock["pretrain"]["fit"]["steps"] == 20
    assert list(lock["data"]) == [settings["corpus"]]
    assert "replaced-token detection" in (result.path / "README.md").read_text()
    assert not (tmp_path / "encoder.checkpoints").exists()
    assert result.tokens["und"].texts == 60

    encoder = AutoModel.from_pretrained(result.path, add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(result.path)
    inputs = tokenizer(["the queue"], return_tensors="pt")
    assert encoder(**inputs).last_hidden_state.shape[-1] == 32


def test_train_takes_the_encoder_up(settings, tmp_path):
    pretrained = pretrain(config_of(settings), tmp_path / "encoder", quiet=True).path
    data = tmp_path / "labelled.jsonl"
    rows = [
        {"text": text, "mood": mood, "split": split}
        for text, mood in zip(TEXTS, ("bad", "bad", "good"), strict=True)
        for split in ("train", "validation")
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    config = TrainConfig(
        data=str(data),
        tasks=[{"name": "mood", "kind": "single_label", "labels": ["good", "bad"]}],
        encoder=str(pretrained),
        max_length=16,
        fit={"steps": 1, "learning_rate": 1e-9},
    )
    trained = weights(train(config, tmp_path / "model", quiet=True).path)
    for name, value in weights(pretrained).items():
        torch.testing.assert_close(trained[f"encoder.{name}"], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
def test_a_resumed_pretraining_ends_as_if_nothing_had_happened(
    settings, tmp_path, monkeypatch, objective
):
    config = config_of(settings, objective=objective)
    whole = pretrain(config, tmp_path / "whole", quiet=True)
    context = interrupted_at(monkeypatch, 9)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, tmp_path / "resumed", quiet=True)
    context.__exit__(None, None, None)
    assert not (tmp_path / "resumed").exists()
    with pytest.raises(UsageError, match="--resume"):
        pretrain(config, tmp_path / "resumed", quiet=True)
    resumed = pretrain(config, tmp_path / "resumed", resume=True, quiet=True)
    assert resumed.losses == whole.losses
    assert_same(weights(resumed.path), weights(whole.path))


def test_a_learned_tokenizer_survives_an_interruption(settings, tmp_path, monkeypatch):
    config = config_of(settings | {"tokenizer": None}, vocab_size=300)
    context = interrupted_at(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, tmp_path / "encoder", quiet=True)
    context.__exit__(None, None, None)
    (learned,) = (tmp_path / "encoder.checkpoints").glob("start-*/learned/tokenizer.json")
    content = learned.read_text()
    result = pretrain(config, tmp_path / "encoder", resume=True, quiet=True)
    assert (result.path / "tokenizer.json").read_text() == content


def test_a_budget_in_minutes_ends_the_training_and_its_learning_rate(
    settings, tmp_path, monkeypatch
):
    rates = []
    monkeypatch.setattr(Monitor, "step", lambda _, __, **n: rates.append(n["learning_rate"]))
    fit = {"minutes": 0.02, "batch_tokens": 64, "warmup": 0.5, "learning_rate": 1e-3}
    result = pretrain(config_of(settings, fit=fit), tmp_path / "encoder", quiet=True)
    assert result.steps == len(rates) > 1
    assert 1.2 <= result.seconds < 60
    assert 0 < max(rates) <= 1e-3


def test_translations_join_the_batches(settings, tmp_path, monkeypatch):
    pairs = tmp_path / "pairs.tsv"
    lines = [f"fr\tla file {i}\ten\tthe queue {i}" for i in range(9)]
    pairs.write_text("\n".join(["lang_a\ttext_a\tlang_b\ttext_b", *lines]))
    config = config_of(settings, "fit.steps=2", parallel=str(pairs), parallel_share=0.5)
    result = pretrain(config, tmp_path / "encoder", quiet=True)
    card = (result.path / "README.md").read_text()
    assert "9 pairs of translations" in card
    assert set(result.tokens) == {"und"}


def test_pretraining_goes_on_from_an_encoder(settings, tmp_path):
    first = pretrain(config_of(settings), tmp_path / "first", quiet=True).path
    again = {k: v for k, v in settings.items() if k not in {"encoder", "tokenizer"}}
    config = config_of(again | {"init": str(first)}, "fit.steps=1", "fit.learning_rate=1e-9")
    second = pretrain(config, tmp_path / "second", quiet=True).path
    for name, value in weights(second).items():
        torch.testing.assert_close(value, weights(first)[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"model_type": "brt"}}, "did you mean 'bert'"),
        ({"encoder": ENCODER | {"hiden_size": 3}}, "did you mean 'hidden_size'"),
        ({"sequence_length": 64}, "sequence_length is 64, but the encoder has 40 positions"),
    ],
)
def test_a_wrong_encoder_is_told_before_training(settings, tmp_path, changes, message):
    with pytest.raises((ConfigError, ModelError), match=message):
        pretrain(config_of(settings, **changes), tmp_path / "encoder", quiet=True)
    assert not (tmp_path / "encoder").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "somewhere"}, "give one of encoder .* and init"),
        ({"encoder": "bert-base-multilingual-cased"}, "give them as init"),
        ({"glosses": "de.tsv"}, "glosses need init and another tokenizer"),
        ({"fit": {"steps": 1, "minutes": 1}}, "give one of steps, epochs and minutes"),
        ({"objectiv": "mlm"}, "did you mean 'objective'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, changes, message):
    with pytest.raises(ConfigError, match=message):
        config_of(settings, **changes)
