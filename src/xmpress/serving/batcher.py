"""From texts to rows of scores: texts of all requests share batches, an idle engine starts at once.

One thread tokenises, and one thread per engine takes the next batch as soon as its engine is idle;
nothing ever waits for a batch to fill. Batches get full by themselves when texts arrive faster
than they are done.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from threading import Condition, Lock, Thread
from typing import Any, Protocol

import numpy as np

from xmpress.runtime.cache import Pair
from xmpress.runtime.engines import Engine, token_budget
from xmpress.serving.codec import Codec
from xmpress.serving.fairness import FairQueue, Flow, Text, Waiting
from xmpress.tasks import FloatArray

TOKENISED_AT_ONCE = 256
"""Texts; few, so that engines start on a large request before all of it is tokenised."""


class QueueFullError(Exception):
    """More waits than may.

    Attributes:
        retry_after: seconds after which it may be worth trying again.
    """

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"too many texts are waiting; try again in {retry_after} s")


class ClosedError(Exception):
    """The batcher takes no more texts."""


class Observer(Protocol):
    """Is told what happens, from several threads."""

    def tokenised(self, texts: int, seconds: float) -> None:
        """Texts were tokenised together."""

    def waited(self, seconds: float) -> None:
        """A request's first text reached an engine."""

    def ran(self, texts: int, tokens: int, padded: int, seconds: float) -> None:
        """An engine ran a batch of so many tokens, of so many with padding."""


class Job:
    """The texts of one request on their way.

    Attributes:
        pairs: the texts with their contexts, n.
        future: float32 [n, W], the codec's rows in the order of the texts.
        arrived: when it was submitted (`time.perf_counter`).
        started: when an engine got its first text.
        settled: whether it is answered, failed or given up.
    """

    __slots__ = ("_left", "_rows", "arrived", "flow", "future", "pairs", "settled", "started")

    def __init__(self, pairs: Sequence[Pair], width: int) -> None:
        self.pairs = pairs
        self.future: Future[FloatArray] = Future()
        self.future.set_running_or_notify_cancel()
        self.flow = Flow()
        self.arrived = time.perf_counter()
        self.started: float | None = None
        self.settled = False
        self._left = len(pairs)
        self._rows: FloatArray = np.empty((len(pairs), width), dtype=np.float32)

    def put(self, row: int, scores: FloatArray) -> bool:
        """Take the scores [W] of one text; says whether they were the last."""
        self._rows[row] = scores
        self._left -= 1
        return self._left == 0

    def finish(self) -> None:
        """Hand over the result."""
        self.future.set_result(self._rows)


