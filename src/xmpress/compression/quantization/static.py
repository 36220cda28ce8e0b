"""int8 products whose activations have fixed ranges, found on calibration texts.

The graph is in the standard form for it: a QuantizeLinear and a DequantizeLinear before each
product (QDQ), which an engine turns into an integer product.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from xmpress.compression.quantization.calibration import (
    Batches,
    Channels,
    RangeMethod,
    activation_ranges,
    channel_statistics,
)
from xmpress.compression.quantization.dynamic import LARGEST_WEIGHT, Rewritten
from xmpress.compression.quantization.embeddings import EmbeddingMode, quantize_embeddings
from xmpress.compression.quantization.graph import Graph, Nodes, node
from xmpress.compression.quantization.rounding import quantize_rows
from xmpress.compression.quantization.smoothing import correct_biases, smooth
from xmpress.errors import ExportError
from xmpress.tasks import FloatArray

_LEVELS = 255


@dataclass
class Calibrated:
    """An fp32 graph prepared for static quantization.

    Attributes:
        model: the graph, smoothed.
        channels: statistics of each activation that a product reads.
        ranges: within which these are quantized.
        folded: how many of them were smoothed within a layer norm.
    """

    model: onnx.ModelProto
    channels: dict[str, Channels]
    ranges: dict[str, tuple[float, float]]
    folded: int


def calibrate_graph(
    model: onnx.ModelProto, batches: Batches, *, method: RangeMethod, smoothing: float | None
) -> Calibrated:
    """Smooth a graph in place and find the ranges of its activations.

    Args:
        model: an fp32 graph.
        batches: its inputs on calibration texts.
        method: how ranges are chosen.
        smoothing: strength of SmoothQuant; ``None`` for none.

    Raises:
        ExportError: if nothing in the graph can be quantized.
    """
    names = sorted({product.input[0] for product in Graph(model).products})
    if not names:
        raise ExportError("nothing to quantize: no matrix multiplication with fp32 weights")
    channels = channel_statistics(model, names, batches)
    folded = 0 if smoothing is None else smooth(model, channels, smoothing)
    return Calibrated(model, channels, activation_ranges(model, channels, batches, method), folded)


def quantize_static(
    calibrated: Calibrated,
    *,
    weight_bits: Literal[7, 8] = 7,
    embedding: EmbeddingMode = "int8",
    embedding_group: int | None = None,
    keep: Collection[str] = (),
    bias_correction: bool = True,
) -> tuple[onnx.ModelProto, Rewritten]:
    """Quantize a copy of a calibrated graph.

    Args:
        calibrated: see `calibrate_graph`.
        weight_bits: 7 never saturates; 8 is finer, for processors with VNNI or their like only.
        embedding: what the embedding tables become, see `quantize_embeddings`.
        embedding_group: with ``int4``, so many weights of a row share a scale.
        keep: names of weights that stay in fp32.
        bias_correction: add to each bias what rounding the weights takes away on average.
    """
    model = onnx.ModelProto()
    model.CopyFrom(calibrated.model)
    graph = Graph(model)
    changes: dict[str, Nodes] = {}
    means: dict[str, FloatArray] = {}
    errors: dict[str, FloatArray] = {}
    dequantized: set[str] = set()
    for product in graph.products:
        values, weight = product.input
        if weight in keep:
            continue
        nodes: Nodes = []
        if values not in dequantized:
            dequantized.add(values)
            nodes += _activation(graph, values, calibrated.ranges[values])
        matrix = np.asarray(graph.array(weight), np.float32)
        columns, scales = quantize_rows(matrix.T, LARGEST_WEIGHT[weight_bits])
        result = product.output[0]
        nodes += _weight(graph, weight, columns.T, scales[:, 0])
        nodes.append(node("MatMul", [f"{values}.dequantized", f"{weight}.dequantized"], result))
        changes[result] = nodes
        means[result] = calibrated.channels[values].mean
        errors[result] = matrix - (columns * scales).T
    graph.replace(changes)
    if bias_correction:
        correct_biases(model, means, errors)
    embeddings = quantize_embeddings(Graph(model), embedding, embedding_group)
    kept = [n.input[1] for n in model.graph.node if Graph.has_weight(graph, n)]
    return model, Rewritten(len(changes), embeddings, kept)


def _activation(graph: Graph, values: str, bounds: tuple[float, float]) -> Nodes:
    """Quantize and dequantize an activation, asymmetric within its range, which holds 0."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = (high - low) / _LEVELS or 1.0
    parts = [
        graph.constant(f"{values}.scale", np.float32(scale)),
        graph.constant(f"{values}.zero_point", np.uint8(np.clip(round(-low / scale), 0, _LEVELS))),
    ]
    return [
        node("QuantizeLinear", [values, *parts], f"{values}.int8"),
        node("DequantizeLinear", [f"{values}.int8", *parts], f"{values}.dequantized"),
    ]


def _weight(graph: Graph, name: str, values: NDArray[np.int8], scales: FloatArray) -> Nodes:
    if f"{name}.int8" in graph.weights:
        return []
    inputs = [
        graph.constant(f"{name}.int8", values),
        graph.constant(f"{name}.scale", scales),
        graph.constant(f"{name}.zero_point", np.zeros(len(scales), np.int8)),
    ]
    return [
        helper.make_node(
            "DequantizeLinear", inputs, [f"{name}.dequantized"], name=f"{name}.node", axis=1
        )
    ]
