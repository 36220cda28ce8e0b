"""Operations of a model, from the shapes of its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_MATRIX = {
    "Attention",
    "DynamicQuantizeMatMul",
    "FusedMatMul",
    "Gemm",
    "MatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QAttention",
    "QGemm",
    "QLinearMatMul",
}
_PASSES_ON = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"}
"""Operators between a weight and the product it is used in."""


def work_of_graph(folder: Path) -> float | None:
    """Operations per token of an engine's ONNX graph, two for each weight of a matrix.

    Heads are left out, for they see one vector per text.

    Returns:
        ``None`` if the folder has no ONNX graph, or the package ``onnx`` is not installed.
    """
    graphs = sorted(folder.glob("*.onnx"))
    if not graphs:
        return None
    try:
        import onnx
    except ModuleNotFoundError:
        return None
    graph = onnx.load(str(graphs[0]), load_external_data=False).graph
    weights = {t.name: int(t.dims[0] * t.dims[1]) for t in graph.initializer if len(t.dims) == 2}
    results = {output.name for output in graph.output}
    for node in reversed(graph.node):  # the bias of a head is added to what the head gives
        if node.op_type in {"Add", "Identity", "Cast"} and results & set(node.output):
            results |= set(node.input)
    total = 0
    for node in graph.node:
        used = [weights[name] for name in node.input if name in weights]
        if node.op_type in _PASSES_ON and used:
            weights[node.output[0]] = used[0]
        elif node.op_type in _MATRIX and not results & set(node.output):
            total += _blocked(node) if node.op_type == "MatMulNBits" else max(used, default=0)
    return 2.0 * total


def _blocked(node: Any) -> int:
    """The weights of a product whose matrix is stored in blocks."""
    sizes = {attribute.name: attribute.i for attribute in node.attribute}
    return int(sizes["K"] * sizes["N"])
