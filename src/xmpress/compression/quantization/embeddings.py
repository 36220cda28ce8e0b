"""Embedding tables in 8 or 4 bits, which they keep in memory: only the rows read are unpacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import onnx

from xmpress.compression.quantization.graph import Graph, Nodes, node
from xmpress.compression.quantization.rounding import (
    OFFSET_INT4,
    pack_int4,
    quantize_int4,
    quantize_rows,
)

EmbeddingMode = Literal["int8", "int4", "fp32"]


def quantize_embeddings(graph: Graph, mode: EmbeddingMode, group: int | None = None) -> int:
    """Quantize every embedding table of a graph in place.

    Args:
        graph: changed.
        mode: ``int8`` with a scale per row; ``int4``, two weights in a byte.
        group: with ``int4``, so many weights of a row share a scale; ``None`` for the whole row.

    Returns:
        The number of tables quantized.

    Raises:
        ExportError: if a table cannot be packed.
    """
    if mode == "fp32":
        return 0
    changes = {
        lookup.output[0]: _int8(graph, lookup) if mode == "int8" else _int4(graph, lookup, group)
        for lookup in graph.embeddings
    }
    graph.replace(changes)
    return len({lookup.input[0] for lookup in graph.embeddings})


def _int8(graph: Graph, lookup: onnx.NodeProto) -> Nodes:
    table, rows = lookup.input
    result = lookup.output[0]
    values, scales = quantize_rows(np.asarray(graph.array(table), np.float32), 127)
    int8 = graph.constant(f"{table}.int8", values)
    scale = graph.constant(f"{table}.scale", scales)
    name = _namer(result)
    return [
        node("Gather", [int8, rows], name("int8")),
        node("Cast", [name("int8")], name("float"), to=onnx.TensorProto.FLOAT),
        node("Gather", [scale, rows], name("scale")),
        node("Mul", [name("float"), name("scale")], result),
    ]


def _int4(graph: Graph, lookup: onnx.NodeProto, group: int | None) -> Nodes:
    table, rows = lookup.input
    result = lookup.output[0]
    values, scales = quantize_int4(np.asarray(graph.array(table), np.float32), group)
    int4 = graph.constant(f"{table}.int4", pack_int4(values))
    scale = graph.constant(f"{table}.scale", scales)
    low_half = graph.constant("int4.low_half", np.uint8(15))
    four = graph.constant("int4.four", np.uint8(4))
    offset = graph.constant("int4.offset", np.float32(OFFSET_INT4))
    name = _namer(result)
    nodes = [
        node("Gather", [int4, rows], name("packed")),
        node("BitwiseAnd", [name("packed"), low_half], name("low")),
        node("BitShift", [name("packed"), four], name("high"), direction="RIGHT"),
        node("Concat", [name("low"), name("high")], name("nibbles"), axis=-1),
        node("Cast", [name("nibbles")], name("shifted"), to=onnx.TensorProto.FLOAT),
        node("Sub", [name("shifted"), offset], name("integers")),
        node("Gather", [scale, rows], name("fp16_scale")),
        node("Cast", [name("fp16_scale")], name("scale"), to=onnx.TensorProto.FLOAT),
    ]
    if scales.shape[1] == 1:
        return [*nodes, node("Mul", [name("integers"), name("scale")], result)]
    last = graph.constant("int4.last_axis", np.array([-1]))
    width = graph.constant(f"{table}.width", np.array([values.shape[1]]))
    return [
        *nodes,
        # A group's weights side by side on an axis of their own, times the group's scale.
        node("Shape", [name("scale")], name("groups")),
        node("Concat", [name("groups"), last], name("grouped_shape"), axis=0),
        node("Reshape", [name("integers"), name("grouped_shape")], name("grouped")),
        node("Unsqueeze", [name("scale"), last], name("group_scale")),
        node("Mul", [name("grouped"), name("group_scale")], name("scaled")),
        node("Shape", [rows], name("rows_shape")),
        node("Concat", [name("rows_shape"), width], name("shape"), axis=0),
        node("Reshape", [name("scaled"), name("shape")], result),
    ]


def _namer(result: str) -> Callable[[str], str]:
    """Names for the steps of a lookup; others than those of a product that reads its result."""
    return lambda part: f"{result}.row.{part}"
