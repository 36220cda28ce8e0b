import numpy as np
import pytest

from xmpress.errors import EngineError
from xmpress.runtime.engines import open_engine
from xmpress.tasks import TaskSet


def batch(rows=2, length=5):
    ids = np.full((rows, length), 7, dtype=np.int64)
    return {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}


@pytest.mark.parametrize(("name", "threads"), [("auto", None), ("onnx", 1)])
def test_runs_a_batch(tiny_bundle, name, threads):
    engine = open_engine(tiny_bundle, name, threads=threads)
    tasks = TaskSet.load("experience")
    assert engine.name == "onnx"
    assert engine.outputs == tasks.names
    scores = engine.run(batch())
    assert {name: (s.shape, s.dtype) for name, s in scores.items()} == {
        task.name: ((2, len(task)), np.float32) for task in tasks
    }


def test_unknown_engine(tiny_bundle):
    with pytest.raises(EngineError, match="'gpu'; the engines are onnx, openvino"):
        open_engine(tiny_bundle, "gpu")


@pytest.mark.parametrize("name", ["auto", "onnx"])
def test_no_graph(tmp_path, name):
    with pytest.raises(EngineError, match="has no graph for engine"):
        open_engine(tmp_path, name)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads(tiny_bundle, threads):
    with pytest.raises(EngineError, match="expected at least 1"):
        open_engine(tiny_bundle, threads=threads)


@pytest.mark.parametrize("content", [None, b"", b"not a graph"])
def test_unusable_graph(tmp_path, content):
    (tmp_path / "onnx").mkdir()
    if content is not None:
        (tmp_path / "onnx/model.onnx").write_bytes(content)
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_engine(tmp_path)


def test_a_failing_run_is_our_error(tiny_bundle):
    engine = open_engine(tiny_bundle)
    with pytest.raises(EngineError, match="ONNX Runtime failed"):
        engine.run(batch() | {"input_ids": np.full((2, 5), 10**6)})
    with pytest.raises(EngineError, match="ONNX Runtime failed"):
        engine.run({"input_ids": np.ones((2, 5), np.int64)})
