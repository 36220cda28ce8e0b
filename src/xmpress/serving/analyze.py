"""``/v1``: analyse texts, and say which models there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from xmpress.errors import TaskError
from xmpress.runtime.decoding import Decoded
from xmpress.serving.http import Form, Refusal, json_response, parse
from xmpress.serving.models import ServedModel
from xmpress.serving.service import Scored, Service
from xmpress.tasks import Task, TaskSet

DIGITS = 6
"""Decimal places of probabilities in JSON: more than fp32 weights repeat on another machine."""


class AnalyzeRequest(Form):
    """Texts to analyse."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "texts": ["Trop d'attente au guichet.", "最高の接客でした！"],
                "langs": ["fr", "ja"],
                "tasks": ["sentiment"],
            }
        },
    )

    texts: list[str | None]
    """The texts; a null or blank one gets null predictions."""
    contexts: list[str | None] | str | None = None
    """What each text answers, such as the survey question; or one for all."""
    langs: list[str | None] | str | None = None
    """Each text's language (BCP 47), or one for all; counted in the metrics, nothing else."""
    tasks: list[str] | None = None
    """Only these tasks; all by default."""
    model: str | None = None
    """A model's name; the first by default."""
    version: str | None = None
    """A version of the model; its first by default."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds to wait for the answer, if fewer than the server's limit."""


class LabelPrediction(Form):
    """What a single-label or ordinal task says about a text."""

    label: str | None
    """The label; null for a blank text."""
    confidence: float | None
    """Probability of the label."""
    probabilities: dict[str, float]
    """By label; they sum to 1. Empty for a blank text."""


class LabelsPrediction(Form):
    """What a multi-label task says about a text."""

    labels: list[str] | None
    """The labels that apply, none too; null for a blank text."""
    confidence: float | None
    """Probability of the most probable label, whether it applies or not."""
    probabilities: dict[str, float]
    """By label, each by itself. Empty for a blank text."""


class AnalyzeResponse(Form):
    """The analyses, in the order of the texts."""

    model: str
    """The model that answered."""
    version: str
    """Its version."""
    analyses: list[dict[str, LabelPrediction | LabelsPrediction]]
    """Per text the predictions by task."""


class TaskInfo(Form):
    """A task of a model."""

    name: str
    kind: str
    """``single_label``, ``ordinal`` or ``multi_label``."""
    labels: list[str]
    """In the order of the probabilities of the Open Inference Protocol."""
    description: str


class ModelInfo(Form):
    """A model that is served."""

    name: str
    version: str
    tasks: list[TaskInfo]
    languages: list[str]
    """Those of its training data."""
    max_length: int
    """Tokens of a text that are read; what follows is cut."""
    quantized: bool
    """Whether it computes in integers."""


class ModelsResponse(Form):
    """The models served, the default first, and what a request may hold."""

    models: list[ModelInfo]
    max_texts: int
    """Texts of one request."""
    max_characters: int
    """Characters of one text."""


async def analyze(service: Service, request: Request) -> Response:
    """``POST /v1/analyze``."""
    deadline = service.deadline()
    async with service.body(request, deadline) as body:
        query = parse(AnalyzeRequest, body)
        if query.timeout is not None:
            deadline = min(deadline, service.deadline(query.timeout))
        served = service.model(query.model, query.version)
        try:
            # All of them is the usual case; a new set would be checked anew.
            tasks = served.codec.tasks.select(query.tasks) if query.tasks else served.codec.tasks
        except TaskError as error:
            raise Refusal(422, "invalid", str(error)) from error
        contexts = _one_each(query.contexts, len(query.texts), "contexts")
        langs = _one_each(query.langs, len(query.texts), "langs")
        service.check_texts(query.texts)
        service.check_texts(contexts, "contexts")
        scored = await service.score(request, served, query.texts, contexts, langs, deadline)
    request.state.texts = len(query.texts)
    request.state.model = f"{served.name}@{served.version}"
    content = {
        "model": served.name,
        "version": served.version,
        "analyses": analyses(scored.decoded, tasks),
    }
    return json_response(content, headers=timing(scored))


async def models(service: Service, request: Request) -> Response:
    """``GET /v1/models``."""
    service.model()  # 503 while none is ready
    answer = ModelsResponse(
        models=[_info(served) for served in service.models],
        max_texts=service.settings.max_texts,
        max_characters=service.settings.max_characters,
    )
    return json_response(answer)


def analyses(decoded: Decoded, tasks: TaskSet) -> list[dict[str, Any]]:
    """Per text, blank ones too, the predictions by task, for JSON."""
    names = tasks.names
    there = zip(*(_predictions(decoded, task) for task in tasks), strict=True)
    nothing: list[dict[str, Any]] = [
        {_key(task): None, "confidence": None, "probabilities": {}} for task in tasks
    ]
    return [
        dict(zip(names, next(there) if present else nothing, strict=True))
        for present in decoded.present.tolist()
    ]


def _key(task: Task) -> str:
    return "labels" if task.multi else "label"


def _predictions(decoded: Decoded, task: Task) -> list[dict[str, Any]]:
    key = _key(task)
    probabilities = decoded.probabilities[task.name].astype(np.float64).round(DIGITS).tolist()
    return [
        {
            key: labels if task.multi else labels[0],
            "confidence": max(values),
            "probabilities": dict(zip(task.labels, values, strict=True)),
        }
        for labels, values in zip(
            task.names(decoded.decided[task.name]), probabilities, strict=True
        )
    ]


def timing(scored: Scored) -> dict[str, str]:
    """How long the request waited, for browsers' network tools and for people."""
    return {"Server-Timing": f"queue;dur={1000 * scored.queue_seconds:.1f}"}


def _one_each(given: Sequence[str | None] | str | None, n: int, what: str) -> list[str | None]:
    if given is None or isinstance(given, str):
        return [given] * n
    if len(given) != n:
        raise Refusal(422, "invalid", f"{what}: {len(given)} for {n} texts; expected one per text")
    return list(given)


def _info(served: ServedModel) -> ModelInfo:
    manifest = served.bundle.manifest
    return ModelInfo(
        name=served.name,
        version=served.version,
        tasks=[TaskInfo(**t.model_dump(mode="json")) for t in manifest.tasks],
        languages=list(manifest.languages),
        max_length=manifest.max_length,
        quantized=manifest.quantization is not None,
    )
