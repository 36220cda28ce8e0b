"""Every supported kind of encoder computes the same in ONNX Runtime as in torch."""

import onnx
import pytest
import torch
from transformers import CONFIG_MAPPING

from xmpress.export import export_bundle
from xmpress.modeling import MultiTaskConfig, MultiTaskModel, save_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience")
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,
}
ENCODERS = {
    "bert": {**SIZES, "max_position_embeddings": 64},
    "xlm-roberta": {**SIZES, "max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    },
    "deberta-v2": {
        **SIZES,
        "max_position_embeddings": 64,
        "relative_attention": True,
        "position_buckets": 16,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": {
        **SIZES,
        "max_position_embeddings": 64,
        # So small a window that texts are longer than it.
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
    },
}
TEXTS = [
    "great staff",
    "die Lieferung kam zu spät " * 20,
    "最高の接客でした",
    "รอคิวนานมาก แต่พนักงานใจดี",
    "n/a",
]
CONTEXTS = ["why?", None, "What is the reason for your score?", None, "x " * 50]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder(kind, tiny_tokenizer_file, tmp_path):
    tokenizer = Tokenizer.from_file(tiny_tokenizer_file, max_length=64)
    encoder = CONFIG_MAPPING[kind](
        vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id, **ENCODERS[kind]
    )
    config = MultiTaskConfig(
        encoder_config=encoder,
        tasks=TASKS.model_dump(mode="json")["tasks"],
        max_length=64,
        pooling="first" if kind == "deberta-v2" else "mean",
        initializer_range=0.3,
    )
    torch.manual_seed(1)
    model = MultiTaskModel(config)
    directory = save_model(tmp_path / kind, model, tiny_tokenizer_file.parent)
    bundle = export_bundle(directory, tmp_path / "bundle")

    graph = onnx.load(bundle / "onnx/model.onnx").graph
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * (kind == "bert")
    assert [i.name for i in graph.input] == inputs
    assert [o.name for o in graph.output] == list(TASKS.names)
    for value in graph.input:
        assert [d.dim_param for d in value.type.tensor_type.shape.dim] == ["batch", "sequence"]

    from xmpress.modeling import load_model

    analyzer = Analyzer(bundle, threads=1)
    expected = load_model(directory).logits(TEXTS, CONTEXTS)
    found = analyzer.logits(TEXTS, CONTEXTS)
    for name in TASKS.names:
        # The comparison can fail only if texts differ in their scores.
        assert expected[name].std(axis=0).max() > 0.05
        assert abs(found[name] - expected[name]).max() < 1e-4, name
