"""Clients that are slow, silent, or still there when the server leaves."""

import asyncio

import pytest
import uvicorn

from xmpress.serving import connections
from xmpress.serving.connections import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope, receive, send):
    if scope["path"] == "/large":
        body = b"x" * 50_000_000
    else:
        await asyncio.sleep(0.05)
        body = b"hello"
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def connected():
    """``connected(check)`` runs ``await check(server, reader, writer)`` on a connection."""

    async def go(check):
        config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None,
                                timeout_keep_alive=30, ws="none")  # fmt: skip
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(config, server.server_state, {}, loop), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(
            *listener.sockets[0].getsockname(), limit=1000
        )
        try:
            await check(server, reader, writer)
        finally:
            writer.close()
            listener.close()
            for task in list(server.server_state.tasks):
                task.cancel()
            await asyncio.sleep(0.01)

    return lambda check: asyncio.run(asyncio.wait_for(go(check), 300))


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return head, await reader.readexactly(5)


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_a_request_whose_head_never_ends_is_not_waited_for(connected, monkeypatch, start):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)

    async def check(server, reader, writer):
        writer.write(start)
        assert await reader.read() == b""

    connected(check)


def test_several_requests_on_one_connection(connected, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.4)

    async def check(server, reader, writer):
        for _ in range(2):
            writer.write(REQUEST)
            assert (await answer(reader))[1] == b"hello"
            await asyncio.sleep(0.5)  # silent between requests, which is not slow
        writer.write(REQUEST + REQUEST)
        assert [(await answer(reader))[1] for _ in range(2)] == [b"hello"] * 2

    connected(check)


def test_a_client_that_does_not_read_is_not_waited_for(connected, monkeypatch):
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.2)

    async def check(server, reader, writer):
        writer.write(REQUEST.replace(b"/ ", b"/large "))
        (connection,) = server.server_state.connections
        while server.server_state.connections:
            await asyncio.sleep(0.02)
        assert connection.transport.is_closing()

    connected(check)


def test_leaving_answers_what_is_on_its_way(connected, monkeypatch):
    monkeypatch.setattr(connections, "LEAVE_SECONDS", 0.3)

    async def check(server, reader, writer):
        writer.write(REQUEST)
        assert "connection: close" not in (await answer(reader))[0]
        (connection,) = server.server_state.connections
        connection.shutdown()
        writer.write(REQUEST)
        head, body = await answer(reader)
        assert "connection: close" in head
        assert body == b"hello"
        assert await reader.read() == b""

    connected(check)


def test_leaving_closes_what_is_silent(connected, monkeypatch):
    monkeypatch.setattr(connections, "LEAVE_SECONDS", 0.05)

    async def check(server, reader, writer):
        writer.write(REQUEST)
        await answer(reader)
        (connection,) = server.server_state.connections
        connection.shutdown()
        assert await reader.read() == b""

    connected(check)
