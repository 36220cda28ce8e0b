"""``/v2``: the Open Inference Protocol, version 2, with the binary tensor data extension.

https://github.com/kserve/open-inference-protocol and, for the extension, Triton's
``docs/protocol/extension_binary_data.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from math import prod
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from xmpress import __version__
from xmpress.runtime.decoding import Decoded
from xmpress.serving.analyze import timing
from xmpress.serving.http import Form, Refusal, json_response, parse
from xmpress.serving.models import ServedModel
from xmpress.serving.service import Service, State
from xmpress.tasks import Task

HEADER_LENGTH = "Inference-Header-Content-Length"
TEXT, CONTEXT = "text", "context"
LABEL_SEPARATOR = ";"
"""Joins the labels of a multi-label task, as in CSV."""
_REFUSED = ("shared_memory_region", "classification")

Parameters = dict[str, Any]


class InputTensor(Form):
    """A tensor of texts."""

    name: str
    """``text``, or ``context``: what each text answers."""
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=8)]
    """``[n]`` or ``[n, 1]``."""
    datatype: str
    """``BYTES``."""
    parameters: Parameters = Field(default_factory=dict)
    """``binary_data_size`` if the data follows the JSON."""
    data: list[Any] | None = None
    """The texts, nested as the shape says or flat."""


class OutputRequest(Form):
    """An output that is wanted."""

    name: str
    """``{task}.label`` or ``{task}.probabilities``."""
    parameters: Parameters = Field(default_factory=dict)
    """``binary_data``: whether the data shall follow the JSON."""


class InferRequest(Form):
    """Texts to analyse, as tensors."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "inputs": [
                    {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Great service!"]}
                ]
            }
        }
    )

    id: str | None = None
    """Comes back with the answer."""
    parameters: Parameters = Field(default_factory=dict)
    """``timeout`` in microseconds; ``binary_data_output`` for all outputs."""
    inputs: list[InputTensor]
    outputs: list[OutputRequest] | None = None
    """The outputs wanted; all by default."""


class TensorMetadata(Form):
    """The form of an input or output; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Form):
    """A model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(Form):
    """An output: ``{task}.label`` (BYTES) or ``{task}.probabilities`` (FP32)."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferResponse(Form):
    """The outputs."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


