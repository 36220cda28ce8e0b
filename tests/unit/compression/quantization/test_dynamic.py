import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from xmpress.compression.quantization.dynamic import Activations, quantize_graph
from xmpress.compression.quantization.rounding import quantize_rows
from xmpress.errors import ExportError
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest

TEXTS = [
    "the staff was great",
    "trop d'attente au guichet",
    "最高の接客でした",
    "n/a",
    "queue " * 30,
]


def quantized(bundle: Path, folder: Path, activations: Activations = "token") -> Path:
    """A copy of a bundle with its graph in int8."""
    copy = folder / f"int8-{activations}"
    shutil.copytree(bundle, copy)
    model = onnx.load(copy / "onnx/model.onnx")
    quantize_graph(model, activations=activations)
    onnx.checker.check_model(model)
    onnx.save(model, copy / "onnx/model.onnx")
    write_manifest(copy, Bundle.open(bundle).manifest)
    return copy


def linear(weights: np.ndarray, opset: int = 18) -> onnx.ModelProto:
    """One matrix that is no head, then one that is: x -> x @ weights -> @ identity."""
    size = weights.shape[1]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["middle"]),
            helper.make_node("MatMul", ["middle", "head"], ["task"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", weights.shape[0]])],
        [helper.make_tensor_value_info("task", TensorProto.FLOAT, ["n", size])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "w"),
            numpy_helper.from_array(np.eye(size, dtype=np.float32), "head"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x.astype(np.float32)})[0])


def test_rows_are_restored_to_within_half_a_step() -> None:
    table = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    table[3] = 0
    table[7] *= 1000
    int8, scales = quantize_rows(table, 127)
    assert int8.dtype == np.int8
    assert np.abs(int8).max() == 127
    assert (np.abs(int8 * scales - table) <= scales / 2 * 1.0001).all()
    assert not int8[3].any()


@pytest.mark.parametrize("activations", ["token", "tensor"])
def test_a_bundle_in_int8_says_nearly_the_same(
    tiny_bundle: Path, tmp_path: Path, activations: Activations
) -> None:
    before = Analyzer(tiny_bundle).logits(TEXTS)
    after = Analyzer(quantized(tiny_bundle, tmp_path, activations)).logits(TEXTS)
    for name, logits in before.items():
        assert np.corrcoef(logits.ravel(), after[name].ravel())[0, 1] > 0.99
        assert np.abs(logits - after[name]).max() > 0  # int8 is not fp32


def test_large_matrices_and_embedding_are_int8_and_heads_are_not(tiny_bundle: Path) -> None:
    model = onnx.load(tiny_bundle / "onnx/model.onnx")
    heads = {o.name for o in model.graph.output}
    done = quantize_graph(model)
    assert done.matmuls == 2 * 6  # per layer: query, key, value, output, and two feed-forward
    assert done.embeddings == 1  # words; positions and segments are too small
    assert len(done.kept) == len(heads)
    types = {t.name: t.data_type for t in model.graph.initializer}
    wide = [t for t in model.graph.initializer if len(t.dims) == 2 and t.name not in done.kept]
    of_floats = [t for t in wide if t.data_type == TensorProto.FLOAT and t.dims[1] > 1]
    assert all(t.dims[0] < 256 for t in of_floats)
    assert all(types[name] == TensorProto.FLOAT for name in done.kept)


def test_with_a_scale_per_token_a_text_does_not_depend_on_its_batch(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    analyzer = Analyzer(quantized(tiny_bundle, tmp_path))
    together = analyzer.logits(TEXTS)
    for i, text in enumerate(TEXTS):
        alone = analyzer.logits([text])
        for name, logits in alone.items():
            np.testing.assert_allclose(logits[0], together[name][i], atol=1e-4)


def test_one_large_token_does_not_coarsen_the_others() -> None:
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=(32, 8)), rng.normal(size=(4, 32))
    x[0] *= 1000
    exact = x @ weights
    errors = {}
    for activations in ("token", "tensor"):
        model = linear(weights)
        quantize_graph(model, activations=activations)  # type: ignore[arg-type]
        errors[activations] = np.abs(run(model, x)[1:] - exact[1:]).max()
    assert errors["token"] < 0.3
    assert errors["tensor"] > 10 * errors["token"]


def test_seven_bits_do_not_saturate_where_eight_do() -> None:
    # Every activation and weight at its largest: what overflows 16 bits in pairs of products.
    x, weights = np.ones((1, 64)), np.ones((64, 8))
    results = {}
    for bits in (7, 8):
        model = linear(weights)
        quantize_graph(model, weight_bits=bits)  # type: ignore[arg-type]
        results[bits] = run(model, x)
    np.testing.assert_allclose(results[7], 64.0, rtol=1e-3)
    if this_machine().architecture == "x86_64" and not this_machine().int8_dot_product:
        assert np.abs(results[8] - 64.0).max() > 1.0


def test_a_row_of_zeros_stays_zero() -> None:
    model = linear(np.ones((4, 4)))
    quantize_graph(model)
    assert not run(model, np.zeros((2, 4))).any()


def test_a_graph_without_matrices_or_of_an_old_opset_is_refused() -> None:
    with pytest.raises(ExportError, match="opset 13"):
        quantize_graph(linear(np.ones((4, 4)), opset=13))
    model = linear(np.ones((4, 4)))
    del model.graph.node[0]
    model.graph.node[0].input[0] = "x"
    with pytest.raises(ExportError, match="nothing to quantize"):
        quantize_graph(model)
