"""Weights in 16 bits: half the bytes on disk; computed in fp32 on a CPU.

x86 processors have no 16-bit products that ONNX Runtime would use for them, so each matrix is
widened when the graph is opened. Embedding tables stay in 16 bits in memory too: only the rows that
are read are widened.
"""

from __future__ import annotations

from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray

from xmpress.compression.quantization.graph import Graph, Nodes, node
from xmpress.errors import ExportError

HalfMode = Literal["fp16", "bf16"]


def halve_weights(model: onnx.ModelProto, mode: HalfMode) -> tuple[int, int]:
    """Store the matrices and embedding tables of a graph in 16 bits, in place; heads stay.

    Returns:
        The number of matrices and of tables.

    Raises:
        ExportError: if weights exceed what fp16 can hold.
    """
    graph = Graph(model)
    changes: dict[str, Nodes] = {}
    widened: set[str] = set()
    for product in graph.products:
        values, weight = product.input
        wide = f"{weight}.wide"
        before: Nodes = []
        if weight not in widened:
            widened.add(weight)
            narrow = graph.constant(f"{weight}.{mode}", _narrow(graph, weight, mode))
            before = [node("Cast", [narrow], wide, to=onnx.TensorProto.FLOAT)]
        changes[product.output[0]] = [*before, node("MatMul", [values, wide], product.output[0])]
    for lookup in graph.embeddings:
        table, rows = lookup.input
        narrow = graph.constant(f"{table}.{mode}", _narrow(graph, table, mode))
        result = lookup.output[0]
        changes[result] = [
            node("Gather", [narrow, rows], f"{result}.{mode}"),
            node("Cast", [f"{result}.{mode}"], result, to=onnx.TensorProto.FLOAT),
        ]
    graph.replace(changes)
    return len(widened), len({lookup.input[0] for lookup in graph.embeddings})


def _narrow(graph: Graph, name: str, mode: HalfMode) -> NDArray[np.generic]:
    value = np.asarray(graph.array(name), np.float32)
    if mode == "bf16":
        return np.asarray(value.astype(ml_dtypes.bfloat16))
    largest = float(np.abs(value).max(initial=0.0))
    if largest > np.finfo(np.float16).max:
        raise ExportError(f"{name} holds {largest:.3g}, which fp16 cannot; choose mode: bf16")
    return value.astype(np.float16)
