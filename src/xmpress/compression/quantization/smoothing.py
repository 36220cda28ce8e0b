"""Changes of an fp32 graph that make it easier to quantize, and leave what it computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from xmpress.compression.quantization.calibration import Channels
from xmpress.compression.quantization.graph import Graph, Nodes, node
from xmpress.tasks import FloatArray

_TINY = 1e-5


def smooth(model: onnx.ModelProto, channels: dict[str, Channels], strength: float) -> int:
    """Move differences between channels from activations to weights (SmoothQuant).

    Channel j of an activation is divided by ``max|x_j|^a / max|w_j|^(1-a)`` and row j of the
    weights that it meets is multiplied by that (Xiao et al., 2023). The division is folded into the
    layer norm that makes the activation, if nothing else reads it; otherwise it is a
    multiplication of its own.

    Args:
        model: changed in place.
        channels: per activation that a product reads; changed to what they are afterwards, under
            the names they then have.
        strength: a; 0 leaves activations almost as they are, 1 makes all channels alike.

    Returns:
        How many activations were smoothed by folding.
    """
    graph = Graph(model)
    readers: dict[str, Nodes] = defaultdict(list)
    for product in graph.products:
        readers[product.input[0]].append(product)
    changes: dict[str, Nodes] = {}
    folded = 0
    for values, products in readers.items():
        weights = {product.input[1] for product in products}
        if values not in channels or any(graph.uses[weight] > 1 for weight in weights):
            continue
        factors = _factors(graph, channels[values], weights, strength)
        for weight in weights:
            _overwrite(graph, weight, graph.array(weight) * factors[:, None])
        maker = graph.made_by.get(values)
        smoothed = values
        if maker is not None and _folds(graph, maker, len(products)):
            folded += 1
            changes[values] = [_divided_norm(graph, maker, factors)]
        else:
            smoothed = f"{values}.smoothed"
            inverse = graph.constant(f"{values}.smoothing", (1 / factors).astype(np.float32))
            for number, product in enumerate(products):
                product.input[0] = smoothed
                before = [] if number else [node("Mul", [values, inverse], smoothed)]
                changes[product.output[0]] = [*before, product]
        channels[smoothed] = _scaled(channels.pop(values), factors)
    graph.replace(changes)
    return folded


def correct_biases(
    model: onnx.ModelProto, means: Mapping[str, FloatArray], errors: Mapping[str, FloatArray]
) -> int:
    """Add to each product what rounding its weights takes from it on average.

    Args:
        model: the quantized graph, changed in place.
        means: per product, by its output, the mean of its activation, float [c].
        errors: per product the rounding error of its weights, W minus the rounded, float [c, d].

    Returns:
        How many biases were corrected.
    """
    graph = Graph(model)
    changes: dict[str, Nodes] = {}
    for consumer in model.graph.node:
        if consumer.op_type != "Add":
            continue
        for product, other in (consumer.input, reversed(consumer.input)):
            if product in errors and other in graph.weights:
                bias = graph.array(other) + means[product] @ errors[product]
                corrected = graph.constant(f"{product}.bias", bias.astype(np.float32))
                changes[consumer.output[0]] = [
                    node("Add", [product, corrected], consumer.output[0])
                ]
                break
    graph.replace(changes)
    return len(changes)


def _factors(
    graph: Graph, channels: Channels, weights: set[str], strength: float
) -> NDArray[np.float32]:
    activations = np.maximum(channels.largest, _TINY)
    rows = np.max([np.abs(graph.array(w)).max(axis=1) for w in sorted(weights)], axis=0)
    factors = activations**strength / np.maximum(rows, _TINY) ** (1 - strength)
    return np.asarray(np.maximum(factors, _TINY), np.float32)


def _folds(graph: Graph, maker: onnx.NodeProto, readers: int) -> bool:
    return (
        maker.op_type == "LayerNormalization"
        and graph.uses[maker.output[0]] == readers
        and len(maker.input) == 3
        and all(name in graph.weights for name in maker.input[1:])
    )


def _divided_norm(
    graph: Graph, norm: onnx.NodeProto, factors: NDArray[np.float32]
) -> onnx.NodeProto:
    """The layer norm with its scale and shift divided."""
    folded = onnx.NodeProto()
    folded.CopyFrom(norm)
    for position in (1, 2):
        name = f"{norm.output[0]}.smoothed_{('scale', 'shift')[position - 1]}"
        value = graph.array(norm.input[position]) / factors
        folded.input[position] = graph.constant(name, value.astype(np.float32))
    return folded


def _scaled(channels: Channels, factors: NDArray[np.float32]) -> Channels:
    return Channels(channels.low / factors, channels.high / factors, channels.mean / factors)


def _overwrite(graph: Graph, name: str, value: NDArray[np.generic]) -> None:
    graph.weights[name].CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), name))
