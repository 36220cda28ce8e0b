import threading

import numpy as np
import pytest

from xmpress.errors import EngineError
from xmpress.runtime.tokenization import Encoded
from xmpress.serving.batcher import Batcher, ClosedError, QueueFullError


class ToyCodec:
    """One token per word; a text's row is the number of its tokens."""

    width = 1

    def encode(self, pairs):
        return Encoded.of([np.ones(len(text.split()), dtype=np.int32) for text, _ in pairs])

    def inputs(self, texts):
        lengths = [len(text.ids) for text in texts]
        return {"input_ids": np.array(lengths)}, sum(lengths), max(lengths) * len(lengths)

    def rows(self, outputs):
        return outputs["n"]


class ToyEngine:
    """Tells lengths, and remembers its batches; waits while `gate` is closed."""

    name, outputs = "onnx", ("n",)

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.error = None

    def run(self, inputs):
        self.batches.append(inputs["input_ids"].tolist())
        self.busy.set()
        self.gate.wait(timeout=30)
        self.busy.clear()
        if self.error:
            raise EngineError(self.error)
        return {"n": inputs["input_ids"].astype(np.float32)[:, None]}


class Ear:
    def __init__(self):
        self.texts = self.tokens = self.padded = self.waits = 0

    def tokenised(self, texts, seconds):
        assert seconds >= 0

    def waited(self, seconds):
        self.waits += 1

    def ran(self, texts, tokens, padded, seconds):
        self.texts += texts
        self.tokens += tokens
        self.padded += padded


def pairs(*lengths):
    return [(" ".join(["word"] * n), None) for n in lengths]


@pytest.fixture
def engine():
    return ToyEngine()


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def batcher(engine, ear):
    batcher = Batcher(ToyCodec(), [engine], limit=10, observer=ear)
    yield batcher
    engine.gate.set()
    batcher.close()


def block(batcher, engine):
    """Keep the engine busy."""
    engine.gate.clear()
    job = batcher.submit(pairs(1))
    assert engine.busy.wait(10)
    return job


def test_an_idle_engine_starts_at_once(batcher, engine, ear):
    assert batcher.submit(pairs(3)).future.result(10).tolist() == [[3.0]]
    assert engine.batches == [[3]]
    assert (ear.texts, ear.tokens, ear.waits) == (1, 3, 1)
    assert batcher.pending == 0


def test_requests_that_wait_share_a_batch_and_each_gets_its_own(batcher, engine, ear):
    first = block(batcher, engine)
    jobs = [batcher.submit(pairs(2, 4)), batcher.submit(pairs(3)), batcher.submit(pairs(5, 3, 2))]
    while sum(len(job.pairs) for job in jobs) != len(batcher._queue):
        pass  # until they are tokenised
    engine.gate.set()
    found = [job.future.result(10).ravel().tolist() for job in jobs]
    assert found == [[2, 4], [3], [5, 3, 2]]
    assert first.future.result(10).tolist() == [[1]]
    assert [sorted(batch) for batch in engine.batches] == [[1], [2, 2, 3, 3, 4, 5]]
    assert (ear.tokens, ear.padded) == (20, 1 + 6 * 5)


def test_too_much_is_refused_and_says_when_to_come_again(batcher, engine):
    block(batcher, engine)
    batcher.submit(pairs(*[1] * 9))
    with pytest.raises(QueueFullError, match="try again in") as refused:
        batcher.submit(pairs(1))
    assert 1 <= refused.value.retry_after <= 60


def test_texts_count_until_their_request_is_answered(engine, ear):
    """Else many requests that are nearly done would wait together, each for very long."""
    steps = threading.Semaphore(0)
    engine.gate.wait = steps.acquire
    batcher = Batcher(ToyCodec(), [engine], limit=500, observer=ear)
    job = batcher.submit(pairs(*[1] * 300))
    steps.release()
    while len(engine.batches) < 2:
        pass
    assert batcher.pending == 300
    steps.release()
    job.future.result(10)
    assert batcher.pending == 0
    batcher.cancel(job)  # by a client that left at this moment
    assert batcher.pending == 0
    batcher.close()


def test_a_request_larger_than_the_limit_is_accepted_alone(batcher):
    assert len(batcher.submit(pairs(*[1] * 600)).future.result(10)) == 600


def test_what_is_cancelled_makes_room(batcher, engine):
    first = block(batcher, engine)
    job = batcher.submit(pairs(*[1] * 9))
    batcher.cancel(job)
    batcher.cancel(job)
    other = batcher.submit(pairs(7))
    engine.gate.set()
    assert other.future.result(10).tolist() == [[7]]
    assert first.future.result(10).tolist() == [[1]]
    batcher.close()
    assert batcher.pending == 0
    assert not job.future.done()


def test_a_failing_engine_fails_the_requests_of_the_batch_only(batcher, engine):
    engine.error = "broken"
    with pytest.raises(EngineError, match="broken"):
        batcher.submit(pairs(*[1] * 300)).future.result(10)
    engine.error = None
    assert batcher.submit(pairs(2)).future.result(10).tolist() == [[2]]
    assert batcher.pending == 0


def test_closing_finishes_what_was_accepted(batcher, engine):
    block(batcher, engine)
    job = batcher.submit(pairs(2, 3))
    engine.gate.set()
    batcher.close()
    assert job.future.result(0).ravel().tolist() == [2, 3]
    with pytest.raises(ClosedError):
        batcher.submit(pairs(1))


def test_several_engines_share_the_work(ear):
    engines = [ToyEngine(), ToyEngine()]
    batcher = Batcher(ToyCodec(), engines, limit=10, observer=ear)
    for engine in engines:
        engine.gate.clear()
    jobs = [batcher.submit(pairs(2))]
    while not any(engine.busy.is_set() for engine in engines):
        pass
    jobs.append(batcher.submit(pairs(3)))
    assert all(engine.busy.wait(10) for engine in engines)
    for engine in engines:
        engine.gate.set()
    assert [job.future.result(10).tolist() for job in jobs] == [[[2]], [[3]]]
    batcher.close()
