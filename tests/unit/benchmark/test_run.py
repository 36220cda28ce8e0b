"""The measurement itself, on the tiny bundle: in real processes, and in this one."""

import io
import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from xmpress.benchmark import Candidate, Settings, Workload, benchmark, run, worker
from xmpress.benchmark.remote import RemoteWorker
from xmpress.benchmark.roofline import Peak, best_of, measure_peaks
from xmpress.errors import EngineError, UsageError

WORDS = ["the", "service", "was", "great", "and", "nobody", "waiting", "far", "too", "long"]
TEXTS = [" ".join(WORDS[: 1 + i % len(WORDS)]) + f" {i}" for i in range(40)]
WORKLOAD = Workload(TEXTS, "made up")
QUICK = Settings(threads=1, rounds=2, least=0.0, load_seconds=0.1)


@pytest.fixture(autouse=True)
def no_peaks(monkeypatch):
    monkeypatch.setattr(run, "_peaks", lambda threads, say: [Peak("fp32", 1e11, "nothing")])


@pytest.fixture
def candidates(tiny_bundle):
    return [
        Candidate("ours", "bundle", tiny_bundle),
        Candidate("bare", "onnxruntime", tiny_bundle, "peer", "ours", {"bucketed": True}),
        Candidate("broken", "onnxruntime", tiny_bundle / "nowhere", "peer", "ours"),
    ]


def test_in_processes_of_their_own(candidates):
    said = []
    report = benchmark(candidates, WORKLOAD, replace(QUICK, latency=True), say=said.append)
    ours, bare = report.candidates
    assert (ours.name, bare.name) == ("ours", "bare")
    assert set(ours.seconds) == set(run.POLICIES)
    assert all(len(seconds) == 2 for seconds in ours.seconds.values())
    assert ours.throughput("all at once").median > 0
    assert ours.tokens_per_text == bare.tokens_per_text > 5
    assert ours.flops_per_token == bare.flops_per_token > 0
    assert ours.bytes_on_disk > 10_000
    assert ours.peak_memory > 20_000_000
    assert 0 < ours.cold_start < 600
    assert ours.single.p50 <= ours.single.p99
    assert [load.share for load in ours.loads] == [0.5, 0.8]
    assert set(ours.service.samples) == {1, 2, 4, 8, 16, 32, 64}
    # A peer that fails is told; it does not end the run.
    (failure,) = report.failures
    assert failure.name == "broken"
    assert "nowhere" in failure.reason
    assert any("round 1 of 2" in line for line in said)


class FakeWorker:
    """Answers at once, and writes down what it is asked."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, threads):
        self.name = ""

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        pass

    def close(self):
        pass

    def open(self, candidate, text):
        self.name = candidate.name
        if candidate.name == "broken":
            raise EngineError("no")
        return {
            "precision": "fp32",
            "engine": "fake",
            "device": "cpu",
            "work": None,
            "cold_start": 1.0,
        }

    def ask(self, do, **arguments):
        FakeWorker.asked.append((do, self.name))
        return {"tokens": [3] * len(TEXTS), "seconds": 1.0, "peak": None}


def test_candidates_take_turns(monkeypatch, candidates):
    monkeypatch.setattr(run, "RemoteWorker", FakeWorker)
    FakeWorker.asked = []
    benchmark(candidates, WORKLOAD, replace(QUICK, policies=("all at once",)))
    turns = [name for do, name in FakeWorker.asked if do == "run"]
    assert turns == ["ours", "bare"] * 3


@pytest.mark.parametrize("when", ["run", "memory"])
def test_what_fails_later_is_told_and_the_others_go_on(monkeypatch, candidates, when):
    class Dying(FakeWorker):
        def ask(self, do, **arguments):
            if do == when and self.name == "bare":
                raise EngineError("its process ended")
            return super().ask(do, **arguments)

    monkeypatch.setattr(run, "RemoteWorker", Dying)
    report = benchmark(candidates, WORKLOAD, replace(QUICK, policies=("all at once",)))
    assert [one.name for one in report.candidates] == ["ours"]
    assert [failure.name for failure in report.failures] == ["broken", "bare"]
    model = replace(candidates[1], group="model")
    with pytest.raises(EngineError, match="bare: its process ended"):
        benchmark([model], WORKLOAD, QUICK)


def test_a_model_that_fails_ends_the_run(monkeypatch, candidates):
    monkeypatch.setattr(run, "RemoteWorker", FakeWorker)
    broken = replace(candidates[2], group="model")
    with pytest.raises(EngineError, match="broken: no"):
        benchmark([broken], WORKLOAD, QUICK)


def test_nothing_to_measure_and_names_twice(candidates):
    with pytest.raises(UsageError):
        benchmark([], WORKLOAD, QUICK)
    with pytest.raises(UsageError, match="one name"):
        benchmark([candidates[0], candidates[0]], WORKLOAD, QUICK)


def test_a_process_that_dies_says_its_last_words():
    with RemoteWorker(threads=1) as remote, pytest.raises(EngineError, match="AttributeError"):
        remote.ask("nonsense")


def ask(*commands):
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(c) + "\n" for c in commands)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_errors_are_answers(monkeypatch, tiny_bundle):
    monkeypatch.setattr(worker, "_pin", lambda threads: None)
    candidate = Candidate("a", "bundle", tiny_bundle).to_dict()
    told, wrong, right = ask(
        {"do": "run", "call": None, "least": 0.0},
        {"do": "open", "candidate": {**candidate, "kind": "none"}, "threads": 1, "text": "a"},
        {"do": "open", "candidate": candidate, "threads": 1, "text": "a"},
    )
    assert told["error"] == "UsageError: no candidate is open"
    assert "KeyError" in wrong["error"]
    assert right["precision"] == "fp32"


def test_peaks():
    peaks = {peak.precision: peak for peak in measure_peaks(1, size=64, seconds=0.0)}
    assert {"fp32", "bf16", "int8"} <= set(peaks)
    assert all(np.isfinite(peak.flops) and peak.flops > 0 for peak in peaks.values())
    low, high = Peak("fp32", 1.0, "a"), Peak("fp32", 2.0, "b")
    on_gpu = replace(low, device="cuda")
    assert best_of([low, high, on_gpu, low]) == [high, on_gpu]
