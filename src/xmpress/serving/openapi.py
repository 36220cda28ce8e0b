"""The OpenAPI document, from the table of endpoints and the forms of their bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from xmpress import __version__
from xmpress.serving.endpoints import Endpoint
from xmpress.serving.http import Form
from xmpress.serving.inference import HEADER_LENGTH

_REASONS = {
    400: "The body is not JSON in UTF-8, or its binary data is broken.",
    401: "The key is missing or wrong.",
    404: "There is no such model or version.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "The body is not as expected; the message lists every problem.",
    429: "Too much is waiting; try again after the seconds in Retry-After.",
    503: "The server is starting or stopping, or its engine failed.",
    504: "The answer was not ready in time.",
}


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    forms = {f for e in endpoints for f in (e.request, e.response) if f is not None}
    _, definitions = models_json_schema(
        [(form, "validation") for form in sorted(forms, key=lambda form: form.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    schemas["Error"] = {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    }
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "xmpress",
            "version": __version__,
            "description": "One classifier for open feedback, for all tasks and languages.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")
    operation: dict[str, Any] = {"summary": endpoint.summary, "operationId": name}
    parameters = [
        {"name": p, "in": "path", "required": True, "schema": {"type": "string"}}
        for p in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if endpoint.binary:
        parameters.append({
            "name": HEADER_LENGTH,
            "in": "header",
            "required": False,
            "description": "Bytes of the JSON, where binary data follows it.",
            "schema": {"type": "integer", "minimum": 0},
        })  # fmt: skip
    if parameters:
        operation["parameters"] = parameters
    if endpoint.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(endpoint.request)}},
        }
    content: dict[str, Any] = {"application/json": {}}
    if endpoint.response is not None:
        content = {"application/json": {"schema": _ref(endpoint.response)}}
    elif endpoint.path == "/metrics":
        content = {"text/plain": {"schema": {"type": "string"}}}
    if endpoint.binary:
        content["application/octet-stream"] = {}
    errors = {*endpoint.errors, 503} | (set() if endpoint.open else {401})
    operation["responses"] = {
        "200": {"description": "As asked.", "content": content},
        **{
            str(status): {
                "description": _REASONS[status],
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
            for status in sorted(errors)
        },
    }
    operation["security"] = [] if endpoint.open else [{}, {"bearer": []}, {"key": []}]
    return operation


def _ref(form: type[Form]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{form.__name__}"}