class Batcher:
    """Runs the texts of many requests through the engines of one model."""

    def __init__(
        self, codec: Codec, engines: Sequence[Engine], *, limit: int, observer: Observer
    ) -> None:
        """Start the threads.

        Args:
            codec: what turns texts into inputs and outputs into rows.
            engines: run batches side by side, each one at a time; one that is there several times
                runs as many.
            limit: texts accepted and not yet answered; a larger request is accepted alone.
            observer: is told what happens.
        """
        self._codec = codec
        self._limit = limit
        self._observer = observer
        # Of one lock. A thread that is woken for nothing takes the interpreter from one that works.
        self._changed = Lock()
        self._arrived = Condition(self._changed)  # texts to tokenise
        self._waiting = Condition(self._changed)  # texts to run
        self._new: deque[tuple[Job, int]] = deque()  # jobs, and their first text not tokenised
        self._queue: FairQueue[Job] = FairQueue(token_budget(engines[0]))
        self._pending = 0
        self._closed = False
        self._lanes = len(engines)
        self._rate = 0.0
        self._threads = [
            Thread(target=self._tokenise, name="tokenise", daemon=True),
            *(Thread(target=self._run, args=(e,), name="engine", daemon=True) for e in engines),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pending(self) -> int:
        """Texts accepted and not yet answered."""
        return self._pending

    def submit(self, pairs: Sequence[Pair]) -> Job:
        """Accept the texts of a request, at least one.

        Raises:
            QueueFullError: if they would be too many.
            ClosedError: after `close`.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            if self._pending and self._pending + len(pairs) > self._limit:
                raise QueueFullError(self._retry_after())
            job = Job(pairs, self._codec.width)
            self._pending += len(pairs)
            self._new.append((job, 0))
            self._arrived.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Forget what of a job has not reached an engine; nobody waits for it any more."""
        with self._changed:
            self._drop(job)

    def close(self) -> None:
        """Finish what was accepted, and end the threads."""
        with self._changed:
            self._closed = True
            self._wake_all()
        for thread in self._threads:
            thread.join()

    def _retry_after(self) -> int:
        seconds = self._pending / self._rate if self._rate else 1
        return min(60, max(1, math.ceil(seconds)))

    def _drop(self, job: Job) -> None:
        if job.settled:
            return
        self._queue.drop(job)
        for entry in [entry for entry in self._new if entry[0] is job]:
            self._new.remove(entry)
        self._settle(job)

    def _settle(self, job: Job) -> None:
        """All its texts counted until now, so that what is accepted waits for a bounded time."""
        job.settled = True
        self._pending -= len(job.pairs)
        if self._closed and not self._pending:
            self._wake_all()

    def _wake_all(self) -> None:
        self._arrived.notify_all()
        self._waiting.notify_all()

    # ---- tokenising -------------------------------------------------------------------------

    def _tokenise(self) -> None:
        while part := self._next_part():
            pairs = [job.pairs[row] for job, row in part]
            started = time.perf_counter()
            try:
                encoded = self._codec.encode(pairs)
            except Exception as error:  # it belongs to these requests, not to this thread
                self._fail([job for job, _ in part], error)
                continue
            self._observer.tokenised(len(pairs), time.perf_counter() - started)
            ids = encoded.ids
            types: Sequence[Any] = encoded.type_ids or [None] * len(part)
            texts: dict[Job, list[Text]] = {}
            for i, (job, row) in enumerate(part):
                texts.setdefault(job, []).append(Text(row, ids[i], types[i]))
            with self._changed:
                for job, its in texts.items():
                    if not job.settled:
                        self._queue.add(job, job.flow, its)
                self._waiting.notify_all()

    def _next_part(self) -> list[tuple[Job, int]]:
        """The next texts to tokenise; none when all is done."""
        with self._changed:
            while not self._new:
                if self._closed and not self._pending:
                    return []
                self._arrived.wait()
            part: list[tuple[Job, int]] = []
            while self._new and len(part) < TOKENISED_AT_ONCE:
                job, first = self._new.popleft()
                end = min(len(job.pairs), first + TOKENISED_AT_ONCE - len(part))
                part += [(job, row) for row in range(first, end)]
                if end < len(job.pairs):
                    self._new.appendleft((job, end))
            return part

    # ---- running ----------------------------------------------------------------------------

    def _run(self, engine: Engine) -> None:
        while batch := self._next_batch():
            started = time.perf_counter()
            try:
                inputs, tokens, padded = self._codec.inputs([item.text for item in batch])
                rows = self._codec.rows(engine.run(inputs))
            except Exception as error:  # it belongs to these requests, not to this thread
                self._fail([item.owner for item in batch], error)
                continue
            seconds = time.perf_counter() - started
            self._observer.ran(len(batch), tokens, padded, seconds)
            self._deliver(batch, rows, seconds)

    def _next_batch(self) -> list[Waiting[Job]]:
        """The next batch; empty when all is done."""
        with self._changed:
            while not len(self._queue):
                if self._closed and not self._pending:
                    return []
                self._waiting.wait()
            batch = self._queue.take()
            now = time.perf_counter()
            fresh = {item.owner for item in batch if item.owner.started is None}
            for job in fresh:
                job.started = now
        for job in fresh:
            self._observer.waited(now - job.arrived)
        return batch

    def _deliver(self, batch: Sequence[Waiting[Job]], rows: FloatArray, seconds: float) -> None:
        with self._changed:
            done = [
                item.owner
                for item, scores in zip(batch, rows, strict=True)
                if item.owner.put(item.text.row, scores) and not item.owner.settled
            ]
            rate = self._lanes * len(batch) / max(seconds, 1e-6)
            self._rate += 0.1 * (rate - self._rate) if self._rate else rate
            for job in done:
                self._settle(job)
        for job in done:
            job.finish()

    def _fail(self, jobs: Iterable[Job], error: Exception) -> None:
        failed = []
        with self._changed:
            for job in set(jobs):
                if not job.settled:
                    failed.append(job)
                    self._drop(job)
        for job in failed:
            job.future.set_exception(error)
