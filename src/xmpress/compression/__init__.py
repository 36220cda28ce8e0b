"""Compression: recipes of passes, each scored by task and language and held by a guard."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmpress.compression.guard import Finding, Guard, Judgement, Verdict, judge
    from xmpress.compression.passes import (
        Artefact,
        Context,
        Pass,
        PassParams,
        pass_class,
        pass_names,
    )
    from xmpress.compression.pipeline import CompressionResult, compress
    from xmpress.compression.recipe import Recipe, load_recipe, packaged_recipes

# Listing recipes must not wait for torch, which running one needs.
_HOME_OF = {
    "Artefact": "passes",
    "CompressionResult": "pipeline",
    "Context": "passes",
    "Finding": "guard",
    "Guard": "guard",
    "Judgement": "guard",
    "Pass": "passes",
    "PassParams": "passes",
    "Recipe": "recipe",
    "Verdict": "guard",
    "compress": "pipeline",
    "judge": "guard",
    "load_recipe": "recipe",
    "packaged_recipes": "recipe",
    "pass_class": "passes",
    "pass_names": "passes",
}

__all__ = [
    "Artefact",
    "CompressionResult",
    "Context",
    "Finding",
    "Guard",
    "Judgement",
    "Pass",
    "PassParams",
    "Recipe",
    "Verdict",
    "compress",
    "judge",
    "load_recipe",
    "packaged_recipes",
    "pass_class",
    "pass_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'xmpress.compression' has no attribute '{name}'")
    value = getattr(import_module(f"xmpress.compression.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
