"""Requests and refusals: what every endpoint does with a body, an answer and an error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from xmpress.errors import DataError, Problem
from xmpress.validation import problems_of


class Form(BaseModel):
    """The form of a body; what stands below a field is its description in the OpenAPI document."""

    model_config = ConfigDict(use_attribute_docstrings=True)


Content = TypeVar("Content", bound=Form)

_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F]).)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
"""An escape of JSON that is whole (the group), or half of a surrogate pair."""


class Refusal(Exception):
    """A request is not answered as asked.

    Attributes:
        status: HTTP status.
        reason: a word for metrics and logs.
        message: for the client.
        headers: of the answer.
    """

    def __init__(
        self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON."""
    return Response(
        to_json(content), status, media_type="application/json", headers=dict(headers or {})
    )


def error_response(refusal: Refusal) -> Response:
    """``{"error": "..."}``."""
    return json_response({"error": refusal.message}, refusal.status, refusal.headers)


async def read_body(request: Request, limit: int, deadline: float) -> bytes:
    """The body.

    Args:
        request: whose body.
        limit: bytes at most.
        deadline: when it must be there, in the loop's time.

    Raises:
        Refusal: 413 if it is larger, 408 if it does not come in time, 422 if it is encoded.
        ClientDisconnect: if the client is gone.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refusal(
            422, "invalid", f"a body with Content-Encoding '{encoding[:40]}' cannot be read; "
            "send it as it is",
        )  # fmt: skip
    too_large = Refusal(413, "too_large", f"the body is larger than {limit:,} bytes; send less")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError as error:
        raise Refusal(408, "slow_body", "the body did not arrive in time") from error
    return bytes(body)


def parse(model: type[Content], body: bytes) -> Content:
    """Read JSON of a known form.

    Halves of surrogate pairs, which are left where a program cut a text within an emoji, are
    replaced by U+FFFD as everywhere.

    Raises:
        Refusal: 400 if it is not JSON in UTF-8, 422 with every problem if it has another form.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if problem["type"] == "json_invalid":
            if b"\\ud" in body or b"\\uD" in body:
                repaired = _ESCAPE.sub(lambda m: m[1] or rb"\ufffd", body)
                if repaired != body:
                    return parse(model, repaired)
            raise Refusal(400, "malformed", f"the body is not JSON: {problem['msg']}") from error
        problems = [
            Problem("the body" if p.where == "the file" else p.where, p.what)
            for p in problems_of(error, model)
        ]
        message = str(DataError("the request is not as expected", problems))
        raise Refusal(422, "invalid", message) from error
