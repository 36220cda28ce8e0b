"""How much of the engine's throughput is left behind HTTP, and what happens at and beyond it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from outcome import Outcome
from processes import Watch, processor_seconds
from stand import Server, Stand

from xmpress.runtime.analyzer import Analyzer

OVERLOAD = 3.0
SHARES = (0.5, 0.9, OVERLOAD)
"""Of the highest rate."""


@dataclass(frozen=True)
class Layout:
    """How the cores are given to engine processes.

    Attributes:
        workers: engine processes.
        threads: of all of them together.
    """

    workers: int
    threads: int

    @property
    def arguments(self) -> list[str]:
        return ["--workers", str(self.workers), "--threads", str(self.threads)]

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads // self.workers}"


def layouts(threads: int) -> list[Layout]:
    """One process with all threads, and one per thread."""
    return list(dict.fromkeys([Layout(1, threads), Layout(threads, threads)]))


@dataclass
class Rates:
    """Highest throughput of one layout and size of requests.

    Attributes:
        layout: of the workers.
        per_request: texts.
        bare: texts per second of the analyzer alone, in each round.
        served: through the server, in the rounds between.
        milliseconds: processor time per text: of the analyzer alone, of the engine processes, of
            the process that speaks HTTP and tokenises, of the generator.
        wrong: answers lost or wrong.
    """

    layout: Layout
    per_request: int
    bare: list[float]
    served: list[float]
    milliseconds: tuple[float, float, float, float]
    wrong: int

    @property
    def share(self) -> float:
        """Median of the ratios of neighbouring rounds."""
        return median(s / b for s, b in zip(self.served, self.bare, strict=True))

    @property
    def requests(self) -> float:
        """Per second."""
        return median(self.served) / self.per_request


@dataclass
class Open:
    """An open loop.

    Attributes:
        rates: what its rate is a share of.
        share: of the highest rate.
        rate: requests per second.
        queue: texts that may wait.
        outcome: what came back.
        watch: memory of the server meanwhile.
        before: megabytes before.
        after: megabytes a second after.
        busy: share of a core that the server's processes took.
    """

    rates: Rates
    share: float
    rate: float
    queue: int
    outcome: Outcome
    watch: Watch
    before: float
    after: float
    busy: float


def bare_round(analyzer: Analyzer, texts: list[str], seconds: float) -> tuple[float, float]:
    """Texts per second of the analyzer alone, and its processor seconds per text."""
    started, used, done = time.perf_counter(), time.process_time(), 0
    while (passed := time.perf_counter() - started) < seconds or not done:
        analyzer.logits(texts)
        done += len(texts)
    passed = time.perf_counter() - started
    return done / passed, (time.process_time() - used) / done


def highest(
    stand: Stand, layout: Layout, analyzer: Analyzer, texts: list[str], seconds: float, rounds: int
) -> Rates:
    """The analyzer alone and clients that never pause, in turns: both see the same machine."""
    clients = max(8, 4 * layout.threads, -(-256 // stand.per_request))
    bare, served, wrong = [], [], 0
    alone: list[float] = []
    spent: list[tuple[float, float, float]] = []
    # All may be accepted: what is measured is how fast it is done.
    queue = str(clients * stand.per_request * 2)
    with stand.server("--queue", queue, *layout.arguments) as server:
        stand.load(server, "--clients", str(clients), "--seconds", str(min(2, seconds)))
        for _ in range(rounds):
            rate, cost = bare_round(analyzer, texts, seconds)
            bare.append(rate)
            alone.append(cost)
            before = processor_seconds(server.pid)
            outcome, _ = stand.load(
                server, "--clients", str(clients), "--seconds", str(seconds)
            )  # fmt: skip
            after = processor_seconds(server.pid)
            done = max(1, outcome.good * stand.per_request)
            served.append(done / outcome.seconds)
            wrong += outcome.lost
            front = after[server.pid] - before[server.pid]
            whole = sum(after.values()) - sum(before.values())
            spent.append(((whole - front) / done, front / done, outcome.processor / done))
    engines, front, generator = (1000 * median(values) for values in zip(*spent, strict=True))
    costs = (1000 * median(alone), engines, front, generator)
    return Rates(layout, stand.per_request, bare, served, costs, wrong)


def open_loops(
    stand: Stand, rates: Rates, seconds: float, overload_seconds: float, seed: int
) -> list[Open]:
    """Half, nine tenths, and three times the highest rate."""
    queue = max(4 * stand.per_request, round(median(rates.served)))
    found = []
    with stand.server("--queue", str(queue), *rates.layout.arguments) as server:
        stand.load(server, "--clients", "4", "--seconds", str(min(2, seconds)))
        for share in SHARES:
            rate = share * rates.requests
            length = overload_seconds if share == OVERLOAD else seconds
            found.append(_open(stand, server, rates, share, rate, queue, length, seed))
    return found


def _open(
    stand: Stand,
    server: Server,
    rates: Rates,
    share: float,
    rate: float,
    queue: int,
    seconds: float,
    seed: int,
) -> Open:
    before = processor_seconds(server.pid)
    started = time.monotonic()
    outcome, watch = stand.load(
        server, "--rate", f"{rate:.3f}", "--seconds", str(seconds), "--seed", str(seed)
    )
    passed = time.monotonic() - started
    after = processor_seconds(server.pid)
    with Watch(server.pid) as later:
        time.sleep(1)
    busy = sum(after.values()) - sum(before.values())
    return Open(
        rates, share, rate, queue, outcome, watch, watch.samples[0].megabytes, later.peak,
        busy / passed,
    )  # fmt: skip


def highest_table(found: list[Rates]) -> list[str]:
    """Markdown."""
    lines = [
        "| workers x threads | texts per request | analyzer alone, texts/s | served, texts/s "
        "| share | processor ms per text: alone | engines | HTTP process | generator "
        "| wrong or lost |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rates in found:
        alone, engines, front, generator = rates.milliseconds
        lines.append(
            f"| {rates.layout} | {rates.per_request} | {median(rates.bare):,.0f} "
            f"| {median(rates.served):,.0f} | {rates.share:.0%} | {alone:.3f} | {engines:.3f} "
            f"| {front:.3f} | {generator:.3f} | {rates.wrong} |"
        )
    return lines


def open_table(found: list[Open]) -> list[str]:
    """Markdown."""
    lines = [
        "| workers x threads | texts per request | load | requests/s | sent | 200 | 429 "
        "| late (504) | wrong, lost, twice | texts/s | p50 ms | p99 ms | 429: p50, p99 ms "
        "| MB before, peak, after | generator: core, lag p99 ms | server: cores |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- "
        "| --- |",
    ]
    for run in found:
        o = run.outcome
        lines.append(
            f"| {run.rates.layout} | {run.rates.per_request} | {run.share:.0%} | {run.rate:.1f} "
            f"| {len(o.requests):,} | {o.statuses[200]:,} | {o.statuses[429]:,} "
            f"| {o.statuses[504]:,} | {o.lost - o.statuses[504]:,} "
            f"| {o.good * run.rates.per_request / o.seconds:,.0f} "
            f"| {o.milliseconds(0.5):.0f} | {o.milliseconds(0.99):.0f} "
            f"| {o.milliseconds(0.5, 429):.1f}, {o.milliseconds(0.99, 429):.1f} "
            f"| {run.before:.0f}, {run.watch.peak:.0f}, {run.after:.0f} "
            f"| {o.processor / o.seconds:.0%}, {o.lag(0.99):.1f} | {run.busy:.2f} |"
        )
    return lines
