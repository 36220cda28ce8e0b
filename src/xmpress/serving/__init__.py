"""The HTTP server: one deployment for all tasks, languages and models.

One process speaks HTTP, tokenises and forms batches; each engine runs in a process of its own, so
that a crash of native code costs no request. Modules, in the order data flows through them:

settings.py      what can be set
metrics.py       what Prometheus sees; logs.py, tracing.py
keys.py          who may call
fairness.py      which texts go into the next batch
workers.py       engines in processes of their own
batcher.py       from texts to rows of scores, across requests
models.py        the bundles served, and their replacement while running
http.py          bodies, refusals, routes
service.py       what all endpoints share
analyze.py       /v1; inference.py: /v2, the Open Inference Protocol; openapi.py, pages.py
app.py           the ASGI application
connections.py   slow and silent clients, leaving gracefully
server.py        the process
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmpress.serving.app import build_app
    from xmpress.serving.server import serve
    from xmpress.serving.settings import ModelSpec, ServeSettings

# Engine processes import this package too, and need nothing of HTTP.
_HOME_OF = {
    "ModelSpec": "settings",
    "ServeSettings": "settings",
    "build_app": "app",
    "serve": "server",
}

__all__ = ["ModelSpec", "ServeSettings", "build_app", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'xmpress.serving' has no attribute '{name}'")
    return getattr(import_module(f"xmpress.serving.{_HOME_OF[name]}"), name)
