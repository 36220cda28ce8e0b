"""Encoders from a directory of their own."""

import shutil

import pytest
import torch
from transformers import BertConfig

from xmpress.errors import ModelError
from xmpress.modeling import open_encoder
from xmpress.modeling.model import encoder_from_config


@pytest.fixture
def factorised(tiny_model_dir, tmp_path):
    """A bare encoder with a factorised embedding, in half precision, and its directory."""
    size = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = encoder_from_config(BertConfig(**size, intermediate_size=64, embedding_rank=8))
    directory = tmp_path / "encoder"
    encoder.half().save_pretrained(directory)
    shutil.copyfile(tiny_model_dir / "tokenizer.json", directory / "tokenizer.json")
    return encoder, directory


def test_a_factorised_encoder_is_read_whole_and_in_single_precision(factorised, tmp_path):
    saved, directory = factorised
    found = open_encoder(str(directory), workspace=tmp_path / "work").encoder
    weights = found.state_dict()
    assert weights["embeddings.word_embeddings.table.weight"].shape == (400, 8)
    for name, value in saved.state_dict().items():
        assert torch.equal(weights[name], value.float()), name
    assert all(p.dtype == torch.float32 for p in found.parameters())


def test_weights_that_are_missing_are_named(factorised, tmp_path):
    _, directory = factorised
    config = (
        (directory / "config.json")
        .read_text()
        .replace('"num_hidden_layers": 1', '"num_hidden_layers": 2')
    )
    (directory / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"no weights for encoder\.layer\.1"):
        open_encoder(str(directory), workspace=tmp_path / "work")
