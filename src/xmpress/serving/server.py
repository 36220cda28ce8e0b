"""The process: a socket, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from prometheus_client import disable_created_metrics

from xmpress.errors import UsageError, XmpressError
from xmpress.runtime.bundle import Bundle
from xmpress.serving import logs
from xmpress.serving.app import build_app
from xmpress.serving.connections import Connection
from xmpress.serving.models import check_distinct, names_of
from xmpress.serving.service import Service
from xmpress.serving.settings import ModelSpec, ServeSettings
from xmpress.serving.tracing import traced

KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep idle connections, so that it is they who close them."""
LEAVE_EXTRA_SECONDS = 5
BACKLOG = 2048
"""Connections that wait to be accepted."""


def serve(
    specs: Sequence[ModelSpec],
    settings: ServeSettings | None = None,
    *,
    on_listen: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve bundles over HTTP until SIGTERM or SIGINT, then finish what was accepted.

    SIGHUP replaces models whose bundle is another one now.

    Args:
        specs: the bundles, the default first.
        settings: how to run.
        on_listen: called with the address when it is listened on.

    Raises:
        UsageError: if the address cannot be listened on, or two models have the same name.
        ModelError: if a bundle cannot be used.
        EngineError: if an engine cannot be started.
        MissingExtraError: if traces are wanted and OpenTelemetry is not installed.
    """
    settings = settings or ServeSettings()
    if not specs:
        raise UsageError("there is no model to serve")
    # What can be found wrong is found before anything listens.
    check_distinct([names_of(spec, Bundle.open(spec.path)) for spec in specs])
    logs.configure()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # times that nobody reads
    allow_many_connections()
    failure: list[XmpressError] = []

    def give_up(error: XmpressError) -> None:
        failure.append(error)
        server.should_exit = True

    service = Service(specs, settings, on_failure=give_up)
    app = build_app(service)
    if settings.otel:
        app = traced(app)
    listener = _listen(settings)
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            backlog=BACKLOG,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.timeout) + LEAVE_EXTRA_SECONDS,
        ),
        service,
    )
    host, port = listener.getsockname()[:2]
    on_listen(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server.run([listener])
    if failure:
        raise failure[0]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if hasattr(signal, "SIGHUP"):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._service.reload)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.leave()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal again at the end, and make an orderly end look like none.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def allow_many_connections() -> None:
    """Open as many files as the system lets this process.

    A connection is a file, and the usual limit of 1,024 is soon reached by silent ones. It is there
    for programs that use ``select``, which this one does not.
    """
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Some systems call it unlimited and refuse it.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}; "
            "choose others (--host, --port)"
        ) from error
    return listener
