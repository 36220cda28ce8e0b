"""Reports made of numbers instead of measurements."""

from pathlib import Path

import pytest

from xmpress.benchmark.candidates import Candidate
from xmpress.benchmark.cost import Demand, PriceTable, Served, cost
from xmpress.benchmark.load import ServiceTimes
from xmpress.benchmark.report import Failure, LoadResult, Measured, Report
from xmpress.benchmark.roofline import Peak
from xmpress.benchmark.statistics import Latency
from xmpress.machine import this_machine


def measured(name: str, group: str, seconds: list[float], precision: str = "fp32") -> Measured:
    service = ServiceTimes({1: [seconds[0] / 50], 64: [seconds[0] / 2]})
    return Measured(
        candidate=Candidate(
            name=name,
            kind="bundle",
            path=Path("runs") / name,
            group=group,  # type: ignore[arg-type]
            notes=(f"{name}: a note",),
        ),
        precision=precision,
        engine="onnx",
        device="cpu",
        tokens_per_text=20.0,
        flops_per_token=1e6,
        seconds={"all at once": seconds, "one by one": [3 * s for s in seconds]},
        texts=100,
        cold_start=0.5,
        peak_memory=200_000_000,
        bytes_on_disk=10_000_000,
        single=Latency.of([0.001, 0.002]),
        loads=[LoadResult(0.5, 50.0, Latency.of([0.004, 0.009]))],
        service=service,
    )


@pytest.fixture
def report() -> Report:
    candidates = [
        measured("teacher", "baseline", [10.0, 12.0, 11.0]),
        measured("student", "model", [0.1, 0.1, 0.11], "int8"),
    ]
    served = [Served(c.name, c.service, c.candidate.group) for c in candidates if c.service]
    return Report(
        machine=this_machine().to_dict(),
        threads=2,
        workload="comments.csv, 100 distinct texts",
        texts=100,
        rounds=3,
        peaks=[Peak("fp32", 1e11, "numpy"), Peak("int8", 4e11, "onnxruntime")],
        candidates=candidates,
        failures=[Failure("infinity", "not installed; pip install 'infinity-emb[torch]'")],
        cost=cost(served, Demand(100, 500, 5, 12), PriceTable.load(), 2),
    )
