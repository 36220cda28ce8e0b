"""Open-loop load on a server of its own: throughput, latency, and what happens beyond it.

    python studies/serving/load.py BUNDLE --texts comments.csv > results/serving.md

Requests are sent at the times of a Poisson process, whether answers keep up or not, so that
waiting is not hidden by clients that wait. The generator is one asyncio process on the same machine
and takes its share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from xmpress.benchmark.workload import texts_of
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer

CONNECTIONS = 256
"""Open at the same time at most; more requests wait at the client, and the wait counts."""


@dataclass
class Result:
    """What one run of load gave.

    Attributes:
        sent: requests.
        seconds: from the first to the last answer.
        statuses: answers by status; 0 for none.
        latencies: of those that were answered with 200, from when they were due.
        refusals: the same for 429.
        memory: megabytes of the server's processes before, at most, and after.
    """

    sent: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def quantile(self, share: float, values: list[float] | None = None) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies if values is None else values)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Connections:
    """Keep-alive connections, opened as needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def ask(self, body: bytes) -> int:
        """The status of the answer, 0 if there is none."""
        async with self._free:
            try:
                found = self._idle.pop() if self._idle else await self._open()
                reader, writer = found
                writer.write(
                    b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                    % len(body)
                    + body
                )
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
            except (OSError, asyncio.IncompleteReadError):
                return 0
            self._idle.append(found)
            return int(head.split(maxsplit=2)[1])

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._address)


async def open_loop(
    address: tuple[str, int], bodies: list[bytes], rate: float, seconds: float, pids: list[int]
) -> Result:
    """Send requests at a rate for so long, and wait for all answers."""
    connections, result, draw = Connections(*address), Result(), random.Random(0)
    loop = asyncio.get_running_loop()
    started = due = loop.time()
    result.memory.append(memory(pids))

    async def one(body: bytes, due: float) -> None:
        status = await connections.ask(body)
        result.statuses[status] += 1
        took = loop.time() - due
        if status == 200:
            result.latencies.append(took)
        elif status == 429:
            result.refusals.append(took)

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.5)
            result.memory.append(memory(pids))

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        while due < started + seconds:
            await asyncio.sleep(due - loop.time())
            group.create_task(one(bodies[result.sent % len(bodies)], due))
            result.sent += 1
            due += draw.expovariate(rate)
    result.seconds = loop.time() - started
    watching.cancel()
    result.memory.append(memory(pids))
    return result


async def closed_loop(
    address: tuple[str, int], bodies: list[bytes], clients: int, seconds: float
) -> float:
    """Requests answered per second when so many clients never pause."""
    connections = Connections(*address)
    loop = asyncio.get_running_loop()
    end, done, turn = loop.time() + seconds, 0, iter(range(10**9))

    async def client() -> None:
        nonlocal done
        while loop.time() < end:
            status = await connections.ask(bodies[next(turn) % len(bodies)])
            done += status == 200

    started = loop.time()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (loop.time() - started)


class Server:
    """``xmpress serve`` in a process of its own."""

    def __init__(self, bundle: str, arguments: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xmpress", "serve", bundle, "--port", "0", *arguments],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.url, self.pids = "", [self.process.pid]
        while len(self.pids) == 1:
            line = self.process.stderr.readline()
            assert line, "the server ended"
            if found := re.search(r"serving on (http://\S+)", line):
                self.url = found[1]
            elif line.startswith("{"):
                self.pids += json.loads(line).get("engines", [])
        # What it logs about requests has to go somewhere.
        self._drain = subprocess.Popen(
            ["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL
        )
        while not self._ready():
            time.sleep(0.05)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=10):
                return True
        except OSError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def memory(pids: list[int]) -> float:
    """Megabytes of main memory that the processes hold."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def bare(bundle: str, threads: int, texts: list[str], seconds: float) -> float:
    """Texts per second of the analyzer alone, median of rounds."""
    analyzer = Analyzer(bundle, threads=threads)
    analyzer.logits(texts[:64])
    rounds, end = [], time.perf_counter() + seconds
    while not rounds or time.perf_counter() < end:
        started = time.perf_counter()
        analyzer.logits(texts)
        rounds.append(len(texts) / (time.perf_counter() - started))
    return median(rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--texts", default="sample", help="a file of feedback, or 'sample'")
    parser.add_argument("--column", default="text")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--per-request", type=int, default=16)
    parser.add_argument("--threads", type=int, default=this_machine().threads)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queue", type=int, default=0, help="0: one second's work")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--overload-seconds", type=float, default=60)
    options = parser.parse_args()
    texts = texts_of(options.texts, rows=options.rows, text=options.column).texts
    size = options.per_request
    parts = [texts[i : i + size] for i in range(0, len(texts) - size + 1, size)]
    bodies = [json.dumps({"texts": part}).encode() for part in parts]
    alone = bare(options.bundle, options.threads, texts, min(options.seconds, 20))
    queue = options.queue or max(size * 4, int(alone))
    server = Server(
        options.bundle,
        ["--workers", str(options.workers), "--threads", str(options.threads),
         "--queue", str(queue)],
    )  # fmt: skip
    try:
        clients = max(8, 4 * options.threads)
        most = asyncio.run(closed_loop(server.address, bodies, clients, options.seconds))
        runs = [
            (f"{share:.0%}", most * share, asyncio.run(
                open_loop(server.address, bodies, most * share, seconds, server.pids)))
            for share, seconds in [
                (0.5, options.seconds), (0.9, options.seconds), (3.0, options.overload_seconds)
            ]
        ]  # fmt: skip
    finally:
        code = server.stop()
    machine = this_machine()
    lines = [
        "# Serving under load",
        "",
        f"`{' '.join(['python', *sys.argv])}`",
        "",
        f"{machine.cpu}, {options.threads} threads, {options.workers} engine processes; "
        f"{len(texts):,} distinct texts, {size} per request; queue of {queue:,} texts. The load "
        "generator runs on the same machine.",
        "",
        f"- The analyzer alone: {alone:,.0f} texts/s.",
        f"- Through the server, {clients} clients that never pause: {most * size:,.0f} texts/s, "
        f"{most * size / alone:.0%} of it.",
        "",
        "| load | requests/s | sent | 200 | 429 | other | p50 ms | p99 ms | p99 of 429, ms "
        "| texts/s | MB before, most, after |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, rate, run in runs:
        other = sum(run.statuses.values()) - run.statuses[200] - run.statuses[429]
        lines.append(
            f"| {name} | {rate:.1f} | {run.sent:,} | {run.statuses[200]:,} | {run.statuses[429]:,} "
            f"| {other} | {run.quantile(0.5):.0f} | {run.quantile(0.99):.0f} "
            f"| {run.quantile(0.99, run.refusals):.0f} "
            f"| {run.statuses[200] * size / run.seconds:,.0f} "
            f"| {run.memory[0]:.0f}, {max(run.memory):.0f}, {run.memory[-1]:.0f} |"
        )
    lines += [
        "",
        f"Every request was answered once: {all(r.sent == r.statuses.total() for *_, r in runs)}. "
        f"SIGTERM at the end: exit code {code}.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    # One file per connection.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    main()
