"""What all endpoints share: the models, the limits, and the way of texts to their scores."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from starlette.requests import ClientDisconnect, Request

from xmpress.errors import EngineError, XmpressError
from xmpress.runtime.cache import Pair
from xmpress.runtime.decoding import Decoded, is_blank
from xmpress.serving.batcher import ClosedError, QueueFullError
from xmpress.serving.http import Refusal, read_body
from xmpress.serving.keys import Keys
from xmpress.serving.metrics import Metrics
from xmpress.serving.models import Models, ServedModel
from xmpress.serving.settings import ModelSpec, ServeSettings
from xmpress.tasks import Bools, FloatArray

log = logging.getLogger("xmpress.serving")

BODIES = 64
"""Bodies of the largest allowed size that may be in memory together."""
UNKNOWN, OTHER = "unknown", "other"
"""In metrics: the caller gave no language; one that the model was not trained on."""


class State(StrEnum):
    """What the server is doing."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Scored:
    """The scores of one request's texts.

    Attributes:
        served: the model they are of.
        decoded: by task.
        queue_seconds: until an engine got the first of them; 0 if none was needed.
    """

    served: ServedModel
    decoded: Decoded
    queue_seconds: float


class Service:
    """One server's state."""

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        settings: ServeSettings,
        *,
        on_failure: Callable[[XmpressError], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            specs: the bundles, at least one.
            settings: how to run.
            on_failure: called if the models cannot be opened.
        """
        self.settings = settings
        self.keys = Keys(settings.api_keys, settings.api_key_file)
        self.metrics = Metrics()
        self.models = Models(specs, settings, self.metrics)
        self.state = State.STARTING
        self._on_failure = on_failure
        self._bytes = 0
        self._tasks: list[asyncio.Task[None]] = []

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the models beside serving, which says 503 until they are warm."""
        self._tasks.append(asyncio.create_task(self._start()))

    async def _start(self) -> None:
        try:
            await self.models.load()
        except XmpressError as error:
            log.error("the models cannot be served: %s", error)
            self._on_failure(error)
            return
        self.state = State.READY
        self.metrics.ready.set(1)
        await self.models.look_after()

    def reload(self) -> None:
        """Replace models whose bundle is another one now, beside serving."""
        if self.state is State.READY:
            task = asyncio.create_task(self._reload())
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    async def _reload(self) -> None:
        if not await self.models.reload():
            log.info("reload: no bundle has changed")

    def leave(self) -> None:
        """No longer be ready, while what was accepted is finished."""
        self.state = State.STOPPING
        self.metrics.ready.set(0)

    async def stop(self) -> None:
        """Finish what was accepted, and end the engines."""
        self.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.models.close()

    @property
    def ready(self) -> bool:
        """Whether all models are warm and have an engine."""
        return self.state is State.READY and all(served.engine_pids for served in self.models)

    # ---- requests ---------------------------------------------------------------------------

    def model(self, name: str | None = None, version: str | None = None) -> ServedModel:
        """The model asked for.

        Raises:
            Refusal: 404 if there is none, 503 while none is ready.
        """
        if self.state is State.STARTING:
            raise Refusal(503, "starting", "the models are being loaded", {"Retry-After": "1"})
        served = self.models.get(name, version)
        if served is None:
            there = ", ".join(f"{s.name} (version {s.version})" for s in self.models)
            asked = f"'{name or ''}'" + (f" version '{version}'" if version else "")
            raise Refusal(404, "not_found", f"there is no model {asked:.200}; there is {there}")
        return served

    @asynccontextmanager
    async def body(self, request: Request, deadline: float) -> AsyncIterator[bytes]:
        """The request's body, as long as there is room for it in memory.

        Raises:
            Refusal: as `xmpress.serving.http.read_body`; 429 if too many are being read.
        """
        limit = self.settings.max_body
        declared = request.headers.get("content-length", "")
        # One that does not tell its size may have the largest.
        size = min(int(declared[:18]), limit) if declared.isdecimal() else limit
        if self._bytes + size > BODIES * limit:
            raise Refusal(429, "bodies_full", "too many large requests", {"Retry-After": "1"})
        self._bytes += size
        try:
            yield await read_body(request, limit, deadline)
        finally:
            self._bytes -= size

    def deadline(self, seconds: float | None = None) -> float:
        """When a request that comes now must be answered, in the loop's time."""
        most = self.settings.timeout
        return asyncio.get_running_loop().time() + min(most, most if seconds is None else seconds)

    def check_texts(self, texts: Sequence[str | None], what: str = "texts") -> None:
        """See that there are not too many, and none is too long.

        Raises:
            Refusal: 422.
        """
        if len(texts) > self.settings.max_texts:
            raise Refusal(
                422, "too_many_texts", f"{what}: {len(texts):,} texts, expected "
                f"{self.settings.max_texts:,} at most; send several requests",
            )  # fmt: skip
        limit = self.settings.max_characters
        for i, text in enumerate(texts):
            if text is not None and len(text) > limit:
                raise Refusal(
                    422, "text_too_long",
                    f"{what}[{i}]: {len(text):,} characters, expected {limit:,} at most",
                )  # fmt: skip

    async def score(
        self,
        request: Request,
        served: ServedModel,
        texts: Sequence[str | None],
        contexts: Sequence[str | None],
        langs: Sequence[str | None] | None,
        deadline: float,
    ) -> Scored:
        """Score texts, with each one's context and language.

        Raises:
            Refusal: 429 if too much waits, 504 after the deadline, 503 if the engine fails.
            ClientDisconnect: if nobody waits for the answer any more.
        """
        present = np.array([not is_blank(text) for text in texts], dtype=bool)
        pairs: list[Pair] = [
            (text or "", None if is_blank(context) else context)
            for text, context, there in zip(texts, contexts, present.tolist(), strict=True)
            if there
        ]
        number = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
        rows = np.empty((len(number), served.codec.width), dtype=np.float32)
        missing = list(number)
        if served.cache is not None:
            missing = _remembered(served, missing, rows)
        queue_seconds = 0.0
        if missing:
            new, queue_seconds = await _run(request, served, missing, deadline)
            rows[[number[pair] for pair in missing]] = new
            if served.cache is not None:
                served.cache.put(missing, new)
        result = rows[[number[pair] for pair in pairs]]
        served.metrics.texts.inc(len(texts))
        self._count_labels(served, present, result, langs)
        return Scored(served, served.codec.decoded(present, result), queue_seconds)

    def _count_labels(
        self,
        served: ServedModel,
        present: Bools,
        rows: FloatArray,
        langs: Sequence[str | None] | None,
    ) -> None:
        known = served.bundle.manifest.languages
        given = [None] * len(present) if langs is None else langs
        there = [lang for lang, is_there in zip(given, present.tolist(), strict=True) if is_there]
        tags = [_language(lang, known) for lang in there]
        decided = served.codec.all_decided(rows)
        self.metrics.count_labels(served.name, served.version, served.codec.tasks, decided, tags)


def _remembered(served: ServedModel, pairs: list[Pair], rows: FloatArray) -> list[Pair]:
    """Fill in the rows that are remembered; gives the pairs that are not."""
    assert served.cache is not None  # for the type checker; the caller has looked
    found = served.cache.get(pairs)
    missing = []
    for i, (pair, row) in enumerate(zip(pairs, found, strict=True)):
        if row is None:
            missing.append(pair)
        else:
            rows[i] = row
    served.metrics.hits.inc(len(pairs) - len(missing))
    served.metrics.misses.inc(len(missing))
    return missing


async def _run(
    request: Request, served: ServedModel, pairs: Sequence[Pair], deadline: float
) -> tuple[FloatArray, float]:
    """The rows of distinct pairs, and the seconds until an engine got the first."""
    try:
        job = served.batcher.submit(pairs)
    except QueueFullError as error:
        again = {"Retry-After": str(error.retry_after)}
        raise Refusal(429, "queue_full", str(error), again) from error
    except ClosedError as error:
        raise Refusal(503, "stopping", "the server is stopping", {"Retry-After": "1"}) from error
    answer = asyncio.wrap_future(job.future)
    gone = asyncio.create_task(_disconnected(request))
    try:
        left = deadline - asyncio.get_running_loop().time()
        either: set[asyncio.Future[Any]] = {answer, gone}
        await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result(), (job.started or time.perf_counter()) - job.arrived
        if gone.done():
            raise ClientDisconnect
        raise Refusal(504, "deadline", "the request could not be answered in time")
    except EngineError as error:
        log.error("an engine failed: %s", error, extra={"model": served.name})
        raise Refusal(
            503, "engine", "the engine failed; try again", {"Retry-After": "1"}
        ) from error
    finally:
        gone.cancel()
        if not answer.done():
            answer.cancel()
            served.batcher.cancel(job)


async def _disconnected(request: Request) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass


def _language(lang: str | None, known: Sequence[str]) -> str:
    """The primary subtag if the model knows it: what callers send must not fill the metrics."""
    if not lang:
        return UNKNOWN
    tag = lang.replace("_", "-").partition("-")[0].lower()
    return tag if tag in known else OTHER
