"""How many operations per second the machine reaches in matrix products, by precision.

The roof over every model: what is left below it is tokenisation, memory, softmax, padding and small
matrices. Each precision is tried with every library at hand, and the best of them counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

SIZE = 1024
"""Rows and columns of the matrices: a billion multiplications, of which memory is no part."""
_SECONDS = 0.4
"""Spent on each library."""
Product = Callable[[], object]


@dataclass(frozen=True)
class Peak:
    """The best that was reached in one precision.

    Attributes:
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        flops: operations per second.
        by: the library.
        device: ``cpu`` or ``cuda``.
    """

    precision: str
    flops: float
    by: str
    device: str = "cpu"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_peaks(threads: int, *, size: int = SIZE, seconds: float = _SECONDS) -> list[Peak]:
    """The peaks of this machine, in this process, on so many threads.

    Returns:
        One per precision and device that a library at hand computes in.
    """
    return best_of(
        [
            Peak(precision, 2.0 * size**3 / _fastest(product, seconds), by, device)
            for precision, by, device, product in _products(threads, size)
        ]
    )


def best_of(peaks: Iterable[Peak]) -> list[Peak]:
    """The highest by precision and device: what disturbs a measurement only lowers it."""
    best: dict[tuple[str, str], Peak] = {}
    for peak in peaks:
        key = (peak.precision, peak.device)
        if key not in best or peak.flops > best[key].flops:
            best[key] = peak
    return list(best.values())


def _fastest(product: Product, seconds: float) -> float:
    """The shortest time of a product, after one that does not count."""
    product()
    shortest, end = float("inf"), time.perf_counter() + seconds
    while shortest == float("inf") or time.perf_counter() < end:
        begun = time.perf_counter()
        product()
        shortest = min(shortest, time.perf_counter() - begun)
    return shortest


def _products(threads: int, size: int) -> Iterator[tuple[str, str, str, Product]]:
    random = np.random.default_rng(0)
    matrix = random.standard_normal((size, size), dtype=np.float32)
    whole = random.integers(0, 127, (size, size), dtype=np.uint8)
    yield "fp32", "numpy", "cpu", lambda: matrix @ matrix
    if find_spec("onnx") is not None:
        yield "fp32", "onnxruntime", "cpu", _in_onnxruntime("MatMul", matrix, matrix, threads)
        yield (
            "int8",
            "onnxruntime",
            "cpu",
            _in_onnxruntime("MatMulInteger", whole, whole.astype(np.int8), threads),
        )
    if find_spec("torch") is not None:
        # By name: what needs torch lies in a layer of its own.
        yield from import_module("xmpress.peers.peaks").products(threads, size)


def _in_onnxruntime(operator: str, left: Any, right: Any, threads: int) -> Product:
    """A product with a constant matrix, as the weights of a model are."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}
    given = kinds[str(left.dtype)]
    result = TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", given, list(left.shape))],
        [helper.make_tensor_value_info("product", result, list(left.shape))],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"left": left})
