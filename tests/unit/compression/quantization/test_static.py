from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from xmpress.compression.quantization.calibration import (
    PERCENTILE,
    activation_ranges,
    channel_statistics,
    entropy_range,
    percentile_range,
)
from xmpress.compression.quantization.smoothing import smooth
from xmpress.compression.quantization.static import calibrate_graph, quantize_static
from xmpress.errors import ExportError

WIDTH = 16


def network(*, norm_read_twice: bool = False, opset: int = 18) -> onnx.ModelProto:
    """x [n, s, 16] -> layer norm -> @ w + bias (-> + norm) -> @ head."""
    last = "biased"
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["norm"]),
        helper.make_node("MatMul", ["norm", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["biased"]),
    ]
    if norm_read_twice:
        nodes.append(helper.make_node("Add", ["biased", "norm"], ["sum"]))
        last = "sum"
    nodes.append(helper.make_node("MatMul", [last, "head"], ["task"]))
    rng = np.random.default_rng(1)
    gamma = np.ones(WIDTH)
    gamma[3] = 40  # the outlier that smoothing is for
    weights = {
        "gamma": gamma,
        "beta": rng.normal(size=WIDTH),
        "w": rng.normal(size=(WIDTH, WIDTH)),
        "bias": rng.normal(size=WIDTH),
        "head": np.eye(WIDTH),
    }
    shape = ["n", "s", WIDTH]
    graph = helper.make_graph(
        nodes,
        "network",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", "s"]),
        ],
        [helper.make_tensor_value_info("task", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def batch(rows: int = 8) -> dict[str, np.ndarray]:
    mask = np.ones((rows, 5), np.int64)
    mask[:, 4] = 0
    x = np.random.default_rng(2).normal(size=(rows, 5, WIDTH)).astype(np.float32)
    return {"x": x, "attention_mask": mask}


def run(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, dict(inputs))[0])


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def error(exact: np.ndarray, model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(np.square(run(model, inputs) - exact).mean()) / exact.std())


def test_padding_takes_no_part_in_the_statistics() -> None:
    inputs = batch()
    inputs["x"][:, 4] = 1e6
    found = channel_statistics(network(), ["x"], [inputs, inputs])["x"]
    tokens = inputs["x"][:, :4].reshape(-1, WIDTH)
    np.testing.assert_allclose(found.mean, tokens.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.low, tokens.min(axis=0))
    np.testing.assert_array_equal(found.high, tokens.max(axis=0))


@pytest.mark.parametrize("twice", [False, True])
def test_smoothing_changes_what_is_quantized_and_not_what_is_computed(twice: bool) -> None:
    model, inputs = network(norm_read_twice=twice), batch()
    exact = run(model, inputs)
    channels = channel_statistics(model, ["norm"], [inputs])
    spread = channels["norm"].largest.max() / channels["norm"].largest.min()
    assert smooth(model, channels, 0.5) == (0 if twice else 1)
    np.testing.assert_allclose(run(model, inputs), exact, rtol=1e-4, atol=1e-4)
    (name,) = channels
    assert name == ("norm.smoothed" if twice else "norm")
    found = channel_statistics(model, [name], [inputs])[name]
    np.testing.assert_allclose(found.largest, channels[name].largest, rtol=1e-4)
    assert found.largest.max() / found.largest.min() < spread / 3


def test_a_static_graph_is_what_numpy_makes_of_it() -> None:
    inputs = batch()
    calibrated = calibrate_graph(network(), [inputs], method="minmax", smoothing=None)
    model, done = quantize_static(calibrated, bias_correction=False)
    assert (done.matmuls, done.kept) == (1, ["head"])
    low, high = calibrated.ranges["norm"]
    scale = np.float32((high - low) / 255)
    zero = round(-low / scale)
    w = constants(network())
    steps = np.abs(w["w"]).max(axis=0) / 64
    rounded = np.rint(w["w"] / steps) * steps
    x = inputs["x"]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    x = x * w["gamma"] + w["beta"]
    x = (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
    expected = (
        x @ rounded + {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}["bias"]
    )
    found = run(model, inputs)
    # One rounding that falls on the other side is one step times a weight.
    assert np.abs(found - expected).mean() < 0.01 * scale
    assert np.abs(found - expected).max() < 2 * scale * np.abs(rounded).max()


def test_smoothing_and_corrected_biases_bring_it_nearer() -> None:
    inputs = batch(64)
    exact = run(network(), inputs)
    errors = {}
    for smoothing in (None, 0.5):
        calibrated = calibrate_graph(network(), [inputs], method="minmax", smoothing=smoothing)
        for correction in (False, True):
            model, _ = quantize_static(calibrated, bias_correction=correction)
            errors[smoothing, correction] = error(exact, model, inputs)
    assert errors[0.5, False] < errors[None, False]
    assert errors[0.5, True] <= errors[0.5, False]
    assert errors[None, True] < errors[None, False]


def test_what_stays_is_exact() -> None:
    inputs = batch()
    calibrated = calibrate_graph(network(), [inputs], method="minmax", smoothing=0.5)
    model, done = quantize_static(calibrated, keep=["w"])
    assert done.matmuls == 0
    np.testing.assert_allclose(run(model, inputs), run(network(), inputs), rtol=1e-4, atol=1e-4)


def test_ranges_clip_outliers_or_nothing() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    values[0] = 60.0
    counts, edges = np.histogram(values, bins=4096)
    low, high = percentile_range(counts, edges)
    inside = ((values >= low) & (values <= high)).mean()
    assert abs(100 * inside - PERCENTILE) < 0.005
    assert high < 10
    low, high = entropy_range(counts.astype(float), edges)
    assert 2 < high < 20
    bounds: dict[str, Any] = activation_ranges(
        network(), channel_statistics(network(), ["norm"], [batch()]), [batch()], "minmax"
    )
    norm = channel_statistics(network(), ["norm"], [batch()])["norm"]
    assert bounds["norm"] == (norm.low.min(), norm.high.max())


def test_a_graph_without_products_is_refused() -> None:
    model = network()
    del model.graph.node[:3]
    model.graph.node[0].input[0] = "x"
    with pytest.raises(ExportError, match="nothing to quantize"):
        calibrate_graph(model, [batch()], method="minmax", smoothing=None)
