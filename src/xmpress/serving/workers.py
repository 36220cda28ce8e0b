"""Engines in processes of their own: if one dies, another takes its place and repeats its batch."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from numpy.typing import NDArray

from xmpress.errors import EngineError, XmpressError
from xmpress.runtime.engines import Engine, open_engine
from xmpress.tasks import FloatArray

ATTEMPTS = 3
"""Processes that may die on one batch before it is given up."""
OPEN_SECONDS = 120.0
RUN_SECONDS = 60.0
"""A process that is silent for longer is taken for hung, and ended."""

_CONTEXT = multiprocessing.get_context("spawn")  # threads and forks do not go together


class EngineDiedError(EngineError):
    """Several processes died of the same batch."""


@dataclass(frozen=True)
class _Process:
    """A running process.

    Attributes:
        process: the process.
        idle: the ends of its pipes that no batch is using.
        engine: the name of the engine it chose.
        outputs: of its graph.
    """

    process: BaseProcess
    idle: SimpleQueue[Connection]
    engine: str
    outputs: tuple[str, ...]


class EngineProcess:
    """Runs a bundle's graph in another process; see `xmpress.runtime.engines.Engine`.

    Attributes:
        name: of the engine that runs there.
        outputs: of its graph.
        streams: batches that may run at the same time.
    """

    def __init__(
        self,
        bundle: Path,
        engine: str = "auto",
        threads: int = 1,
        *,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the process and open the graph there.

        Args:
            bundle: the bundle's directory.
            engine: what runs the graph.
            threads: CPU threads, each of which runs batches of its own.
            on_restart: called when a process that died was replaced.

        Raises:
            EngineError: if the graph cannot be opened.
        """
        self.streams = threads
        self._bundle = bundle
        self._on_restart = on_restart
        self._lock = Lock()
        self._closed = False
        self._process: _Process | None = self._open(engine)
        self.name = self._process.engine
        self.outputs = self._process.outputs

    @property
    def pid(self) -> int | None:
        """The process now running, if any."""
        return self._process.process.pid if self._process else None

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch, again in a new process if this one dies.

        Raises:
            EngineError: if the engine fails, no process can be started, or several died.
        """
        for attempt in range(ATTEMPTS):
            time.sleep(0.1 * attempt)
            running = self._alive()
            connection = running.idle.get()
            try:
                connection.send(dict(inputs))
                outputs: dict[str, FloatArray] = _receive(connection, RUN_SECONDS)
            except (EOFError, OSError):
                connection.close()
                self._bury(running)
            except EngineError:
                running.idle.put(connection)
                raise
            else:
                running.idle.put(connection)
                return outputs
        raise EngineDiedError(f"{ATTEMPTS} engine processes died of the same batch")

    def revive(self) -> None:
        """Replace the process if it died.

        Raises:
            EngineError: if no process can be started.
        """
        if not self._closed:
            self._alive()

    def close(self) -> None:
        """End the process; to be called when no batch is running."""
        with self._lock:
            self._closed = True
            running, self._process = self._process, None
        if running is not None:
            while not running.idle.empty():
                running.idle.get().close()  # which ends an idle process
            running.process.join(timeout=5)
            running.process.kill()

    def _alive(self) -> _Process:
        with self._lock:
            if self._process is None or not self._process.process.is_alive():
                self._process = None
                self._process = self._open(self.name)
                self._on_restart()
            return self._process

    def _bury(self, dead: _Process) -> None:
        """Whoever waits for it too finds its end of the pipe closed."""
        dead.process.kill()
        dead.process.join()
        with self._lock:
            if self._process is dead:
                self._process = None

    def _open(self, engine: str) -> _Process:
        pipes = [_CONTEXT.Pipe() for _ in range(self.streams)]
        ours, theirs = zip(*pipes, strict=True)
        process = _CONTEXT.Process(
            target=_main,
            args=(theirs, str(self._bundle), engine, self.streams),
            name="xmpress-engine",
            daemon=True,
        )
        process.start()
        for connection in theirs:
            connection.close()
        try:
            name, outputs = _receive(ours[0], OPEN_SECONDS)
        except (EOFError, OSError) as error:
            process.kill()
            raise EngineError(f"the engine process of {self._bundle} did not start") from error
        idle: SimpleQueue[Connection] = SimpleQueue()
        for connection in ours:
            idle.put(connection)
        return _Process(process, idle, name, outputs)


def _receive(connection: Connection, seconds: float) -> Any:
    """What the process answers.

    Raises:
        EngineError: if it answers with a failure.
        OSError: if it does not answer in time or is gone; also EOFError.
    """
    if not connection.poll(seconds):
        raise TimeoutError("no answer")
    answer = connection.recv()
    if isinstance(answer, str):
        raise EngineError(answer)
    return answer


def _main(connections: Sequence[Connection], bundle: str, engine: str, threads: int) -> None:
    """The process: answers batches until the other ends close, also by the server's death."""
    # Signals to the whole group are for the server, which ends its engines when it is done.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        opened = open_engine(bundle, engine, threads=threads, streams=threads)
    except XmpressError as error:
        connections[0].send(str(error))
        return
    connections[0].send((opened.name, opened.outputs))
    streams = [Thread(target=_answer, args=(opened, each)) for each in connections]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()


def _answer(engine: Engine, connection: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            inputs = connection.recv()
            try:
                connection.send(engine.run(inputs))
            except EngineError as error:
                connection.send(str(error))