async def server_metadata(service: Service, request: Request) -> Response:
    """``GET /v2``."""
    return json_response(
        {"name": "xmpress", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


async def live(service: Service, request: Request) -> Response:
    """``GET /v2/health/live``."""
    return json_response({"live": True})


async def ready(service: Service, request: Request) -> Response:
    """``GET /v2/health/ready``."""
    if not service.ready:
        state = service.state if service.state is not State.READY else "without an engine"
        raise Refusal(503, "not_ready", f"the server is {state}")
    return json_response({"ready": True})


async def model_metadata(service: Service, request: Request) -> Response:
    """``GET /v2/models/{name}[/versions/{version}]``."""
    served = _asked(service, request)
    versions = [other.version for other in service.models if other.name == served.name]
    outputs = []
    for task in served.codec.tasks:
        outputs += [
            TensorMetadata(name=f"{task.name}.label", datatype="BYTES", shape=[-1]),
            TensorMetadata(
                name=f"{task.name}.probabilities", datatype="FP32", shape=[-1, len(task)]
            ),
        ]
    inputs = [TensorMetadata(name=n, datatype="BYTES", shape=[-1]) for n in (TEXT, CONTEXT)]
    return json_response(
        ModelMetadata(
            name=served.name,
            versions=versions,
            platform="xmpress",
            inputs=inputs,
            outputs=outputs,
        )
    )


async def model_ready(service: Service, request: Request) -> Response:
    """``GET /v2/models/{name}[/versions/{version}]/ready``."""
    served = _asked(service, request)
    return json_response({"name": served.name, "ready": True})


async def infer(service: Service, request: Request) -> Response:
    """``POST /v2/models/{name}[/versions/{version}]/infer``."""
    deadline = service.deadline()
    _asked(service, request)  # before anything is read
    async with service.body(request, deadline) as body:
        head, binary = _split(body, request.headers.get(HEADER_LENGTH))
        query = parse(InferRequest, head)
        microseconds = query.parameters.get("timeout", 0)
        if isinstance(microseconds, int | float) and 0 < microseconds < 1e15:
            deadline = min(deadline, service.deadline(microseconds / 1e6))
        served = _asked(service, request)  # it may have been replaced meanwhile
        wanted = _wanted(query, served)
        texts, contexts = _inputs(query.inputs, binary)
        service.check_texts(texts, TEXT)
        service.check_texts(contexts, CONTEXT)
        scored = await service.score(request, served, texts, contexts, None, deadline)
    request.state.texts = len(texts)
    request.state.model = f"{served.name}@{served.version}"
    return _answer(query.id, served, scored.decoded, wanted, timing(scored))


def _asked(service: Service, request: Request) -> ServedModel:
    parameters = request.path_params
    return service.model(parameters["name"], parameters.get("version"))


# ---- reading --------------------------------------------------------------------------------


def _split(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON and the binary data after it."""
    if length is None:
        return body, b""
    if not length.isdecimal() or len(length) > 18 or int(length) > len(body):
        raise Refusal(
            400, "malformed", f"{HEADER_LENGTH} is '{length[:40]}'; expected the bytes of the "
            f"JSON, at most those of the body ({len(body)})",
        )  # fmt: skip
    return body[: int(length)], body[int(length) :]


def _inputs(tensors: list[InputTensor], binary: bytes) -> tuple[list[str], list[str | None]]:
    """The texts, and a context for each."""
    found: dict[str, list[str]] = {}
    start = 0
    for tensor in tensors:
        if tensor.name not in (TEXT, CONTEXT) or tensor.name in found:
            raise _invalid(tensor.name, f"unknown or twice; the inputs are {TEXT} and {CONTEXT}")
        if tensor.datatype != "BYTES":
            raise _invalid(tensor.name, f"datatype '{tensor.datatype[:40]}'; expected BYTES")
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            values = list(_flat(tensor.name, tensor.data or []))
        else:
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise _invalid(tensor.name, "binary_data_size is not a size in bytes")
            values = _strings(tensor.name, binary[start : start + size], size)
            start += size
        if len(values) != prod(tensor.shape) or any(n != 1 for n in tensor.shape[1:]):
            raise _invalid(
                tensor.name, f"{len(values)} texts of shape {tensor.shape}; expected [n] or [n, 1]"
            )
        found[tensor.name] = values
    if TEXT not in found:
        raise Refusal(422, "invalid", f"there is no input '{TEXT}'")
    if start != len(binary):
        raise Refusal(
            400, "malformed", f"{len(binary)} bytes after the JSON, but the inputs have {start}"
        )
    texts = found[TEXT]
    contexts: list[str | None] = [*found.get(CONTEXT, [])] or [None] * len(texts)
    if len(contexts) != len(texts):
        raise _invalid(CONTEXT, f"{len(contexts)} for {len(texts)} texts; expected one per text")
    return texts, contexts


def _flat(name: str, data: Iterable[Any]) -> Iterable[str]:
    for value in data:
        if isinstance(value, list):
            yield from _flat(name, value)
        elif isinstance(value, str):
            yield value
        else:
            raise _invalid(name, f"data holds {type(value).__name__}; expected text")


def _strings(name: str, data: bytes, size: int) -> list[str]:
    """BYTES elements: each its length as four bytes, least significant first, then itself."""
    if len(data) < size:
        raise Refusal(400, "malformed", f"input '{name}': {size} bytes announced, {len(data)} sent")
    values = []
    place = 0
    while place < size:
        if place + 4 > size:
            raise Refusal(400, "malformed", f"input '{name}': its data ends within a length")
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        if place + length > size:
            raise Refusal(400, "malformed", f"input '{name}': its data ends within a text")
        try:
            values.append(data[place : place + length].decode())
        except UnicodeDecodeError as error:
            raise Refusal(
                400, "malformed", f"input '{name}': text {len(values)} is not UTF-8"
            ) from error
        place += length
    return values


def _wanted(query: InferRequest, served: ServedModel) -> list[tuple[Task, str, bool]]:
    """Per output its task, whether ``label`` or ``probabilities``, and whether as binary data."""
    everywhere = query.parameters.get("binary_data_output") is True
    tasks = served.codec.tasks
    names = [f"{task.name}.{what}" for task in tasks for what in ("label", "probabilities")]
    asked = query.outputs or [OutputRequest(name=name) for name in names]
    wanted = []
    for output in asked:
        if output.name not in names:
            raise _invalid(output.name, f"no such output; there is {', '.join(names)}", "output")
        for parameter in _REFUSED:
            if output.parameters.get(parameter):
                raise _invalid(output.name, f"{parameter} is not supported", "output")
        task, _, what = output.name.rpartition(".")
        binary = output.parameters.get("binary_data", everywhere) is True
        wanted.append((tasks[task], what, binary))
    return wanted


def _invalid(name: str, what: str, kind: str = "input") -> Refusal:
    return Refusal(422, "invalid", f"{kind} '{name[:80]}': {what}")


# ---- answering ------------------------------------------------------------------------------


def _answer(
    id_: str | None,
    served: ServedModel,
    decoded: Decoded,
    wanted: list[tuple[Task, str, bool]],
    headers: dict[str, str],
) -> Response:
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for task, what, binary in wanted:
        if what == "label":
            labels = _labels(decoded, task)
            output: dict[str, Any] = {
                "name": f"{task.name}.label",
                "shape": [len(labels)],
                "datatype": "BYTES",
            }
            data: list[Any] = labels
        else:
            values = np.zeros((len(decoded.present), len(task)), dtype="<f4")
            values[decoded.present] = decoded.probabilities[task.name]
            shape = list(values.shape)
            output = {"name": f"{task.name}.probabilities", "shape": shape, "datatype": "FP32"}
            data = values.ravel().tolist()
        if binary:
            raw = _bytes(labels) if what == "label" else values.tobytes()
            output["parameters"] = {"binary_data_size": len(raw)}
            parts.append(raw)
        else:
            output["data"] = data
        outputs.append(output)
    content: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if id_ is not None:
        content["id"] = id_
    content["outputs"] = outputs
    if not any(binary for _, _, binary in wanted):
        return json_response(content, headers=headers)
    head = to_json(content)
    return Response(
        head + b"".join(parts),
        media_type="application/octet-stream",
        headers={**headers, HEADER_LENGTH: str(len(head))},
    )


def _labels(decoded: Decoded, task: Task) -> list[str]:
    """Per text its label, or labels joined; empty for a blank text."""
    labels = [""] * len(decoded.present)
    there = np.flatnonzero(decoded.present).tolist()
    for row, names in zip(there, task.names(decoded.decided[task.name]), strict=True):
        labels[row] = LABEL_SEPARATOR.join(names)
    return labels


def _bytes(texts: list[str]) -> bytes:
    """As BYTES elements, see `_strings`."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
