"""Clients that take their time, and clients that are gone without saying so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from bench import RESET, Bench, Row, http, told
from processes import Watch
from stand import Server

from xmpress.serving.connections import HEADER_SECONDS, WRITE_SECONDS

CLIENTS = 200
TIMEOUT = 10
"""Of the server, --timeout."""
SLACK = 5.0
BODY = json.dumps({"texts": ["a"]}).encode()
HALF = http("POST", "/v1/analyze", headers=[("Content-Length", "1000")]) + b'{"texts": ["'


async def drip(server: Server, begin: bytes, limit: float) -> tuple[int, float]:
    """Send a beginning, then a byte now and then; the status and how long it was borne."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(begin)

    async def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(0.5)
                writer.write(b"a")
                await writer.drain()

    sending = asyncio.create_task(send())
    answer = b""
    try:
        async with asyncio.timeout(limit):
            answer = await reader.read(1 << 16)
    except TimeoutError:
        return 0, limit
    except OSError:
        pass
    finally:
        sending.cancel()
        writer.close()
    return int(answer[9:12]) if answer else RESET, time.monotonic() - started


async def silent(server: Server, begin: bytes, limit: float) -> tuple[int, float]:
    """Send a beginning and nothing more: to the server, a peer that vanished."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(begin)
    answer = b""
    try:
        async with asyncio.timeout(limit):
            answer = await reader.read(1 << 16)
    except TimeoutError:
        return 0, limit
    except OSError:
        pass
    finally:
        writer.close()
    return int(answer[9:12]) if answer else RESET, time.monotonic() - started


async def unread(server: Server, limit: float) -> tuple[int, float]:
    """Ask much and read nothing, until the server hangs up."""
    started = time.monotonic()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(connection, server.address)
        try:
            async with asyncio.timeout(limit):
                # Far more than the system's buffers take.
                await loop.sock_sendall(connection, http("GET", "/openapi.json") * 2000)
                while connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    connection.send(b"\r\n")
                    await asyncio.sleep(0.5)
        except TimeoutError:
            return 0, limit
        except OSError:
            pass
    finally:
        connection.close()
    return RESET, time.monotonic() - started


async def vanish(server: Server, begin: bytes) -> None:
    """Send a request, and reset the connection before it is answered."""
    _, writer = await asyncio.open_connection(*server.address)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.write(begin)
    await asyncio.sleep(0.002)
    writer.close()


def _many(one: Callable[[], Awaitable[tuple[int, float]]], count: int) -> list[tuple[int, float]]:
    async def all_of_them() -> list[tuple[int, float]]:
        return await asyncio.gather(*(one() for _ in range(count)))

    return asyncio.run(all_of_them())


def _slow(
    bench: Bench,
    attack: str,
    sent: str,
    one: Callable[[Server, float], Awaitable[tuple[int, float]]],
    promised: float,
    expected: set[int],
    count: int = CLIENTS,
    slack: float = SLACK,
) -> Row:
    arguments = [*bench.arguments, "--timeout", str(TIMEOUT)]
    with bench.stand.server(*arguments) as server:
        with (
            Watch(server.pid) as watch,
            bench.stand.under_load(server, *bench.load) as load,
        ):
            ends = _many(lambda: one(server, promised + 2 * slack), count)
        alive = server.get("/v2/health/ready")[0] == 200
    statuses = Counter(status for status, _ in ends)
    longest = max(seconds for _, seconds in ends)
    return Row(
        attack,
        f"{count} {sent}",
        f"{told(statuses)}; after {longest:.1f} s at most ({promised:.0f} s promised); MB before, "
        f"peak, after: {watch.at(0):.0f}, {watch.peak:.0f}, {watch.at(1):.0f}",
        load.outcome,
        alive and set(statuses) <= expected and longest < promised + slack,
    )


def slow_heads(bench: Bench) -> Row:
    """Slowloris."""
    return _slow(
        bench, "slow heads", "connections that send a byte of a head every half second",
        lambda server, limit: drip(
            server, b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nX-Slow: ", limit),
        HEADER_SECONDS, {RESET, 408},
    )  # fmt: skip


def slow_bodies(bench: Bench) -> Row:
    """The head at once, the body a byte at a time."""
    return _slow(
        bench, "slow bodies", "requests that send a byte of a body every half second",
        lambda server, limit: drip(server, HALF, limit), TIMEOUT, {408},
    )  # fmt: skip


def slow_readers(bench: Bench) -> Row:
    """Who does not read: borne from when the system's buffers are full, which takes a while."""
    return _slow(
        bench, "slow readers", "clients that ask 2,000 times and read nothing",
        unread, WRITE_SECONDS, {RESET}, count=10, slack=20.0,
    )  # fmt: skip


def half_open(bench: Bench) -> Row:
    """Peers that are gone: before a request, within one, after one."""
    whole = http("POST", "/v1/analyze", BODY)
    arguments = [*bench.arguments, "--timeout", str(TIMEOUT)]
    resets = 0
    with bench.stand.server(*arguments) as server:

        async def all_of_them() -> list[list[tuple[int, float]]]:
            limit = TIMEOUT + 2 * SLACK
            nothing = asyncio.gather(*(silent(server, b"", limit) for _ in range(CLIENTS)))
            within = asyncio.gather(*(silent(server, HALF, limit) for _ in range(CLIENTS)))
            nonlocal resets
            for _ in bench.lasting():
                await asyncio.gather(vanish(server, whole), vanish(server, HALF))
                resets += 2
                await asyncio.sleep(0.02)
            return [await nothing, await within]

        with (
            Watch(server.pid) as watch,
            bench.stand.under_load(server, *bench.load) as load,
        ):
            nothing, within = asyncio.run(all_of_them())
        time.sleep(1)
        waiting = server.get("/metrics")[1]
        alive = server.get("/v2/health/ready")[0] == 200
    queued = [line for line in waiting.splitlines() if line.startswith(b"xmpress_queue_texts{")]
    empty = all(line.endswith(b" 0.0") for line in queued)
    silent_statuses = Counter(status for status, _ in nothing)
    body_statuses = Counter(status for status, _ in within)
    longest = max(seconds for _, seconds in nothing + within)
    return Row(
        "half-open connections",
        f"{CLIENTS} connections silent from the first, {CLIENTS} silent within a body, "
        f"{resets:,} reset with a request under way",
        f"silent: {told(silent_statuses)}; within a body: {told(body_statuses)}; after "
        f"{longest:.1f} s at most; texts queued afterwards: {'none' if empty else queued}; "
        f"MB before, peak, after: {watch.at(0):.0f}, {watch.peak:.0f}, {watch.at(1):.0f}",
        load.outcome,
        alive and empty and set(silent_statuses) == {RESET} and set(body_statuses) == {408}
        and longest < TIMEOUT + SLACK,
    )  # fmt: skip
