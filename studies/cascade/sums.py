"""How a first stage sums the vectors of a text's pieces: ways to do it, in turns.

    python studies/cascade/sums.py [ROUNDS]

On the texts of the bundled sample under the default bundle's tokenizer, 64 numbers per piece.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from xmpress.data import load_dataset
from xmpress.runtime.batching import token_budget_batches
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.cascade import sum_pieces
from xmpress.tasks import FloatArray, TaskSet
from xmpress.zoo import resolve

tokenizer = Bundle.open(resolve()).tokenizer()
encoded = tokenizer.encode(load_dataset("sample", TaskSet.load("experience")).texts)
pieces = tokenizer.vocab_size
table = np.random.default_rng(0).integers(-127, 128, (pieces, 64)).astype(np.int8)


def reduceat() -> FloatArray:
    vectors = np.take(table, encoded.tokens, axis=0)
    sums = np.add.reduceat(vectors, encoded.offsets[:-1], axis=0, dtype=np.int32)
    return sums.astype(np.float32)


def session() -> onnxruntime.InferenceSession:
    """Gather and sum; one row more, of zeros, is what shorter texts are padded with."""
    padded = np.vstack([table, np.zeros((1, 64), np.int8)]).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["vectors"]),
            helper.make_node("ReduceSum", ["vectors", "axes"], ["sums"], keepdims=0),
        ],
        "sums",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["B", "T"])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["B", 64])],
        [numpy_helper.from_array(padded, "table"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


running = session()


def in_onnxruntime() -> FloatArray:
    sums = np.empty((len(encoded), 64), dtype=np.float32)
    for rows in token_budget_batches(encoded.lengths, budget=2048):
        places = np.arange(int(encoded.lengths[rows].max()))
        present = places < encoded.lengths[rows, None]
        ids = np.full(present.shape, pieces, dtype=np.int32)
        ids[present] = encoded.tokens[(encoded.offsets[rows, None] + places)[present]]
        sums[rows] = running.run(None, {"ids": ids})[0]
    return sums


WAYS = {
    "place after place": lambda: sum_pieces(table, encoded),
    "ONNX Runtime, padded": in_onnxruntime,
    "numpy.add.reduceat": reduceat,
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    expected = reduceat()
    for _ in range(rounds):
        for name, way in WAYS.items():
            started = time.perf_counter()
            found = way()
            taken[name].append(time.perf_counter() - started)
            np.testing.assert_array_equal(found, expected)
    print(f"{len(encoded):,} texts of {encoded.lengths.mean():.1f} tokens, {rounds} rounds")
    for name, seconds in taken.items():
        print(f"{name:22} {1e6 * min(seconds) / len(encoded):6.1f} us per text (fastest round)")


if __name__ == "__main__":
    main()
