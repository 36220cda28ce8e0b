"""Rewrites an fp32 ONNX graph so that its large matrices and embeddings are int8.

Weights are symmetric, one scale per output column. Activations are quantized while the graph runs,
from the values that are there ("dynamic"), either with one scale per token or with one range for
the whole batch. With a scale per token a text's result does not depend on the texts and the padding
it is batched with, and one token with large values does not coarsen the others.

x86 processors without VNNI add pairs of products of unsigned 8-bit activations (up to 255) and
signed weights in 16 bits, which saturates from 32,768 on. Weights of 7 bits, within -64 and 64,
cannot get there: 2 x 255 x 64 = 32,640.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from xmpress.errors import ExportError
from xmpress.tasks import FloatArray

Activations = Literal["token", "tensor"]
LARGEST_WEIGHT = {7: 64, 8: 127}
"""By bits per weight."""
LARGEST_ACTIVATION = 127
MICROSOFT = "com.microsoft"
FIRST_OPSET = 18
"""From here on ReduceMax takes its axes as an input, as written here."""
SMALLEST_EMBEDDING = 256
"""Rows; smaller tables (segments) are not worth it."""


@dataclass
class Rewritten:
    """What was quantized.

    Attributes:
        matmuls: matrix multiplications now in int8.
        embeddings: embedding tables now in int8.
        kept: names of the weights of matrix multiplications left in fp32: the heads, which are
            small and decide, and what has no form that is understood here.
    """

    matmuls: int
    embeddings: int
    kept: list[str]


def quantize_graph(
    model: onnx.ModelProto,
    *,
    activations: Activations = "token",
    weight_bits: Literal[7, 8] = 7,
    embedding: bool = True,
) -> Rewritten:
    """Quantize a graph in place.

    Args:
        model: an encoder with heads; opset 18 or later.
        activations: one scale per ``token``, or one range per ``tensor`` (a little faster).
        weight_bits: 7 never saturates; 8 is finer, for processors with VNNI or their like only.
        embedding: also make the embedding tables int8, with one scale per row.

    Raises:
        ExportError: if the graph's opset is too old, or nothing in it can be quantized.
    """
    opset = next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 0)
    if opset < FIRST_OPSET:
        raise ExportError(f"the graph has opset {opset}; export it with {FIRST_OPSET} or later")
    rewriter = _Rewriter(model.graph, activations, LARGEST_WEIGHT[weight_bits], embedding)
    done = rewriter.run()
    if not done.matmuls:
        raise ExportError("nothing to quantize: no matrix multiplication with fp32 weights")
    if not any(o.domain == MICROSOFT for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return done


def quantize_rows(table: FloatArray, largest: int) -> tuple[NDArray[np.int8], FloatArray]:
    """Symmetric quantization with one scale per row.

    Args:
        table: float [r, c].
        largest: the largest magnitude used, at most 127.

    Returns:
        int8 [r, c] and the scales, float32 [r, 1]: their product is the table again, to within half
        a scale.
    """
    scales = (np.abs(table).max(axis=1, keepdims=True) / largest).astype(np.float32)
    scales[scales == 0] = 1.0
    return np.rint(table / scales).astype(np.int8), scales


class _Rewriter:
    def __init__(
        self, graph: onnx.GraphProto, activations: Activations, largest: int, embedding: bool
    ) -> None:
        self.graph = graph
        self.activations = activations
        self.largest = largest
        self.embedding = embedding
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.quantized: dict[str, tuple[str, str, str]] = {}
        self.done = Rewritten(0, 0, [])

    def run(self) -> Rewritten:
        heads = self._heads()
        gathered = Counter(n.input[0] for n in self.graph.node if self._is_embedding(n))
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.node:
            if self._has_weight(node) and node.op_type == "MatMul" and node.output[0] not in heads:
                nodes += self._matmul(node)
            elif (
                self.embedding
                and self._is_embedding(node)
                and gathered[node.input[0]] == self.uses[node.input[0]]
            ):
                nodes += self._embedding(node)
            else:
                if self._has_weight(node):
                    self.done.kept.append(node.input[1])
                nodes.append(node)
        self._replace(nodes)
        return self.done

    def _replace(self, nodes: list[onnx.NodeProto]) -> None:
        """Put the new nodes in place, and drop the weights that no node reads any more."""
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        read = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    # ---- what is what -------------------------------------------------------------------------

    def _table(self, name: str) -> bool:
        tensor = self.weights.get(name)
        return (
            tensor is not None
            and len(tensor.dims) == 2
            and tensor.data_type == onnx.TensorProto.FLOAT
        )

    def _has_weight(self, node: onnx.NodeProto) -> bool:
        return node.op_type in {"MatMul", "Gemm"} and self._table(node.input[1])

    def _is_embedding(self, node: onnx.NodeProto) -> bool:
        return (
            node.op_type == "Gather"
            and self._table(node.input[0])
            and self.weights[node.input[0]].dims[0] >= SMALLEST_EMBEDDING
            and all(a.i == 0 for a in node.attribute if a.name == "axis")
        )

    def _heads(self) -> set[str]:
        """What the last node with weights before each output computes."""
        made_by = {name: node for node in self.graph.node for name in node.output}
        return {
            next((n.output[0] for n in _backwards(output.name, made_by) if self._has_weight(n)), "")
            for output in self.graph.output
        }

    # ---- what it becomes ----------------------------------------------------------------------

    def _matmul(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        values, weight = node.input
        nodes: list[onnx.NodeProto] = []
        if values not in self.quantized:
            nodes += self._quantize_activations(values)
        name, scale, zero_point = self.quantized[values]
        table = numpy_helper.to_array(self.weights[weight])
        columns, scales = quantize_rows(table.T, self.largest)
        int8 = self._constant(f"{weight}.int8", columns.T)
        weight_scale = self._constant(f"{weight}.scale", scales[:, 0])
        result = node.output[0]
        by_token = self.activations == "token"
        product = f"{result}.product" if by_token else result
        one = self._constant("int8.one", np.float32(1.0))
        inputs = [name, int8, one if by_token else scale, weight_scale, zero_point]
        nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat",
                inputs,
                [product],
                name=f"{node.name}.int8",
                domain=MICROSOFT,
            )
        )
        if by_token:
            nodes.append(helper.make_node("Mul", [product, scale], [result], name=f"{result}.mul"))
        self.done.matmuls += 1
        return nodes

    def _quantize_activations(self, values: str) -> list[onnx.NodeProto]:
        """Nodes that quantize values [..., c] to uint8; several products may share them."""
        made = [f"{values}.{part}" for part in ("int8", "scale", "zero_point")]
        if self.activations == "tensor":
            self.quantized[values] = (made[0], made[1], made[2])
            return [helper.make_node("DynamicQuantizeLinear", [values], made, name=f"{values}.q")]
        one = self._constant("int8.one", np.float32(1.0))
        zero_point = self._constant("int8.zero_point", np.uint8(128))
        last_axis = self._constant("int8.last_axis", np.array([-1]))
        tiny = self._constant("int8.tiny", np.float32(1e-12))
        step = self._constant("int8.step", np.float32(1 / LARGEST_ACTIVATION))
        int8, scale, _ = made
        magnitude, largest, positive, inverse, scaled = (
            f"{values}.{part}" for part in ("magnitude", "largest", "positive", "inverse", "scaled")
        )
        self.quantized[values] = (int8, scale, zero_point)
        steps = [
            ("Abs", [values], magnitude),
            ("ReduceMax", [magnitude, last_axis], largest),
            ("Max", [largest, tiny], positive),
            ("Mul", [positive, step], scale),
            ("Div", [one, scale], inverse),
            ("Mul", [values, inverse], scaled),
            ("QuantizeLinear", [scaled, one, zero_point], int8),
        ]
        return [
            helper.make_node(operator, inputs, [result], name=f"{result}.node")
            for operator, inputs, result in steps
        ]

    def _embedding(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        table, rows = node.input
        result = node.output[0]
        int8, scales = quantize_rows(numpy_helper.to_array(self.weights[table]), 127)
        parts = [f"{result}.{part}" for part in ("int8", "float", "scale")]
        names = [
            self._constant(f"{table}.int8", int8),
            self._constant(f"{table}.scale", scales),
        ]
        self.done.embeddings += 1
        return [
            helper.make_node("Gather", [names[0], rows], [parts[0]], name=f"{node.name}.int8"),
            helper.make_node("Cast", [parts[0]], [parts[1]], name=f"{node.name}.cast", to=1),
            helper.make_node("Gather", [names[1], rows], [parts[2]], name=f"{node.name}.scale"),
            helper.make_node("Mul", parts[1:], [result], name=f"{node.name}.mul"),
        ]

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        if name not in self.weights:
            tensor = numpy_helper.from_array(np.array(value, order="C"), name)
            self.weights[name] = tensor
            self.graph.initializer.append(tensor)
        return name


def _backwards(name: str, made_by: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes that lead to a value, along the first computed input of each."""
    while name in made_by:
        yield made_by[name]
        name = next((i for i in made_by[name].input if i in made_by), "")
