import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from xmpress.compression.quantization.embeddings import EmbeddingMode, quantize_embeddings
from xmpress.compression.quantization.graph import Graph
from xmpress.compression.quantization.rounding import (
    dequantize_int4,
    largest_divisor,
    pack_int4,
    quantize_int4,
    quantize_rows,
)
from xmpress.errors import ExportError

RNG = np.random.default_rng(0)


def lookup(table: np.ndarray) -> onnx.ModelProto:
    """ids [n, s] -> rows of the table [n, s, c]."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["task"])],
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "s"])],
        [helper.make_tensor_value_info("task", TensorProto.FLOAT, ["n", "s", table.shape[1]])],
        [numpy_helper.from_array(table.astype(np.float32), "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def quantized(table: np.ndarray, mode: EmbeddingMode, group: int | None = None) -> onnx.ModelProto:
    model = lookup(table)
    assert quantize_embeddings(Graph(model), mode, group) == 1
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"ids": ids})[0])


def test_a_table_in_int8_is_what_numpy_makes_of_it() -> None:
    table = RNG.normal(size=(300, 24)).astype(np.float32)
    ids = RNG.integers(300, size=(3, 7))
    values, scales = quantize_rows(table, 127)
    np.testing.assert_allclose(run(quantized(table, "int8"), ids), (values * scales)[ids], 1e-6)


@pytest.mark.parametrize("group", [None, 8, 32])
def test_a_table_in_int4_is_what_numpy_makes_of_it(group: int | None) -> None:
    table = RNG.normal(size=(300, 64)).astype(np.float32)
    ids = RNG.integers(300, size=(3, 7))
    expected = dequantize_int4(*quantize_int4(table, group))
    np.testing.assert_allclose(run(quantized(table, "int4", group), ids), expected[ids], 1e-6)
    assert 0 < np.square(expected - table).mean() < 0.03  # of a variance of 1


def test_int4_takes_half_a_byte_per_weight_and_two_per_scale() -> None:
    model = quantized(RNG.normal(size=(400, 64)), "int4", 32)
    sizes = {t.name: len(t.raw_data) for t in model.graph.initializer}
    assert sizes["table.int4"] == 400 * 32
    assert sizes["table.scale"] == 400 * 2 * 2
    assert "table" not in sizes


def test_finer_groups_and_chosen_ranges_round_less() -> None:
    table = RNG.standard_t(3, size=(300, 64)).astype(np.float32)

    def error(group: int | None) -> float:
        return float(np.square(dequantize_int4(*quantize_int4(table, group)) - table).mean())

    assert error(8) < error(32) < error(None)
    largest = np.abs(table).max(axis=1, keepdims=True) / 7
    by_maximum = np.square(np.rint(table / largest) * largest - table).mean()
    assert error(None) < by_maximum


def test_rows_of_zeros_and_tiny_weights_are_kept_near_zero() -> None:
    table = np.zeros((256, 8), np.float32)
    table[1] = 1e-9
    restored = dequantize_int4(*quantize_int4(table))
    assert not restored[0].any()
    assert np.abs(restored).max() < 1e-4


def test_packing_keeps_every_value() -> None:
    values = np.arange(-8, 8, dtype=np.int8).reshape(2, 8)
    packed = pack_int4(values)
    low, high = (packed & 15).astype(np.int8) - 8, (packed >> 4).astype(np.int8) - 8
    np.testing.assert_array_equal(np.concatenate([low, high], axis=1), values)


def test_what_cannot_be_packed_is_told() -> None:
    with pytest.raises(ExportError, match="3 columns cannot be packed"):
        quantized(RNG.normal(size=(256, 3)), "int4")
    with pytest.raises(ExportError, match="too large for 4 bits"):
        quantize_int4(np.full((1, 2), 1e9, np.float32))


def test_groups_divide_the_width() -> None:
    assert [largest_divisor(384, 32), largest_divisor(300, 32), largest_divisor(7, 3)] == [
        32,
        30,
        1,
    ]


def test_a_table_that_is_used_otherwise_too_stays() -> None:
    model = lookup(RNG.normal(size=(300, 4)))
    model.graph.node.append(helper.make_node("Transpose", ["table"], ["turned"]))
    assert quantize_embeddings(Graph(model), "int8") == 0
