"""The load generator: a process of its own, so that it can be told apart from the server.

    python studies/serving/load.py HOST:PORT REQUESTS.jsonl -o DIR --rate 50 --seconds 30
    python studies/serving/load.py HOST:PORT REQUESTS.jsonl -o DIR --clients 8 --seconds 30

With a rate the loop is open: requests are sent at the times of a Poisson process whether answers
keep up or not, so that waiting is not hidden by clients that wait. With clients it is closed: each
sends the next request when it has the answer. It ends after the seconds, or on SIGTERM, and waits
for what is under way.

HTTP is spoken by hand over keep-alive connections, answers are not looked at but written down
(answers.jsonl) to be checked afterwards, and nothing but the standard library is imported: it takes
as little of the machine as it can, and says how much (summary.json). Of every request it writes
when it was due, sent and answered (requests.jsonl), in the order in which they were begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import signal
import time
from pathlib import Path
from typing import IO, NamedTuple

CONNECTIONS = 4096
"""At most; more requests wait here, and the wait counts."""
REFUSED, LOST, OTHER = 0, -1, -2
"""Instead of a status: not connected; connected, sent, and no answer; the answer to another."""
PATIENCE = 120.0
"""Seconds after which an answer no longer comes."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nx-request-id: *(\S+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: of HTTP, or one of the numbers above.
        id: of the request, as the server says it.
        body: of the answer.
    """

    status: int
    id: bytes = b""
    body: bytes = b""


class Connection(asyncio.Protocol):
    """A keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.usable = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = bytearray()
        self._whole = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._give(Answer(LOST))

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._whole:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._received[: end + 2])
            length = _LENGTH.search(self._head)
            self._whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= self._whole:
            body = bytes(self._received[len(self._head) + 2 : self._whole])
            name = _ID.search(self._head)
            if _CLOSE.search(self._head):
                self.usable = False
            self._received.clear()
            self._whole = 0
            self._give(Answer(int(self._head[9:12]), name[1] if name else b"", body))

    def _give(self, answer: Answer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


class Sent(NamedTuple):
    """A request, with times in seconds since the load began.

    Attributes:
        number: of the request, which is its id.
        line: which of the bodies it sent.
        due: when it was to be sent.
        sent: when it was.
        answered: when it was answered.
        status: how.
    """

    number: int
    line: int
    due: float
    sent: float
    answered: float
    status: int


class Load:
    """Sends requests and writes down what happens."""

    def __init__(
        self,
        address: tuple[str, int],
        bodies: list[bytes],
        answers: IO[bytes],
        prefix: str,
        key: str,
    ) -> None:
        self.requests: list[Sent] = []
        self._stopped = False
        self._address = address
        self._bodies = bodies
        self._answers = answers
        self._prefix = prefix
        self._head = "POST /v1/analyze HTTP/1.1\r\nHost: x\r\n"
        if key:
            self._head += f"X-API-Key: {key}\r\n"
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._count = 0
        self.started = time.perf_counter()

    def stop(self) -> None:
        """Begin no more requests."""
        self._stopped = True

    def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().close()

    def now(self) -> float:
        return time.perf_counter() - self.started

    async def one(self, due: float) -> int:
        """Send the next request; gives the status of the answer."""
        number = self._count
        self._count += 1
        line = number % len(self._bodies)
        name = f"{self._prefix}{number}"
        body = self._bodies[line]
        head = f"{self._head}X-Request-ID: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with self._room:
            sent = self.now()
            answer = await self._ask(head.encode() + body)
        if answer.status > 0 and answer.id != name.encode():
            answer = Answer(OTHER)
        if answer.status == 200:
            self._answers.write(b"%d %s\n" % (number, answer.body))
        self.requests.append(Sent(number, line, due, sent, self.now(), answer.status))
        return answer.status

    async def _ask(self, request: bytes) -> Answer:
        connection = None
        while self._idle and (connection is None or not connection.usable):
            connection = self._idle.pop()
        try:
            if connection is None or not connection.usable:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, *self._address)
        except OSError:
            return Answer(REFUSED)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await connection.ask(request)
        except TimeoutError:
            connection.close()
            return Answer(LOST)
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def open_loop(self, rate: float, seconds: float, seed: int) -> None:
        """Send at the times of a Poisson process."""
        draw, due = random.Random(seed), 0.0
        async with asyncio.TaskGroup() as group:
            while due < seconds and not self._stopped:
                if (wait := due - self.now()) > 0:
                    await asyncio.sleep(wait)
                elif not self._count % 16:
                    await asyncio.sleep(0)  # late: answers come first all the same
                group.create_task(self.one(due))
                due += draw.expovariate(rate)

    async def closed_loop(self, clients: int, seconds: float) -> None:
        """Send as fast as answers come; a client whose connection is refused leaves."""

        async def client() -> None:
            while (now := self.now()) < seconds and not self._stopped:
                if await self.one(now) in (REFUSED, LOST):
                    return

        await asyncio.gather(*(client() for _ in range(clients)))


async def run(options: argparse.Namespace) -> None:
    """Load, then write down."""
    host, _, port = options.address.rpartition(":")
    bodies = options.requests.read_bytes().splitlines()
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "answers.jsonl").open("wb", buffering=1 << 16) as answers:
        load = Load((host, int(port)), bodies, answers, options.prefix, options.key)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
        before = time.process_time()
        if options.rate:
            await load.open_loop(options.rate, options.seconds, options.seed)
        else:
            await load.closed_loop(options.clients, options.seconds)
        load.close()
        seconds, processor = load.now(), time.process_time() - before
    with (options.out / "requests.jsonl").open("w") as file:
        file.writelines(json.dumps(sent) + "\n" for sent in sorted(load.requests))
    summary = {"seconds": seconds, "processor": processor}
    (options.out / "summary.json").write_text(json.dumps(summary))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("requests", type=Path, help="a JSON body per line, sent in turn")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, help="requests per second: an open loop")
    parser.add_argument("--clients", type=int, default=8, help="of the closed loop")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prefix", default="r", help="of the ids of the requests")
    parser.add_argument("--key", default="")
    options = parser.parse_args()
    # One file per connection.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * CONNECTIONS)), hard))
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
