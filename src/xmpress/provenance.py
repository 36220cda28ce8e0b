"""Where an artefact comes from: the lock file that lies beside every one."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

LOCK_FILE = "recipe.lock.yaml"
PACKAGES = (
    "xmpress",
    "numpy",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "arro3-core",
)
"""Packages whose version can change a result."""


def digest(content: Any) -> str:
    """SHA-256 of settings, whatever the order of their keys."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def lock_text(settings: Mapping[str, Any], *, seeds: Sequence[int], data: Mapping[str, str]) -> str:
    """The content of a lock file.

    Args:
        settings: everything the artefact was made with, defaults included.
        seeds: of everything random.
        data: fingerprints of the data, by name.
    """
    content = {
        **settings,
        "hash": digest(settings),
        "seeds": list(seeds),
        "data": dict(data),
        "versions": versions(),
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
