import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from xmpress.compression import Context
from xmpress.compression.quantization.aware import (
    QuantizationAware,
    QuantizationAwareParams,
    _four_bits,
    rounded,
)
from xmpress.compression.quantization.dynamic import quantize_graph
from xmpress.compression.quantization.rounding import dequantize_int4, quantize_int4
from xmpress.data import load_dataset
from xmpress.modeling import load_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest

TEXTS = ["the staff was great", "trop d'attente au guichet", "最高の接客でした", "queue " * 30]


@pytest.mark.parametrize("embedding", ["int8", "int4", "fp32"])
@pytest.mark.parametrize("bits", [7, 8])
def test_a_rounded_model_says_what_its_int8_graph_says(  # type: ignore[no-untyped-def]
    tiny_model_dir: Path, tiny_bundle: Path, tmp_path: Path, bits, embedding
) -> None:
    graph = onnx.load(tiny_bundle / "onnx/model.onnx")
    quantize_graph(graph, weight_bits=7, embedding=embedding, embedding_group=8)
    (tmp_path / "onnx").mkdir()
    onnx.save(graph, tmp_path / "onnx/model.onnx")
    (tmp_path / "tokenizer.json").write_bytes((tiny_bundle / "tokenizer.json").read_bytes())
    write_manifest(tmp_path, Bundle.open(tiny_bundle).manifest)
    graph_says = Analyzer(tmp_path, threads=1).logits(TEXTS)
    loaded = load_model(tiny_model_dir)
    plain = loaded.logits(TEXTS)
    with rounded(loaded.model, weight_bits=bits, embedding=embedding, embedding_group=8) as n:
        assert n == 12 + (embedding != "fp32")
        says = loaded.logits(TEXTS)
    for name, logits in graph_says.items():
        apart = abs(says[name] - logits).max()
        from_plain = abs(plain[name] - logits).max()
        if bits == 7:
            assert apart < 0.1 * from_plain
        else:
            assert apart > 0.1 * from_plain
    assert all((loaded.logits(TEXTS)[name] == value).all() for name, value in plain.items())


def test_gradients_pass_the_rounding(tiny_model_dir: Path) -> None:
    loaded = load_model(tiny_model_dir)
    with rounded(loaded.model, embedding="int4"):
        ids = torch.randint(5, 200, (2, 6))
        output = loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        output.logits["sentiment"].square().sum().backward()
    weights = dict(loaded.model.named_parameters())
    for name in ("embeddings.word_embeddings", "layer.0.attention.self.query"):
        (weight,) = (w for n, w in weights.items() if n.endswith(f"{name}.weight"))
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0


def test_four_bits_are_those_of_the_table() -> None:
    table = torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
    expected = dequantize_int4(*quantize_int4(table.numpy(), 8))
    torch.testing.assert_close(_four_bits(table, 8), torch.from_numpy(expected))


def test_the_pass_trains_with_rounding_and_writes_without(
    context: Context, labelled_data: Path, tmp_path: Path
) -> None:
    tasks = load_model(context.artefact.path).tasks
    given = replace(
        context, dataset=lambda: load_dataset(str(labelled_data), tasks), data_name="labelled"
    )
    params = QuantizationAwareParams(steps=6, batch_tokens=512, learning_rate=1e-3, max_rows=100)
    target = tmp_path / "out"
    target.mkdir()
    details = QuantizationAware(params).run(given, target)
    assert details["layers_rounded"] == 13
    assert details["steps"] == 6
    before, after = load_model(context.artefact.path), load_model(target)
    names = list(before.model.state_dict())
    assert list(after.model.state_dict()) == names
    name = next(name for name in names if "query.weight" in name)
    assert not torch.equal(before.model.state_dict()[name], after.model.state_dict()[name])
    assert json.loads((target / "config.json").read_text())["calibration"]


def test_one_length() -> None:
    with pytest.raises(ValueError, match="not both"):
        QuantizationAwareParams(steps=1, epochs=1)
