"""int8 products whose activations are quantized while the graph runs, without calibration data.

Weights are symmetric, one scale per output column. Activations are quantized from the values that
are there ("dynamic"), either with one scale per token or with one range for the whole batch. With a
scale per token a text's result does not depend on the texts and the padding it is batched with, and
one token with large values does not coarsen the others.

x86 processors without VNNI add pairs of products of unsigned 8-bit activations (up to 255) and
signed weights in 16 bits, which saturates from 32,768 on. Weights of 7 bits, within -64 and 64,
cannot get there: 2 x 255 x 64 = 32,640.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import helper

from xmpress.compression.quantization.embeddings import EmbeddingMode, quantize_embeddings
from xmpress.compression.quantization.graph import Graph, Nodes, node
from xmpress.compression.quantization.rounding import quantize_rows
from xmpress.errors import ExportError

Activations = Literal["token", "tensor"]
LARGEST_WEIGHT = {7: 64, 8: 127}
"""By bits per weight."""
LARGEST_ACTIVATION = 127
MICROSOFT = "com.microsoft"


@dataclass
class Rewritten:
    """What was quantized.

    Attributes:
        matmuls: matrix multiplications now in int8.
        embeddings: embedding tables now in 8 or 4 bits.
        kept: names of the weights of matrix multiplications left in fp32: the heads, which are
            small and decide, what was asked to stay, and what has no form that is understood here.
    """

    matmuls: int
    embeddings: int
    kept: list[str]


def quantize_graph(
    model: onnx.ModelProto,
    *,
    activations: Activations = "token",
    weight_bits: Literal[7, 8] = 7,
    embedding: EmbeddingMode = "int8",
    embedding_group: int | None = None,
    keep: Collection[str] = (),
) -> Rewritten:
    """Quantize a graph in place.

    Args:
        model: an encoder with heads; opset 18 or later.
        activations: one scale per ``token``, or one range per ``tensor`` (a little faster).
        weight_bits: 7 never saturates; 8 is finer, for processors with VNNI or their like only.
        embedding: what the embedding tables become, see `quantize_embeddings`.
        embedding_group: with ``int4``, so many weights of a row share a scale.
        keep: names of weights that stay in fp32.

    Raises:
        ExportError: if the graph's opset is too old, or nothing in it can be quantized.
    """
    graph = Graph(model)
    if not graph.products:
        raise ExportError("nothing to quantize: no matrix multiplication with fp32 weights")
    rewriter = _Rewriter(graph, activations, LARGEST_WEIGHT[weight_bits])
    changes = {
        product.output[0]: rewriter.product(product)
        for product in graph.products
        if product.input[1] not in keep
    }
    graph.replace(changes)
    embeddings = quantize_embeddings(graph, embedding, embedding_group)
    graph.use_domain(MICROSOFT)
    kept = [n.input[1] for n in model.graph.node if graph.has_weight(n)]
    return Rewritten(len(changes), embeddings, kept)


class _Rewriter:
    def __init__(self, graph: Graph, activations: Activations, largest: int) -> None:
        self.graph = graph
        self.activations = activations
        self.largest = largest
        self.quantized: dict[str, tuple[str, str, str]] = {}

    def product(self, given: onnx.NodeProto) -> Nodes:
        values, weight = given.input
        nodes: Nodes = []
        if values not in self.quantized:
            nodes += self._quantize_activations(values)
        name, scale, zero_point = self.quantized[values]
        columns, scales = quantize_rows(np.asarray(self.graph.array(weight)).T, self.largest)
        int8 = self.graph.constant(f"{weight}.int8", columns.T)
        weight_scale = self.graph.constant(f"{weight}.scale", scales[:, 0])
        result = given.output[0]
        by_token = self.activations == "token"
        product = f"{result}.product" if by_token else result
        one = self.graph.constant("int8.one", np.float32(1.0))
        inputs = [name, int8, one if by_token else scale, weight_scale, zero_point]
        nodes.append(node("MatMulIntegerToFloat", inputs, product, domain=MICROSOFT))
        if by_token:
            nodes.append(node("Mul", [product, scale], result))
        return nodes

    def _quantize_activations(self, values: str) -> Nodes:
        """Nodes that quantize values [..., c] to uint8; several products may share them."""
        made = [f"{values}.{part}" for part in ("int8", "scale", "zero_point")]
        if self.activations == "tensor":
            self.quantized[values] = (made[0], made[1], made[2])
            return [helper.make_node("DynamicQuantizeLinear", [values], made, name=f"{values}.q")]
        constant = self.graph.constant
        one = constant("int8.one", np.float32(1.0))
        zero_point = constant("int8.zero_point", np.uint8(128))
        last_axis = constant("int8.last_axis", np.array([-1]))
        tiny = constant("int8.tiny", np.float32(1e-12))
        step = constant("int8.step", np.float32(1 / LARGEST_ACTIVATION))
        int8, scale, _ = made
        magnitude, largest, positive, inverse, scaled = (
            f"{values}.{part}" for part in ("magnitude", "largest", "positive", "inverse", "scaled")
        )
        self.quantized[values] = (int8, scale, zero_point)
        return [
            node("Abs", [values], magnitude),
            node("ReduceMax", [magnitude, last_axis], largest),
            node("Max", [largest, tiny], positive),
            node("Mul", [positive, step], scale),
            node("Div", [one, scale], inverse),
            node("Mul", [values, inverse], scaled),
            node("QuantizeLinear", [scaled, one, zero_point], int8),
        ]
