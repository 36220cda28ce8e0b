"""Engines: what runs a bundle's graph."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from xmpress.errors import EngineError
from xmpress.tasks import FloatArray

ENGINES = {"onnx": ("xmpress.runtime.engines.onnxruntime", "OnnxRuntimeEngine")}
"""By name, which is also the folder of a bundle that the engine reads; the preferred one first.

Imported only when opened: an engine's library may be large or not installed.
"""


class Engine(Protocol):
    """Runs one graph. Safe to call from several threads."""

    name: str
    outputs: tuple[str, ...]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch.

        Args:
            inputs: int64 [B, T] each, by input name.

        Returns:
            Per task float32 [B, L].

        Raises:
            EngineError: if the engine fails.
        """
        ...


def open_engine(bundle: str | Path, name: str = "auto", *, threads: int | None = None) -> Engine:
    """Open a bundle's graph.

    Args:
        bundle: the bundle's directory.
        name: an engine's name; ``auto`` takes the first the bundle has a graph for.
        threads: CPU threads for one batch; ``None`` leaves it to the engine (all cores).

    Raises:
        EngineError: if there is no such engine, the bundle has no graph for it, or it fails.
    """
    present = [engine for engine in ENGINES if (Path(bundle) / engine).is_dir()]
    if name != "auto" and name not in ENGINES:
        raise EngineError(f"there is no engine '{name}'; the engines are {', '.join(ENGINES)}")
    if name not in {"auto", *present} or not present:
        raise EngineError(
            f"bundle {bundle} has no graph for engine '{name}' "
            f"(it has: {', '.join(present) or 'none'}); export the model for it"
        )
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; expected at least 1")
    chosen = present[0] if name == "auto" else name
    module, attribute = ENGINES[chosen]
    engine: Engine = getattr(import_module(module), attribute)(Path(bundle) / chosen, threads)
    return engine
