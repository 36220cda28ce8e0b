"""The measurement: every candidate in a process of its own, taking turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmpress.benchmark.candidates import BATCH, Candidate
from xmpress.benchmark.load import SIZES, ServiceTimes
from xmpress.benchmark.remote import RemoteWorker
from xmpress.benchmark.report import Failure, LoadResult, Measured, Report
from xmpress.benchmark.roofline import Peak, best_of
from xmpress.benchmark.statistics import Latency
from xmpress.benchmark.workload import Workload
from xmpress.errors import EngineError, UsageError
from xmpress.machine import this_machine

POLICIES: dict[str, int | None] = {"all at once": None, f"calls of {BATCH}": BATCH, "one by one": 1}
"""How texts are handed over: the texts of one call, ``None`` for all. What a candidate makes of a
call is its own affair: sorted into batches of like length, or padded as they come."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        threads: per candidate.
        rounds: of taking turns; one more comes first and does not count.
        least: seconds of a candidate's turn; it goes over the texts several times to fill them.
        policies: names of `POLICIES`; the first is what speedups are of.
        latency: whether to measure single texts and open-loop load.
        loads: shares of the highest rate at which open-loop load is applied.
        load_seconds: length of each of these loads.
        seed: of the arrivals.
    """

    threads: int
    rounds: int = 5
    least: float = 0.5
    policies: tuple[str, ...] = tuple(POLICIES)
    latency: bool = False
    loads: tuple[float, ...] = (0.5, 0.8)
    load_seconds: float = 5.0
    seed: int = 0


def benchmark(
    candidates: Sequence[Candidate],
    workload: Workload,
    settings: Settings,
    *,
    say: Say = lambda line: None,
) -> Report:
    """Measure candidates side by side.

    A peer or baseline that fails is reported as failed; a model that fails ends the run.

    Args:
        candidates: in the order of the report.
        workload: the texts.
        settings: how much to measure.
        say: told what is going on, a line at a time.

    Raises:
        UsageError: if there is no candidate, or two have one name.
        EngineError: if a model cannot be opened or fails.
    """
    names = [candidate.name for candidate in candidates]
    if not names or settings.rounds < 1:
        raise UsageError("a benchmark needs at least one model and one round")
    if len(set(names)) < len(names):
        raise UsageError(f"two candidates have one name: {', '.join(names)}; rename a directory")
    peaks = _peaks(settings.threads, say)
    with ExitStack() as stack:
        opened: list[_Open] = []
        failures: list[Failure] = []
        for candidate in candidates:
            say(f"opening {candidate.name}")
            worker = stack.enter_context(RemoteWorker(settings.threads))
            with _spared(candidate, worker, failures):
                told = worker.open(candidate, workload.texts[0])
                tokens = worker.ask("texts", texts=workload.texts)["tokens"]
                opened.append(_Open(candidate, worker, told, np.asarray(tokens, np.int64)))
        rounds = _rounds(opened, failures, settings, say)
        measured: list[Measured] = []
        for one in _left(opened, failures):
            with _spared(one.candidate, one.worker, failures):
                measured.append(_finish(one, rounds, workload, settings, say))
    peaks += _peaks(settings.threads, say)
    return Report(
        machine=this_machine().to_dict(),
        threads=settings.threads,
        workload=workload.source,
        texts=len(workload),
        rounds=settings.rounds,
        peaks=best_of(peaks),
        candidates=measured,
        failures=failures,
    )


@dataclass(frozen=True)
class _Open:
    """A candidate with its process.

    Attributes:
        candidate: what it is.
        worker: its process.
        told: what it said on opening.
        tokens: per text.
    """

    candidate: Candidate
    worker: RemoteWorker
    told: dict[str, Any]
    tokens: np.ndarray[Any, np.dtype[np.int64]]


@contextmanager
def _spared(candidate: Candidate, worker: RemoteWorker, failures: list[Failure]) -> Iterator[None]:
    """Note the failure of a peer or baseline, and end its process; a model's ends the run."""
    try:
        yield
    except EngineError as error:
        worker.close()
        if candidate.group == "model":
            raise EngineError(f"{candidate.name}: {error}") from error
        failures.append(Failure(candidate.name, str(error)))


def _left(opened: Sequence[_Open], failures: Sequence[Failure]) -> list[_Open]:
    lost = {failure.name for failure in failures}
    return [one for one in opened if one.candidate.name not in lost]


Rounds = dict[tuple[str, str], list[float]]
"""By candidate and policy the seconds of each round."""


def _rounds(
    opened: Sequence[_Open], failures: list[Failure], settings: Settings, say: Say
) -> Rounds:
    """All candidates in turn, round after round; the first round does not count."""
    found: Rounds = {}
    for policy in settings.policies:
        for number in range(settings.rounds + 1):
            say(f"{policy}: round {number} of {settings.rounds}")
            for one in _left(opened, failures):
                with _spared(one.candidate, one.worker, failures):
                    answer = one.worker.ask("run", call=POLICIES[policy], least=settings.least)
                    if number:
                        found.setdefault((one.candidate.name, policy), []).append(answer["seconds"])
    return found


def _finish(
    one: _Open, rounds: Rounds, workload: Workload, settings: Settings, say: Say
) -> Measured:
    """What is measured of one candidate by itself."""
    service = None
    single = None
    loads: list[LoadResult] = []
    if settings.latency:
        say(f"latency of {one.candidate.name}")
        answer = one.worker.ask("service", sizes=SIZES, least=settings.least)["service"]
        service = ServiceTimes({int(size): times for size, times in answer.items()})
        single = Latency.of(service.samples[1])
        for share in settings.loads:
            rate = share * service.highest_rate
            found = one.worker.ask(
                "load", rate=rate, seconds=settings.load_seconds, seed=settings.seed
            )
            loads.append(LoadResult(share, rate, Latency.of(found["latencies"])))
    return Measured(
        candidate=one.candidate,
        precision=one.told["precision"],
        engine=one.told["engine"],
        device=one.told["device"],
        tokens_per_text=float(one.tokens.mean()),
        flops_per_token=one.told["work"],
        seconds={policy: rounds[one.candidate.name, policy] for policy in settings.policies},
        texts=len(workload),
        cold_start=one.told["cold_start"],
        peak_memory=one.worker.ask("memory")["peak"],
        bytes_on_disk=_size(one.candidate.path),
        single=single,
        loads=loads,
        service=service,
    )


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _peaks(threads: int, say: Say) -> list[Peak]:
    say("the machine's matrix peak")
    with RemoteWorker(threads) as worker:
        return [Peak(**peak) for peak in worker.ask("peaks", threads=threads)["peaks"]]
