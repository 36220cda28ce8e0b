"""What the outputs of steps depend on: settings, and data and models by what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xmpress.compression import Artefact, Recipe
from xmpress.data.files import sha256
from xmpress.study.rows import Rows
from xmpress.training import TrainConfig
from xmpress.zoo import resolve

PLACES = {"data", "tasks", "encoder", "tokenizer"}
"""Settings that say where something lies; what it holds is what counts."""


def training_inputs(settings: TrainConfig, rows: Rows) -> dict[str, Any]:
    """Of a training."""
    return {
        "settings": settings.model_dump(mode="json", exclude=PLACES),
        "tasks": settings.task_set().model_dump(mode="json"),
        "encoder": _encoder(settings.encoder),
        "tokenizer": _tokenizer(settings.tokenizer),
        "data": rows.fingerprint,
    }


def recipe_inputs(recipe: Recipe, rows: Rows) -> dict[str, Any]:
    """Of a compression, besides the model that it compresses."""
    attempts = recipe.build_attempts()
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"data"}),
        "outside": [[one.inputs() for one in passes] for passes in attempts],
        "revisions": [[one.revision for one in passes] for passes in attempts],
        "data": rows.fingerprint,
    }


def tested_inputs(rows: Rows) -> dict[str, Any]:
    """Of a scorecard, besides the model."""
    parallel = rows.parallel
    return {
        "tested": rows.tested.fingerprint,
        "parallel": None if parallel is None else parallel.rows.fingerprint,
    }


def file_or_name(name: str | None) -> str | None:
    """The checksum of a file; the name itself, where it is no file here."""
    return sha256(name) if name is not None and Path(name).is_file() else name


def _located(name: str) -> Path:
    return resolve(name.removeprefix("zoo:")) if name.startswith("zoo:") else Path(name)


def _encoder(spec: str | Mapping[str, Any]) -> Any:
    """An encoder by its weights where they are here, else by its name or configuration."""
    if not isinstance(spec, str):
        return dict(spec)
    path = _located(spec)
    return Artefact(path).fingerprint if path.is_dir() else file_or_name(spec)


def _tokenizer(name: str | None) -> str | None:
    return name and file_or_name(str(_located(name) / "tokenizer.json"))
