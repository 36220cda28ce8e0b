"""Engines in processes of their own: if one dies, another takes its place and repeats its batch."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from xmpress.errors import EngineError, XmpressError
from xmpress.runtime.engines import open_engine
from xmpress.tasks import FloatArray

ATTEMPTS = 3
"""Processes that may die on one batch before it is given up."""
OPEN_SECONDS = 120.0
RUN_SECONDS = 60.0
"""A process that is silent for longer is taken for hung, and ended."""

_CONTEXT = multiprocessing.get_context("spawn")  # threads and forks do not go together


@dataclass
class _Process:
    process: BaseProcess
    connection: Connection
    outputs: tuple[str, ...]


class EngineProcess:
    """Runs a bundle's graph in another process; see `xmpress.runtime.engines.Engine`.

    Batches run one at a time.
    """

    name = "process"

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
            threads: CPU threads for one batch.
            on_restart: called when a process that died was replaced.

        Raises:
            EngineError: if the graph cannot be opened.
        """
        self._arguments = (str(bundle), engine, threads)
        self._on_restart = on_restart
        self._lock = Lock()
        self._closed = False
        self._process: _Process | None = self._open()
        self.outputs = self._process.outputs

    @property
    def pid(self) -> int | None:
        """The process now running, if any."""
        return self._process.process.pid if self._process else None

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch, again in a new process if this one dies of it.

        Raises:
            EngineError: if the engine fails, no process can be started, or several died.
        """
        with self._lock:
            for attempt in range(ATTEMPTS):
                if attempt:
                    time.sleep(0.1 * attempt)
                running = self._alive()
                try:
                    running.connection.send(dict(inputs))
                    outputs: dict[str, FloatArray] = _receive(running.connection, RUN_SECONDS)
                    return outputs
                except (EOFError, OSError):
                    self._end()
        raise EngineError(f"{ATTEMPTS} engine processes died of the same batch")

    def revive(self) -> None:
        """Replace the process if it died while nothing was to do."""
        if not self._lock.acquire(blocking=False):
            return  # it is at work, and `run` looks after it
        try:
            if not self._closed:
                self._alive()
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process once it is idle."""
        with self._lock:
            self._closed = True
            self._end()

    def _alive(self) -> _Process:
        if self._process is not None and self._process.process.is_alive():
            return self._process
        self._end()
        self._process = self._open()
        self._on_restart()
        return self._process

    def _open(self) -> _Process:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_main, args=(theirs, *self._arguments), name="xmpress-engine", daemon=True
        )
        process.start()
        theirs.close()
        try:
            outputs = _receive(ours, OPEN_SECONDS)
        except (EOFError, OSError) as error:
            process.kill()
            raise EngineError(
                f"the engine process of {self._arguments[0]} did not start"
            ) from error
        except EngineError:
            process.join()
            raise
        return _Process(process, ours, outputs)

    def _end(self) -> None:
        running, self._process = self._process, None
        if running is None:
            return
        running.connection.close()  # which ends an idle process
        running.process.join(timeout=1)
        if running.process.is_alive():
            running.process.kill()
            running.process.join()
        running.process.close()


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


def _main(connection: Connection, bundle: str, engine: str, threads: int) -> None:
    """The process: answers batches until the other end is closed, also by the server's death."""
    # Signals to the whole group are for the server, which ends its engines when it is done.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        try:
            opened = open_engine(bundle, engine, threads=threads)
        except XmpressError as error:
            connection.send(str(error))
            return
        connection.send(opened.outputs)
        while True:
            inputs = connection.recv()
            try:
                connection.send(opened.run(inputs))
            except EngineError as error:
                connection.send(str(error))
