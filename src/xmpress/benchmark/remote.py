"""The other side of a worker: starts the process of a candidate and asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from xmpress.benchmark.candidates import Candidate
from xmpress.errors import EngineError

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""What libraries read the number of their threads from."""
_LAST_WORDS = 2_000
"""Characters of a worker's standard error that are shown when it dies."""


class RemoteWorker:
    """A worker process.

    Example:
        >>> with RemoteWorker(threads=1) as worker:
        ...     worker.ask("memory")["peak"] > 0
        True
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115  # closed in close()
            "w+", encoding="utf-8", errors="replace"
        )
        environment = {
            **os.environ,
            **dict.fromkeys(THREAD_VARIABLES, str(threads)),
            "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
            "PYTHONIOENCODING": "utf-8",
            # Nothing is downloaded while it is measured.
            "HF_HUB_OFFLINE": "1",
        }
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "xmpress.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self, candidate: Candidate, text: str) -> dict[str, Any]:
        """Open a candidate there.

        Returns:
            Besides what the worker tells, ``cold_start``: seconds from the start of the process to
            the first answer.

        Raises:
            EngineError: if it cannot be opened.
        """
        told = self.ask("open", candidate=candidate.to_dict(), threads=self._threads, text=text)
        return {**told, "cold_start": time.perf_counter() - self.started}

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have a command done.

        Raises:
            EngineError: with what went wrong there.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise EngineError("the worker's streams are closed")
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EngineError(f"its process ended{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read()[-_LAST_WORDS:].strip()
        return f" with code {code}" + (f": {words}" if words else "")
