import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from xmpress.errors import ConfigError, ModelError
from xmpress.modeling import load_model, open_encoder, save_model
from xmpress.modeling.artefact import predict
from xmpress.modeling.encoders import make_model
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import TaskSet

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {**SIZES, "intermediate_size": 48}
ENCODERS = {
    "bert": {"model_type": "bert", **WIDE},
    "xlm-roberta": {"model_type": "xlm-roberta", **WIDE, "max_position_embeddings": 66},
    "distilbert": {
        "model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48
    },
    "deberta-v2": {"model_type": "deberta-v2", **WIDE},
    "modernbert": {"model_type": "modernbert", **WIDE},
}  # fmt: skip
TEXTS = ["the staff was friendly", "", "最高の接客でした " * 30]


@pytest.fixture
def make(tiny_tokenizer_file, tmp_path):
    def build(config, **options):
        source = open_encoder(config, workspace=tmp_path, tokenizer=tiny_tokenizer_file.parent)
        return make_model(source, TaskSet.load("experience"), **{"max_length": 64, **options})

    return build


@pytest.mark.parametrize("config", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_any_encoder_saves_and_loads_with_equal_outputs(
    make, config, pooling, tiny_tokenizer_file, tmp_path
):
    model = make(config, pooling=pooling)
    tokenizer = Tokenizer.from_file(tiny_tokenizer_file, max_length=64)
    before = predict(model, tokenizer, TEXTS, ["what?", None, "why?"])
    save_model(tmp_path / "saved", model, tiny_tokenizer_file.parent)
    after = load_model(tmp_path / "saved").logits(TEXTS, ["what?", None, "why?"])
    for task in TaskSet.load("experience"):
        assert before[task.name].shape == (3, len(task))
        np.testing.assert_array_equal(before[task.name], after[task.name])


def test_auto_model_loads_a_model_directory_after_import_xmpress(tiny_model_dir):
    code = (
        "import sys, xmpress\n"
        "from transformers import AutoConfig, AutoModel\n"
        "model = AutoModel.from_pretrained(sys.argv[1])\n"
        "print(type(model).__name__, AutoConfig.from_pretrained(sys.argv[1]).task_set.names[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model_dir)], capture_output=True, text=True
    )
    assert done.stdout.split() == ["MultiTaskModel", "sentiment"], done.stderr


def test_a_saved_model_can_be_the_encoder_of_the_next(tiny_model_dir, tmp_path):
    source = open_encoder(str(tiny_model_dir), workspace=tmp_path / "files")
    model = make_model(source, TaskSet.load("experience").select(["effort"]), max_length=32)
    torch.testing.assert_close(
        model.encoder.state_dict(), load_model(tiny_model_dir).model.encoder.state_dict()
    )
    assert list(model.heads) == ["effort"]


def test_an_encoder_in_half_precision_is_trained_in_full(make, tiny_tokenizer_file, tmp_path):
    encoder = make(ENCODERS["bert"]).encoder
    encoder.half().save_pretrained(tmp_path / "half")
    shutil.copy(tiny_tokenizer_file, tmp_path / "half")
    source = open_encoder(str(tmp_path / "half"), workspace=tmp_path / "files")
    assert {p.dtype for p in source.encoder.parameters()} == {torch.float32}


def test_mean_pooling_ignores_padding(make):
    model = make(ENCODERS["bert"]).eval()
    ids = torch.tensor([[2, 50, 60, 3]])
    padded = torch.tensor([[2, 50, 60, 3, 0, 0]])
    alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).pooled
    among = model(input_ids=padded, attention_mask=(padded != 0).long()).pooled
    torch.testing.assert_close(alone, among)


def test_the_context_changes_the_prediction(tiny_model_dir):
    model = load_model(tiny_model_dir)
    with_question = model.logits(["the parking"], ["What should we improve?"])
    without = model.logits(["the parking"])
    assert not np.allclose(with_question["sentiment"], without["sentiment"])


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_half_downloaded_directory_is_refused(tiny_model_dir, tmp_path, missing):
    for path in tiny_model_dir.iterdir():
        if path.name != missing:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match=missing):
        load_model(tmp_path)


def test_truncated_weights_are_refused(tiny_model_dir, tmp_path):
    for path in tiny_model_dir.iterdir():
        content = path.read_bytes()
        cut = len(content) // 2 if path.name == "model.safetensors" else len(content)
        (tmp_path / path.name).write_bytes(content[:cut])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(tmp_path)


def test_weights_that_do_not_fit_the_config_are_refused(tiny_model_dir, tmp_path):
    for path in tiny_model_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["tasks"][0]["name"] = "satisfaction"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(tmp_path)


def test_a_bare_encoder_directory_says_what_to_do(tmp_path):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=50, **WIDE)).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="xmpress train --encoder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "brt"}, "did you mean 'bert'"),
        ({"model_type": "bert", "num_hiden_layers": 2}, "did you mean 'num_hidden_layers'"),
        ({"model_type": "bert", "vocab_size": 10}, "leave vocab_size out"),
    ],
)
def test_a_wrong_configuration_is_explained(make, config, message):
    with pytest.raises(ConfigError, match=message):
        make(config)


def test_more_tokens_than_positions_are_refused(make):
    with pytest.raises(ConfigError, match="65 positions"):
        make(ENCODERS["xlm-roberta"], max_length=66)


def test_a_hub_name_that_cannot_be_had_is_an_error_without_a_network(tmp_path):
    with pytest.raises(ModelError, match="no-such/encoder"):
        open_encoder("no-such/encoder", workspace=tmp_path / "files")
