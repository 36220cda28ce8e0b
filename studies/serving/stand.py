"""The stand on which the server is tried: it, its load, and the texts with their answers."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from outcome import Expected, Outcome
from processes import Watch

HERE = Path(__file__).parent
START_SECONDS = 120


class Server:
    """``xmpress serve`` in a process of its own, logging to a file."""

    def __init__(self, bundle: str, log: Path, arguments: Sequence[str] = ()) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self.command = [
            sys.executable, "-m", "xmpress", "serve", bundle, "--port", "0", *arguments
        ]  # fmt: skip
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.DEVNULL, stderr=file, stdin=subprocess.DEVNULL
            )
        self.address = self._wait(self._listening)
        self._wait(lambda: self.get("/v2/health/ready")[0] == 200)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def where(self) -> str:
        host, port = self.address
        return f"{host}:{port}"

    def get(self, path: str, key: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=START_SECONDS)
        try:
            connection.request("GET", path, headers={"X-API-Key": key} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def engines(self) -> list[int]:
        """The engine processes that run now."""
        return [
            child.pid
            for child in psutil.Process(self.pid).children()
            if any("spawn_main" in part for part in child.cmdline())
        ]

    def log(self) -> list[dict[str, Any]]:
        with self._log.open() as file:
            return [json.loads(line) for line in file if line.startswith("{")]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(START_SECONDS)

    def _listening(self) -> tuple[str, int] | None:
        found = re.search(r"serving on http://(\S+):(\d+)", self._log.read_text())
        return (found[1], int(found[2])) if found else None

    def _wait(self, ready: Any) -> Any:
        end = time.monotonic() + START_SECONDS
        while not (value := ready()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server did not start:\n{self._log.read_text()}")
            time.sleep(0.05)
        return value


class Running:
    """A load that runs.

    Attributes:
        outcome: once it is over.
    """

    def __init__(self, stand: Stand, server: Server, folder: Path, arguments: list[str]) -> None:
        self.outcome: Outcome
        self._stand = stand
        self._server = server
        self._folder = folder
        self._prefix = f"{folder.name}-"
        command = [
            sys.executable, str(HERE / "load.py"), server.where, str(stand.requests), "-o",
            str(folder), "--prefix", self._prefix, *arguments,
        ]  # fmt: skip
        self._process = subprocess.Popen(command)

    def finish(self) -> Outcome:
        """Wait until it is over by itself."""
        if self._process.wait():
            raise SystemExit("the load generator failed")
        self.outcome = Outcome.read(self._folder, self._stand.parts, self._stand.expected)
        self.outcome.check_log(self._server.log(), self._prefix)
        shutil.rmtree(self._folder)
        return self.outcome

    def stop(self) -> Outcome:
        """Send no more, and wait for what is under way."""
        self._process.terminate()
        return self.finish()

    def wait(self) -> None:
        """Until it is under way."""
        answers, end = self._folder / "answers.jsonl", time.monotonic() + START_SECONDS
        while not answers.is_file():
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the load generator did not start")
            time.sleep(0.05)
        time.sleep(1)

    def kill(self) -> None:
        self._process.kill()


class Stand:
    """Texts, cut into requests, with the answers they should get.

    Attributes:
        bundle: that is served.
        folder: for what is written meanwhile.
        parts: the texts of each request.
        requests: file of their bodies.
        expected: answers by text.
    """

    def __init__(
        self, bundle: str, folder: Path, texts: list[str], per_request: int, expected: Expected
    ) -> None:
        self.bundle = bundle
        self.folder = folder
        self.per_request = per_request
        self.expected = expected
        ends = range(0, len(texts) - per_request + 1, per_request)
        self.parts = [texts[start : start + per_request] for start in ends]
        self.requests = folder / f"requests-{per_request}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.requests.write_text("".join(json.dumps({"texts": p}) + "\n" for p in self.parts))
        self._number = 0

    @contextmanager
    def server(self, *arguments: str, bundle: str | None = None) -> Iterator[Server]:
        self._number += 1
        log = self.folder / f"server-{self.per_request}-{self._number}.log"
        server = Server(bundle or self.bundle, log, arguments)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop()

    def start_load(self, server: Server, *arguments: str) -> Running:
        """Begin a load; see load.py for what it may be told."""
        self._number += 1
        return Running(self, server, self.folder / f"load-{self._number}", list(arguments))

    def load(self, server: Server, *arguments: str) -> tuple[Outcome, Watch]:
        """A load from its beginning to its end, with the server's memory meanwhile."""
        with Watch(server.pid) as watch:
            outcome = self.start_load(server, *arguments).finish()
        return outcome, watch

    @contextmanager
    def under_load(self, server: Server, *arguments: str) -> Iterator[Running]:
        """A load that runs while the block does; its outcome is there afterwards."""
        running = self.start_load(server, "--seconds", "3600", *arguments)
        try:
            running.wait()
            yield running
        except BaseException:
            running.kill()
            raise
        time.sleep(1)
        running.stop()
