import sys

import numpy as np
import pytest

from xmpress.errors import EngineError, MissingExtraError
from xmpress.runtime import engines
from xmpress.runtime.engines import default_threads, engines_of, open_engine
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


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_other_engines_run_a_batch(bundle_of_all_engines, name, streams):
    if name not in engines_of(bundle_of_all_engines):
        pytest.skip(f"{name} is not installed")
    engine = open_engine(bundle_of_all_engines, name, threads=streams, streams=streams)
    assert engine.name == name
    assert engine.outputs == TaskSet.load("experience").names
    expected = open_engine(bundle_of_all_engines, "onnx", threads=1).run(batch())
    for task, scores in engine.run(batch()).items():
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected[task], atol=1e-3)
    with pytest.raises(EngineError, match="failed"):
        engine.run({"nonsense": np.ones((2, 5), np.int64)})


def test_the_environment_pins_the_engine(bundle_of_all_engines, monkeypatch):
    monkeypatch.setenv("XMPRESS_ENGINE", "torch")
    assert open_engine(bundle_of_all_engines, threads=1).name == "torch"
    assert open_engine(bundle_of_all_engines, "onnx", threads=1).name == "onnx"
    monkeypatch.setenv("XMPRESS_ENGINE", "abacus")
    with pytest.raises(EngineError, match="there is no engine 'abacus'"):
        open_engine(bundle_of_all_engines, threads=1)


def test_the_environment_sets_the_threads(monkeypatch):
    monkeypatch.setenv("XMPRESS_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.delenv("XMPRESS_THREADS")
    assert default_threads() >= 1
    for wrong in ("0", "many", "-1"):
        monkeypatch.setenv("XMPRESS_THREADS", wrong)
        with pytest.raises(EngineError, match=f"XMPRESS_THREADS is '{wrong}'"):
            default_threads()


def test_an_engine_that_is_not_installed_is_passed_over_or_named(
    bundle_of_all_engines, tmp_path, monkeypatch
):
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "onnx")
    assert open_engine(bundle_of_all_engines, threads=1).name == "onnx"
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino/model.xml").touch()
    # None in place of a module makes its import fail as if it were not there.
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "xmpress.runtime.engines.openvino", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'xmpress\[openvino\]'"):
        open_engine(tmp_path)


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
