"""The ASGI application: routes, keys, errors; a log line and metrics per request."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xmpress.serving.endpoints import ENDPOINTS, Endpoint
from xmpress.serving.http import Refusal, error_response
from xmpress.serving.openapi import openapi
from xmpress.serving.pages import Page, read_pages
from xmpress.serving.service import Service

log = logging.getLogger("xmpress.serving")

CLIENT_GONE = 499
"""In metrics and logs only: nobody was there any more to get the answer."""
_QUIET = {"/v2/health/live", "/v2/health/ready", "/metrics"}
"""Asked every few seconds; not worth a line."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def build_app(service: Service) -> ASGIApp:
    """The application. Its lifespan starts and stops the service."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    pages = read_pages()
    document = Page(to_json(openapi(ENDPOINTS)), "application/json")
    routes = [_route(service, endpoint) for endpoint in ENDPOINTS]
    routes += [
        _page_route("/", pages["playground.html"]),
        _page_route("/docs", pages["docs.html"]),
        _page_route("/openapi.json", document),
        *(_page_route(f"/static/{name}", page) for name, page in pages.items()),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    return Front(app, service)


def _route(service: Service, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        request.state.route = endpoint.path
        try:
            if not endpoint.open and not service.keys.admit(request.headers):
                raise Refusal(
                    401, "unauthorized",
                    "a valid key is needed: send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                    {"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
            return await endpoint.handler(service, request)
        except Refusal as refusal:
            service.metrics.rejected.labels(refusal.reason).inc()
            request.state.reason = refusal.reason
            return error_response(refusal)
        except ClientDisconnect:
            service.metrics.rejected.labels("disconnected").inc()
            return Response(status_code=CLIENT_GONE)
        except Exception:
            log.exception("a request failed", extra={"id": request.state.id})
            message = f"internal error; the server's log tells more of request {request.state.id}"
            return error_response(Refusal(500, "internal", message))

    return Route(endpoint.path, answer, methods=[endpoint.method])


def _page_route(path: str, page: Page) -> Route:
    async def answer(request: Request) -> Response:
        request.state.route = "/static" if path.startswith("/static") else path
        return page.response()

    return Route(path, answer)


async def _http_error(_: Request, error: Exception) -> Response:
    """What the router refuses: an unknown address, another method."""
    assert isinstance(error, HTTPException)  # the only kind it is registered for
    return error_response(Refusal(error.status_code, "not_found", error.detail, error.headers))


class Front:
    """Around every request: its number, its time, its log line, its metrics."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state = scope.setdefault("state", {})
        given = Headers(scope=scope).get("x-request-id", "")
        state["id"] = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        status = CLIENT_GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = state["id"]
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        # The address itself is the caller's text.
        route = state.get("route", "other")
        metrics = self.service.metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        if route in _QUIET:
            return
        extra = {
            "id": state["id"],
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
        extra |= {k: state[k] for k in ("model", "texts", "reason") if k in state}
        log.info("request", extra=extra)
