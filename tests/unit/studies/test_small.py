"""The encoder that ships for users' own tasks: its int8 weights, written and read."""

import json
import shutil

import pytest
import small
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from xmpress import zoo
from xmpress.errors import ModelError
from xmpress.modeling import load_model, open_encoder
from xmpress.modeling.encoders import INT8_SCALE
from xmpress.modeling.model import encoder_from_config
from xmpress.tasks import Task
from xmpress.training import TrainConfig, train

TABLE = "embeddings.word_embeddings.table.weight"


@pytest.fixture
def rounded(tiny_model_dir, tmp_path):
    """The weights of a small encoder, and its directory after they were rounded."""
    size = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = encoder_from_config(BertConfig(**size, intermediate_size=64, embedding_rank=8))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
        encoder.get_parameter(TABLE)[7] = 0  # a row of nothing has no largest weight
    folder = tmp_path / "encoder"
    encoder.save_pretrained(folder)
    shutil.copyfile(tiny_model_dir / "tokenizer.json", folder / "tokenizer.json")
    small.round_weights(folder)
    return encoder.state_dict(), folder


def test_rounded_weights_come_back_to_within_half_a_step(rounded, tmp_path):
    weights, folder = rounded
    found = open_encoder(str(folder), workspace=tmp_path / "work").encoder.state_dict()
    assert set(found) == set(weights)
    for name, value in weights.items():
        assert found[name].dtype == value.dtype
        if value.ndim == 2:
            step = value.abs().amax(dim=1, keepdim=True) / 127
            assert ((found[name] - value).abs() <= 0.5001 * step).all(), name
            assert (found[name] != value).any(), name
        else:
            assert torch.equal(found[name], value.half().float()), name


def test_matrices_take_a_byte_per_weight(rounded):
    weights, folder = rounded
    stored = load_file(folder / "model.safetensors")
    assert stored[TABLE].dtype == torch.int8
    assert stored[TABLE].shape == weights[TABLE].shape
    assert stored[TABLE + INT8_SCALE].shape == (400, 1)
    assert {stored[name].dtype for name in stored if name.endswith("bias")} == {torch.float16}


@pytest.mark.parametrize("scales", [None, torch.ones(399, 1), torch.ones(1)])
def test_int8_weights_without_their_scales_are_refused(rounded, tmp_path, scales):
    _, folder = rounded
    stored = load_file(folder / "model.safetensors")
    del stored[TABLE + INT8_SCALE]
    if scales is not None:
        stored[TABLE + INT8_SCALE] = scales
    save_file(stored, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"table\.weight in int8 without a scale .* copy it again"):
        open_encoder(str(folder), workspace=tmp_path / "work")


def test_what_is_trained_from_zoo_small_is_saved_in_single_precision(tmp_path):
    data = tmp_path / "rows.jsonl"
    rows = [(word, mood) for word in "abcdefgh" for mood in ("good", "bad")]
    data.write_text("".join(json.dumps({"text": f"{m} {w}", "mood": m}) + "\n" for w, m in rows))
    config = TrainConfig(
        data=str(data),
        tasks=[Task(name="mood", kind="single_label", labels=("good", "bad"))],
        encoder="zoo:small",
        max_length=16,
        fit={"steps": 2, "batch_tokens": 64},
    )
    folder = train(config, tmp_path / "model", quiet=True).path
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float32}
    assert not [name for name in stored if name.endswith(INT8_SCALE)]
    started = open_encoder("zoo:small", workspace=tmp_path / "work").encoder.state_dict()
    encoder = load_model(folder).model.encoder.state_dict()
    assert set(encoder) == set(started)
    for name, value in started.items():  # two steps go not far
        torch.testing.assert_close(encoder[name], value, rtol=0, atol=1e-2)


def test_it_ships_in_at_most_16_megabytes():
    files = [file for file in zoo.resolve("small").iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 16e6
