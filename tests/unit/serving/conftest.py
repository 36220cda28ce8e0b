"""A server without sockets or engine processes: the application called directly."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from xmpress.errors import EngineError
from xmpress.runtime.engines import open_engine
from xmpress.serving import models
from xmpress.serving.app import build_app
from xmpress.serving.service import Service, State
from xmpress.serving.settings import ModelSpec, ServeSettings


class LocalEngine:
    """Stands for an engine process; waits while `gate` is closed."""

    name, pid, streams = "onnx", 1, 1

    def __init__(self, bundle, engine="auto", threads=1, *, on_restart=lambda: None):
        self._engine = open_engine(bundle, engine, threads=1)
        self.outputs = self._engine.outputs
        self.gate = threading.Event()
        self.gate.set()
        self.error = None

    def run(self, inputs):
        self.gate.wait()
        if self.error:
            raise EngineError(self.error)
        return self._engine.run(inputs)

    def revive(self):
        pass

    def close(self):
        pass


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls the application as a server would."""

    def __init__(self, service: Service, app: Any) -> None:
        self.service = service
        self.app = app

    @property
    def engines(self) -> list[LocalEngine]:
        return [engine for served in self.service.models for engine in served._engines]

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.send("GET", path, b"", headers)

    async def post(
        self, path: str, content: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.send("POST", path, body, headers)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes],
        headers: Mapping[str, str] | None = None,
        gone: asyncio.Event | None = None,
    ) -> Answer:
        """`body` as chunks has no declared length; the client leaves when `gone` is set."""
        sent = {"content-length": str(len(body))} if isinstance(body, bytes) else {}
        sent |= {k.lower(): v for k, v in (headers or {}).items()}
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        chunks = [body] if isinstance(body, bytes) else list(body)
        answer = Answer()

        async def receive() -> dict[str, Any]:
            if chunks:
                chunk = chunks.pop(0)
                return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer


Serving = Callable[..., None]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> Serving:
    """``serving(check, setting=...)`` runs ``await check(client)`` against a server."""
    monkeypatch.setattr(models, "EngineProcess", LocalEngine)

    async def go(
        check: Callable[[Client], Awaitable[None]],
        specs: Sequence[ModelSpec],
        wait: bool,
        settings: ServeSettings,
    ) -> None:
        service = Service(specs, settings)
        client = Client(service, build_app(service))
        service.start()
        while wait and service.state is not State.READY:
            await asyncio.sleep(0.005)
        try:
            await check(client)
        finally:
            for engine in client.engines:
                engine.gate.set()
            await service.stop()

    def start(
        check: Callable[[Client], Awaitable[None]],
        specs: Sequence[ModelSpec] | None = None,
        *,
        wait: bool = True,
        **settings: Any,
    ) -> None:
        done = go(
            check, specs or [ModelSpec(tiny_bundle)], wait, ServeSettings(threads=1, **settings)
        )
        asyncio.run(asyncio.wait_for(done, 300))

    return start
