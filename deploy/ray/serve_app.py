"""xmpress as a Ray Serve application, for clusters that run Ray anyway.

    pip install 'xmpress' 'ray[serve]'
    serve run --working-dir deploy/ray serve_app:build bundle=/bundles/student threads=2
    curl localhost:8000/v1/analyze -d '{"texts": ["Trop cher."]}'

It answers ``POST /v1/analyze`` as ``xmpress serve`` does. Requests that come at the same time share
batches; Ray Serve starts and ends replicas with the load. Keys, limits by size, the Open Inference
Protocol and metrics by label are only in ``xmpress serve``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import xmpress

MAX_TEXTS = 1_000
"""Texts of one request."""
MAX_BODY = 4 * 2**20
"""Bytes of a request."""


class Query(BaseModel):
    """What a request holds."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str | None]
    contexts: list[str | None] | str | None = None
    tasks: list[str] | None = None

    def pairs(self) -> list[tuple[str | None, str | None]]:
        """Each text with its context."""
        contexts = self.contexts
        if contexts is None or isinstance(contexts, str):
            contexts = [contexts] * len(self.texts)
        if len(contexts) != len(self.texts):
            raise ValueError(f"{len(self.texts)} texts but {len(contexts)} contexts")
        return list(zip(self.texts, contexts, strict=True))


@serve.deployment(
    max_ongoing_requests=256,
    max_queued_requests=1_000,
    autoscaling_config={"min_replicas": 1, "max_replicas": 10, "target_ongoing_requests": 32},
    graceful_shutdown_timeout_s=30,
)
class Feedback:
    """Answers requests with the texts of several in one batch."""

    def __init__(self, bundle: str, threads: int) -> None:
        self._analyzer = xmpress.load(bundle, threads=threads)
        self._analyzer.analyze(["ready?"])
        manifest = self._analyzer.bundle.manifest
        self._model = {"model": manifest.name, "version": manifest.version}

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.002)
    async def _analyze(self, requests: list[list[Any]]) -> list[list[dict[str, Any]]]:
        pairs = [pair for request in requests for pair in request]
        texts, contexts = [text for text, _ in pairs], [context for _, context in pairs]
        found = await asyncio.to_thread(self._analyzer.analyze, texts, contexts)
        analyses = [{task: said.to_dict() for task, said in one.items()} for one in found]
        answers, start = [], 0
        for request in requests:
            answers.append(analyses[start : start + len(request)])
            start += len(request)
        return answers

    async def __call__(self, request: Request) -> Response:
        """``POST /v1/analyze``."""
        if request.url.path != "/v1/analyze":
            return _refusal(404, f"there is nothing at {request.url.path}; POST /v1/analyze")
        if request.method != "POST":
            return _refusal(405, "expected POST")
        body = await request.body()
        if len(body) > MAX_BODY:
            return _refusal(413, f"the body has {len(body)} bytes, at most {MAX_BODY} are read")
        try:
            query = Query.model_validate_json(body)
            pairs = query.pairs()
            wanted = self._analyzer.tasks.select(query.tasks or self._analyzer.tasks.names).names
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            told = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)
            return _refusal(422, told)
        except (ValueError, xmpress.TaskError) as error:
            return _refusal(422, str(error))
        if len(pairs) > MAX_TEXTS:
            return _refusal(422, f"{len(pairs)} texts, at most {MAX_TEXTS} in a request")
        analyses = await self._analyze(pairs)
        chosen = [{task: one[task] for task in wanted} for one in analyses]
        return JSONResponse({**self._model, "analyses": chosen})


def build(args: dict[str, str]) -> serve.Application:
    """The application of a ``bundle``, which every node has, with so many ``threads`` each."""
    threads = int(args.get("threads", "2"))
    deployment = Feedback.options(ray_actor_options={"num_cpus": threads})
    return deployment.bind(args.get("bundle", "default"), threads)


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
