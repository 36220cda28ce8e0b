"""Every address of the server, in one table: its routes and its OpenAPI document come from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from xmpress.serving import analyze, inference
from xmpress.serving.http import Form
from xmpress.serving.service import Service

Handler = Callable[[Service, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoint:
    """One address.

    Attributes:
        method: ``GET`` or ``POST``.
        path: with parameters in braces.
        handler: answers.
        summary: for the documentation.
        request: the form of the body, if there is one.
        response: the form of the answer in JSON, where it is fixed.
        errors: statuses of refusals, besides 401 and 503.
        open: whether it needs no key.
        binary: whether body and answer may be JSON with binary data after it.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    request: type[Form] | None = None
    response: type[Form] | None = None
    errors: tuple[int, ...] = ()
    open: bool = False
    binary: bool = False


async def metrics(service: Service, request: Request) -> Response:
    """``GET /metrics``."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


_BODY = (400, 404, 408, 413, 422, 429, 504)
_MODEL = "/v2/models/{name}"
_VERSION = f"{_MODEL}/versions/{{version}}"
_FORMS: dict[str, type[Form]] = {"": inference.ModelMetadata, "/infer": inference.InferResponse}
_OF_A_MODEL = (
    ("GET", "", inference.model_metadata, "A model's inputs and outputs."),
    ("GET", "/ready", inference.model_ready, "Whether a model is ready."),
    ("POST", "/infer", inference.infer, "Analyse texts given as tensors."),
)

ENDPOINTS = (
    Endpoint(
        "POST", "/v1/analyze", analyze.analyze, "Analyse texts.",
        analyze.AnalyzeRequest, analyze.AnalyzeResponse, _BODY,
    ),
    Endpoint(
        "GET", "/v1/models", analyze.models, "The models, their tasks and labels.",
        response=analyze.ModelsResponse,
    ),
    Endpoint("GET", "/v2", inference.server_metadata, "The server.", open=True),
    Endpoint("GET", "/v2/health/live", inference.live, "Whether it runs.", open=True),
    Endpoint("GET", "/v2/health/ready", inference.ready, "Whether all models are warm.", open=True),
    *(
        Endpoint(
            method, path + rest, handler, summary,
            inference.InferRequest if method == "POST" else None,
            _FORMS.get(rest),
            _BODY if method == "POST" else (404,),
            binary=method == "POST",
        )
        for method, rest, handler, summary in _OF_A_MODEL
        for path in (_MODEL, _VERSION)
    ),
    Endpoint("GET", "/metrics", metrics, "Metrics for Prometheus."),
)  # fmt: skip
