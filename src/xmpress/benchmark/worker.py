"""The process of one candidate: ``python -m xmpress.benchmark.worker``.

It reads commands from standard input, one JSON object a line, and writes one answer to each to
standard output. Whatever libraries print goes to standard error. Errors are answers too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from xmpress.benchmark.candidates import Candidate, Runner, open_runner
from xmpress.benchmark.load import MAX_BATCH, RealClock, open_loop, poisson_arrivals
from xmpress.benchmark.roofline import measure_peaks
from xmpress.errors import UsageError


class Worker:
    """Holds a candidate and measures it.

    Every method is a command; its arguments and its result are plain values.
    """

    def __init__(self) -> None:
        self._runner: Runner | None = None
        self._texts: list[str] = []

    def open(self, candidate: dict[str, Any], threads: int, text: str) -> dict[str, Any]:
        """Open the candidate and answer one text: what a cold start has to do."""
        _pin(threads)
        runner = open_runner(Candidate.from_dict(candidate), threads)
        runner.run([text])
        self._runner = runner
        return {
            "precision": runner.precision,
            "engine": runner.engine,
            "device": runner.device,
            "work": runner.work(),
        }

    def texts(self, texts: list[str]) -> dict[str, Any]:
        """Keep the texts of the workload, and tell how many tokens they have."""
        self._texts = texts
        return {"tokens": self._open.lengths(texts).tolist()}

    def run(self, call: int | None, least: float) -> dict[str, Any]:
        """Go over all texts, as often as fills ``least`` seconds.

        Args:
            call: texts per call; ``None`` for all at once.
            least: seconds; fast candidates go over the texts several times.
        """
        runner, size = self._open, call or len(self._texts)
        parts = [self._texts[i : i + size] for i in range(0, len(self._texts), size)]
        passes, started = 0, time.perf_counter()
        while passes == 0 or time.perf_counter() - started < least:
            for part in parts:
                runner.run(part)
            passes += 1
        return {"seconds": (time.perf_counter() - started) / passes}

    def service(self, sizes: Sequence[int], least: float) -> dict[str, Any]:
        """Seconds of batches of each size, of successive texts."""
        found: dict[str, list[float]] = {}
        place = 0
        for size in sizes:
            times: list[float] = []
            started = time.perf_counter()
            while len(times) < max(3, MAX_BATCH // size) or time.perf_counter() - started < least:
                batch = [self._texts[(place + i) % len(self._texts)] for i in range(size)]
                place += size
                begun = time.perf_counter()
                self._open.run(batch)
                times.append(time.perf_counter() - begun)
            found[str(size)] = times
        return {"service": found}

    def load(self, rate: float, seconds: float, seed: int) -> dict[str, Any]:
        """Latencies, in seconds, under open-loop load."""
        arrivals = poisson_arrivals(rate, count=max(1, round(rate * seconds)), seed=seed)
        texts = self._texts

        def answer(first: int, last: int) -> None:
            self._open.run([texts[i % len(texts)] for i in range(first, last)])

        found = open_loop(arrivals, answer, clock=RealClock(), max_batch=MAX_BATCH)
        return {"latencies": found.tolist()}

    def memory(self) -> dict[str, Any]:
        """The largest amount of main memory this process ever held, in bytes."""
        return {"peak": peak_memory()}

    def peaks(self, threads: int) -> dict[str, Any]:
        """Operations per second of the machine's matrix products."""
        _pin(threads)
        return {"peaks": [peak.to_dict() for peak in measure_peaks(threads)]}

    @property
    def _open(self) -> Runner:
        if self._runner is None:
            raise UsageError("no candidate is open")
        return self._runner


def peak_memory() -> int | None:
    """Bytes; ``None`` where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage, whose figure starts with what the parent held when it made this process.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _pin(threads: int) -> None:
    """Keep this process to so many processors, whatever a library thinks of threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def serve(commands: TextIO, answers: TextIO) -> None:
    """Work off commands until there are no more."""
    worker = Worker()
    for line in commands:
        command: dict[str, Any] = json.loads(line)
        do: Callable[..., dict[str, Any]] = getattr(worker, command.pop("do"))
        try:
            answer = do(**command)
        except Exception as error:  # whatever a library raises is this candidate's result
            answer = {"error": f"{type(error).__name__}: {error}", "kind": type(error).__name__}
        answers.write(json.dumps(answer, default=_plain) + "\n")
        answers.flush()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def main() -> None:
    """Serve over the standard streams."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
