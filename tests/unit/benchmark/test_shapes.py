"""Operations per token, read from graphs, against the shapes of the tiny model."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from xmpress.benchmark.shapes import work_of_graph

LAYERS, HIDDEN, FFN = 2, 32, 64
EXPECTED = 2.0 * LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * FFN)


def test_of_a_bundle(tiny_bundle):
    assert work_of_graph(tiny_bundle / "onnx") == EXPECTED


def test_without_a_graph(tmp_path):
    assert work_of_graph(tmp_path) is None


@pytest.fixture
def write(tmp_path):
    def make(nodes, weights):
        graph = helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        save(helper.make_model(graph), tmp_path / "model.onnx")
        return tmp_path

    return make


def test_a_weight_is_followed_to_its_product_and_a_head_to_its_bias(write):
    folder = write(
        [
            helper.make_node("DequantizeLinear", ["w", "scale"], ["dequantized"]),
            helper.make_node("MatMul", ["x", "dequantized"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "head"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["y"]),
        ],
        {
            "w": np.ones((3, 7), np.int8),
            "scale": np.float32(1),
            "head": np.ones((7, 2), np.float32),
            "bias": np.ones(2, np.float32),
        },
    )
    assert work_of_graph(folder) == 2 * 3 * 7


def test_blocked_weights_tell_their_sizes(write):
    node = helper.make_node("MatMulNBits", ["x", "packed"], ["h"], K=3, N=5, domain="com.microsoft")
    folder = write(
        [node, helper.make_node("Relu", ["h"], ["y"])],
        {"packed": np.ones((5, 1, 16), np.uint8)},
    )
    assert work_of_graph(folder) == 2 * 3 * 5
