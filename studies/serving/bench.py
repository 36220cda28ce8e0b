"""What every attack needs: a server, clients of good will, and a row of what happened."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from outcome import Outcome
from stand import Server, Stand

PATIENCE = 60.0
RESET = -1
"""Instead of a status: the connection was closed or reset without an answer."""


@dataclass(frozen=True)
class Row:
    """An attack.

    Attributes:
        attack: its name.
        sent: what was done.
        happened: what came of it.
        outcome: of the load meanwhile.
        passed: whether the server did as it should to the attacker; the load counts besides.
    """

    attack: str
    sent: str
    happened: str
    outcome: Outcome
    passed: bool

    @property
    def good(self) -> bool:
        return self.passed and not self.outcome.lost and self.outcome.good > 0


class Bench:
    """Where attacks are run."""

    def __init__(self, stand: Stand, threads: int, seconds: float, folder: Path) -> None:
        self.stand = stand
        self.seconds = seconds
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        workers = max(2, threads)
        self.arguments = ["--workers", str(workers), "--threads", str(workers)]

    @cached_property
    def rate(self) -> float:
        """Half of the requests per second that can be done."""
        with self.stand.server(*self.arguments) as server:
            outcome, _ = self.stand.load(server, "--clients", "8", "--seconds", "5")
        return 0.5 * outcome.good / outcome.seconds

    @property
    def load(self) -> list[str]:
        return ["--rate", f"{self.rate:.3f}"]

    def lasting(self, least: int = 1) -> Iterable[int]:
        """0, 1, 2, ... for as long as an attack lasts, and at least so many."""
        end, turn = time.monotonic() + self.seconds, 0
        while turn < least or time.monotonic() < end:
            yield turn
            turn += 1


@dataclass(frozen=True)
class Reply:
    """What a raw request got.

    Attributes:
        status: of HTTP, or `RESET`.
        content: head and body.
        seconds: until it was whole.
    """

    status: int
    content: bytes
    seconds: float


def exchange(server: Server, request: bytes) -> Reply:
    """Send bytes on a connection of their own, and read what comes back."""
    started, content = time.monotonic(), bytearray()
    try:
        with socket.create_connection(server.address, timeout=PATIENCE) as connection:
            with contextlib.suppress(OSError):  # answered, or dropped, before all was sent
                connection.sendall(request)
            while data := connection.recv(1 << 16):
                content += data
                if _is_whole(content):
                    break
    except OSError:
        pass
    status = int(content[9:12]) if content.startswith(b"HTTP/1.1 ") else RESET
    return Reply(status, bytes(content), time.monotonic() - started)


def _is_whole(content: bytearray) -> bool:
    head, mark, body = bytes(content).partition(b"\r\n\r\n")
    if not mark:
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= (int(lengths[0].partition(b":")[2]) if lengths else 0)


def http(
    method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """A request as bytes, with nothing put right."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    names = {name.lower() for name, _ in headers}
    if "content-length" not in names and "transfer-encoding" not in names:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def told(statuses: Counter[int]) -> str:
    """Statuses in words."""
    return ", ".join(
        f"{'closed' if status == RESET else status}: {n:,}"
        for status, n in sorted(statuses.items())
    )


def table(rows: list[Row]) -> list[str]:
    """Markdown."""
    lines = [
        "| attack | what was sent | what happened | good requests meanwhile (p50, p99 ms) | lost "
        "| passed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        o = row.outcome
        more = "" if set(o.statuses) == {200} else f"; {o.told()}"
        lines.append(
            f"| {row.attack} | {row.sent} | {row.happened} | {o.good:,} "
            f"({o.milliseconds(0.5):.0f}, {o.milliseconds(0.99):.0f}){more} | {o.lost:,} "
            f"| {'yes' if row.good else 'NO'} |"
        )
    return lines
