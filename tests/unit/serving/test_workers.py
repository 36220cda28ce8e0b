"""Engines in processes of their own."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from xmpress.errors import EngineError
from xmpress.runtime.engines import open_engine
from xmpress.serving import workers
from xmpress.serving.workers import EngineProcess

INPUTS = {
    "input_ids": np.array([[2, 9, 3], [2, 3, 0]]),
    "attention_mask": np.array([[1, 1, 1], [1, 1, 0]]),
    "token_type_ids": np.zeros((2, 3), dtype=np.int64),
}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.allclose(found[name], expected[name], atol=1e-6) for name in expected
    )


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_process_answers_as_an_engine_and_survives_being_killed(tiny_bundle):
    expected = open_engine(tiny_bundle, threads=1).run(INPUTS)
    restarts = []
    engine = EngineProcess(tiny_bundle, threads=2, on_restart=lambda: restarts.append(1))
    try:
        assert engine.name == "onnx"
        assert same(engine.run(INPUTS), expected)
        os.kill(engine.pid, signal.SIGTERM)  # as a supervisor sends to all; not for it
        first = engine.pid
        with pytest.raises(EngineError, match="ONNX Runtime failed"):
            engine.run({"input_ids": INPUTS["input_ids"]})
        assert engine.pid == first
        # Killed at work: stopped first, so that the batch is surely with it.
        os.kill(first, signal.SIGSTOP)
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(engine.run(INPUTS))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        os.kill(first, signal.SIGKILL)
        for thread in threads:
            thread.join(60)
        assert len(found) == 2
        assert all(same(outputs, expected) for outputs in found)
        assert engine.pid != first
        # Killed while idle.
        os.kill(engine.pid, signal.SIGKILL)
        second = engine.pid
        while engine.pid == second:
            engine.revive()
        assert same(engine.run(INPUTS), expected)
        assert len(restarts) == 2
    finally:
        last = engine.pid
        engine.close()
    assert gone(last)
    engine.revive()
    assert engine.pid is None


def test_a_bundle_that_cannot_be_run(tmp_path):
    with pytest.raises(EngineError, match="no graph"):
        EngineProcess(tmp_path)


def test_a_batch_that_kills_is_given_up(monkeypatch, tiny_bundle):
    class Deadly:
        """Dies of every batch."""

        pid = 0

        def __init__(self, *_):
            self.idle = workers.SimpleQueue()
            ours, theirs = workers._CONTEXT.Pipe()
            theirs.close()
            self.idle.put(ours)
            self.process = self
            self.engine, self.outputs = "onnx", ()

        def is_alive(self):
            return True

        def kill(self):
            pass

        def join(self, timeout=None):
            pass

    monkeypatch.setattr(EngineProcess, "_open", Deadly)
    with pytest.raises(workers.EngineDiedError, match="3 engine processes"):
        EngineProcess(tiny_bundle).run(INPUTS)
