"""The verb pretrain."""

import sys

import pytest
import yaml
from transformers import AutoModel

ENCODER = {
    "model_type": "bert",
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a corpus and an encoder's configuration."""
    monkeypatch.chdir(tmp_path)
    texts = ["the queue was far too long", "trop d'attente au guichet", "lovely staff"]
    (tmp_path / "corpus.txt").write_text("\n".join(texts * 10))
    (tmp_path / "encoder.yaml").write_text(yaml.safe_dump(ENCODER))
    return tmp_path


ARGUMENTS = ("--corpus", "corpus.txt", "--encoder-config", "encoder.yaml", "--vocab-size", "320")


def test_from_text_to_an_encoder(run, desk):
    done = run("pretrain", *ARGUMENTS, "-o", "encoder", "--set", "fit.steps=2", "--quiet")
    assert done.code == 0, done.err
    assert "tokens per text" in done.out
    assert "next: xmpress train --data reviews.csv --encoder encoder" in done.err
    assert AutoModel.from_pretrained("encoder", add_pooling_layer=False).config.hidden_size == 16
    assert run("pretrain", *ARGUMENTS, "-o", "encoder").code == 2

    config = {"corpus": "corpus.txt", "init": "encoder", "fit": {"steps": 1}}
    (desk / "pretrain.yaml").write_text(yaml.safe_dump(config))
    result = run(
        "pretrain", "--config", "pretrain.yaml", "--objective", "rtd", "-o", "more", "--json",
        "--quiet",
    ).json  # fmt: skip
    assert result["steps"] == 1
    assert set(result["losses"]) == {"loss", "mlm", "rtd"}
    assert result["tokens_per_text"]["und"] > 0


def test_interrupted_it_says_how_to_go_on(run, desk, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["xmpress.training.pretraining.run"], "fit", interrupted)
    outcome = run("pretrain", *ARGUMENTS, "-o", "encoder", "--quiet")
    assert outcome.code == 130
    assert "--resume" in outcome.err


def test_it_needs_a_corpus_and_an_encoder(fails, desk):
    message = fails("pretrain", "--corpus", "corpus.txt", "-o", "encoder", code=2).err
    assert "--encoder-config or --init" in message


def test_wrong_input_is_one_message(fails, desk):
    assert "did you mean 'bert'" in fails(
        "pretrain", *ARGUMENTS, "-o", "encoder", "--set", "encoder={model_type: brt}"
    ).err  # fmt: skip
    missing = ("--corpus", "nowhere.txt", *ARGUMENTS[2:])
    assert "there is no such file" in fails("pretrain", *missing, "-o", "encoder").err
    message = fails("pretrain", *ARGUMENTS, "-o", "encoder", "--objective", "tlm").err
    assert "objective" in message
    assert "'mlm' or 'rtd'" in message
