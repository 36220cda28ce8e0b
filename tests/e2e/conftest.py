"""A server in a process of its own, and a browser."""

import base64
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 300
"""Seconds; other work may hold the cores."""


class Server:
    """``xmpress serve`` and what it logs."""

    def __init__(self, arguments: Sequence[Any], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xmpress", "serve", *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XMPRESS_PORT": "0", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._wait(self._address)
        self._wait(lambda: self.status("/v2/health/ready") == 200)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    @property
    def engines(self) -> list[int]:
        """The engine processes of the models that were opened, the last one's last."""
        return [pid for line in self.logs for pid in line.get("engines", [])]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.M)
        return float(found[1]) if found else 0.0

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def _address(self) -> str | None:
        found = [re.search(r"serving on (http://\S+)", line) for line in list(self.lines)]
        return next((match[1] for match in found if match), None)

    def _wait(self, ready: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE
        while not (value := ready()):
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < end, "".join(self.lines)
            time.sleep(0.05)
        return value


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """``start_server(argument..., VARIABLE=value)``; ended after the test."""
    servers: list[Server] = []

    def start(*arguments: Any, **environment: str) -> Server:
        servers.append(Server(arguments, environment))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.stop()


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[Server]:
    """One server of two models, for all tests of a module."""
    server = Server([f"tiny={tiny_bundle}", f"other={tiny_bundle}@2"], {"XMPRESS_THREADS": "1"})
    yield server
    assert server.stop() == 0


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


# ---- the browser: headless Chromium, driven through a pipe (the DevTools protocol) -------------

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Browser:
    """One page."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._listen(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < end, f"not so in {seconds} s: {expression}"
            time.sleep(0.05)

    def press(self, key: str, *, control: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=13 if key == "Enter" else 9,
                      modifiers=2 if control else 0)  # fmt: skip

    def screenshot(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._receive], [], [], PATIENCE)[0], "the browser is silent"
            read = os.read(self._receive, 1 << 20)
            assert read, "the browser is gone"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def _listen(self, event: dict[str, Any]) -> None:
        """Keep what went wrong on the page: exceptions, console errors, blocked content."""
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    assert CHROMIUM is not None
    child_in, to_child = os.pipe()
    from_child, child_out = os.pipe()
    # Chromium reads from descriptor 3 and writes to 4.
    script = f'exec 3<&{child_in} 4>&{child_out}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}",
         "--no-first-run", "--disable-extensions", "--disable-background-networking"],
        pass_fds=(child_in, child_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(child_in)
    os.close(child_out)
    try:
        yield Browser(to_child, from_child)
    finally:
        os.close(to_child)
        os.close(from_child)
        process.kill()
        process.wait()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser with an empty profile."""
    with open_browser(tmp_path / "profile") as browser:
        yield browser
