"""What a benchmark found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xmpress.benchmark.candidates import Candidate
from xmpress.benchmark.cost import CostReport
from xmpress.benchmark.load import ServiceTimes
from xmpress.benchmark.roofline import Peak
from xmpress.benchmark.statistics import Latency, Spread, ratios

SCHEMA = 1
"""Of the JSON; rises when a field changes its meaning or goes."""


@dataclass(frozen=True)
class LoadResult:
    """Latencies under open-loop load.

    Attributes:
        share: of the highest rate of the candidate.
        rate: texts per second.
        latency: from the moment a text was to arrive.
    """

    share: float
    rate: float
    latency: Latency

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"share": self.share, "rate": self.rate, "latency_ms": self.latency.to_dict()}


@dataclass(frozen=True)
class Measured:
    """One candidate.

    Attributes:
        candidate: what was measured.
        precision: of its matrices.
        engine: what ran it.
        device: on which it ran.
        tokens_per_text: by its own tokenizer.
        flops_per_token: of its matrices; ``None`` where not known.
        seconds: per policy the seconds of each round, for all texts.
        texts: of the workload.
        cold_start: seconds from the start of its process to the first answer.
        peak_memory: bytes its process held at most.
        bytes_on_disk: of its directory.
        single: latency of single texts, if measured.
        loads: latencies under load, if measured.
        service: times by batch size, if measured.
    """

    candidate: Candidate
    precision: str
    engine: str
    device: str
    tokens_per_text: float
    flops_per_token: float | None
    seconds: dict[str, list[float]]
    texts: int
    cold_start: float
    peak_memory: int | None
    bytes_on_disk: int
    single: Latency | None = None
    loads: list[LoadResult] = field(default_factory=list)
    service: ServiceTimes | None = None

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def policy(self) -> str:
        """The policy that speedups are of."""
        return next(iter(self.seconds))

    def throughput(self, policy: str | None = None) -> Spread:
        """Texts per second over the rounds."""
        return Spread.of([self.texts / s for s in self.seconds[policy or self.policy]])

    def speedup(self, reference: Measured, policy: str | None = None) -> Spread:
        """How many times as fast as a reference on the same texts."""
        policy = policy or self.policy
        return ratios(reference.seconds[policy], self.seconds[policy])

    @property
    def flops(self) -> float | None:
        """Useful operations per second: those of the texts' own tokens, without padding."""
        if self.flops_per_token is None:
            return None
        return self.flops_per_token * self.tokens_per_text * self.throughput().median

    def of_peak(self, peaks: Sequence[Peak]) -> float | None:
        """The share of the peak of its device, in its precision, that this candidate reaches."""
        known = {(peak.precision, peak.device): peak.flops for peak in peaks}
        peak = known.get((self.precision, self.device))
        return None if peak is None or self.flops is None else self.flops / peak

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.candidate.to_dict(),
            "precision": self.precision,
            "engine": self.engine,
            "device": self.device,
            "tokens_per_text": self.tokens_per_text,
            "flops_per_token": self.flops_per_token,
            "seconds": self.seconds,
            "texts_per_second": {p: self.throughput(p).to_dict() for p in self.seconds},
            "cold_start_seconds": self.cold_start,
            "peak_memory_bytes": self.peak_memory,
            "bytes_on_disk": self.bytes_on_disk,
            "single_latency_ms": self.single.to_dict() if self.single else None,
            "loads": [load.to_dict() for load in self.loads],
        }


@dataclass(frozen=True)
class Failure:
    """A candidate that could not be measured.

    Attributes:
        name: the candidate.
        reason: what it said, or how to install it.
    """

    name: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class Report:
    """All that was found in one run.

    Attributes:
        machine: where.
        threads: per candidate.
        workload: on which texts.
        texts: how many.
        rounds: of taking turns.
        peaks: of the machine, in this run.
        candidates: what was measured.
        failures: what could not be.
        cost: what it costs, if asked.
    """

    machine: dict[str, Any]
    threads: int
    workload: str
    texts: int
    rounds: int
    peaks: list[Peak]
    candidates: list[Measured]
    failures: list[Failure] = field(default_factory=list)
    cost: CostReport | None = None

    @property
    def references(self) -> list[Measured]:
        """What speedups are over: the baselines, or else the first candidate."""
        baselines = [c for c in self.candidates if c.candidate.group == "baseline"]
        return baselines or self.candidates[:1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "threads": self.threads,
            "workload": self.workload,
            "texts": self.texts,
            "rounds": self.rounds,
            "peaks": [peak.to_dict() for peak in self.peaks],
            "candidates": [
                {
                    **one.to_dict(),
                    "share_of_peak": one.of_peak(self.peaks),
                    "speedup": {r.name: one.speedup(r).to_dict() for r in self.references},
                }
                for one in self.candidates
            ],
            "failures": [failure.to_dict() for failure in self.failures],
            "cost": self.cost.to_dict() if self.cost else None,
        }
