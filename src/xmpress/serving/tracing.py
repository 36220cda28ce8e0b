"""OpenTelemetry, off unless asked for."""

from __future__ import annotations

from typing import cast

from starlette.types import ASGIApp

from xmpress.errors import MissingExtraError


def traced(app: ASGIApp) -> ASGIApp:
    """The application with a span per request, sent as the ``OTEL_*`` variables say.

    Raises:
        MissingExtraError: if OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise MissingExtraError("otel", "tracing (--otel)") from error
    # What OTEL_SERVICE_NAME says wins over this.
    provider = TracerProvider(resource=Resource({SERVICE_NAME: "xmpress"}).merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return cast(
        ASGIApp,
        OpenTelemetryMiddleware(
            app, tracer_provider=provider, excluded_urls="v2/health,metrics,static"
        ),
    )
