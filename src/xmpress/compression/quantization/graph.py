"""An ONNX graph as quantization sees it: products with weights, embedding tables, heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from xmpress.errors import ExportError

FIRST_OPSET = 18
"""From here on ReduceMax takes its axes as an input, as written here."""
SMALLEST_EMBEDDING = 256
"""Rows; smaller tables (segments) are not worth it."""
_DEFAULT_DOMAINS = {"", "ai.onnx"}

Nodes = list[onnx.NodeProto]


class Graph:
    """A model's graph, changed in place.

    Attributes:
        model: what is changed.
        weights: fp32 or other constants by name.
        products: the matrix multiplications with a weight, but for the heads.
        heads: what the last product before each output computes.
        embeddings: lookups in a table of at least `SMALLEST_EMBEDDING` rows that nothing else
            reads.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        opset = next((o.version for o in model.opset_import if o.domain in _DEFAULT_DOMAINS), 0)
        if opset < FIRST_OPSET:
            raise ExportError(f"the graph has opset {opset}; export it with {FIRST_OPSET} or later")
        self.model = model
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.uses = Counter(name for node in model.graph.node for name in node.input)
        self.made_by = {name: node for node in model.graph.node for name in node.output}
        heads = self._heads()
        weighted = [node for node in model.graph.node if self.has_weight(node)]
        self.heads = [node for node in weighted if node.output[0] in heads]
        self.products = [
            node for node in weighted if node.op_type == "MatMul" and node.output[0] not in heads
        ]
        lookups = [node for node in model.graph.node if self._is_lookup(node)]
        read = Counter(node.input[0] for node in lookups)
        self.embeddings = [n for n in lookups if read[n.input[0]] == self.uses[n.input[0]]]

    def array(self, name: str) -> NDArray[Any]:
        """The value of a constant."""
        return numpy_helper.to_array(self.weights[name])

    def constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        """Add a constant, unless there is one of that name; the name."""
        if name not in self.weights:
            tensor = numpy_helper.from_array(np.array(value, order="C"), name)
            self.weights[name] = tensor
            self.model.graph.initializer.append(tensor)
        return name

    def replace(self, changes: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
        """Put nodes in place of others, and drop the constants that no node reads any more.

        Args:
            changes: by the first output of the node that is replaced.
        """
        nodes = [n for node in self.model.graph.node for n in changes.get(node.output[0], [node])]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
        outputs = {output.name for output in self.model.graph.output}
        read = {name for node in nodes for name in node.input} | outputs
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in read]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)

    def use_domain(self, domain: str, version: int = 1) -> None:
        """Declare operators beyond the standard ones."""
        if not any(o.domain == domain for o in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(domain, version))

    def has_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a node multiplies with an fp32 matrix that is a constant."""
        return node.op_type in {"MatMul", "Gemm"} and self._is_table(node.input[1])

    def _is_table(self, name: str) -> bool:
        tensor = self.weights.get(name)
        return (
            tensor is not None
            and len(tensor.dims) == 2
            and tensor.data_type == onnx.TensorProto.FLOAT
        )

    def _is_lookup(self, node: onnx.NodeProto) -> bool:
        return (
            node.op_type == "Gather"
            and self._is_table(node.input[0])
            and self.weights[node.input[0]].dims[0] >= SMALLEST_EMBEDDING
            and all(a.i == 0 for a in node.attribute if a.name == "axis")
        )

    def _heads(self) -> set[str]:
        return {
            next((n.output[0] for n in self._backwards(o.name) if self.has_weight(n)), "")
            for o in self.model.graph.output
        }

    def _backwards(self, name: str) -> Iterator[onnx.NodeProto]:
        """The nodes that lead to a value, along the first computed input of each."""
        while name in self.made_by:
            yield self.made_by[name]
            name = next((i for i in self.made_by[name].input if i in self.made_by), "")


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """A node with one output, which it is named after."""
    return helper.make_node(operator, list(inputs), [output], name=f"{output}.node", **attributes)
