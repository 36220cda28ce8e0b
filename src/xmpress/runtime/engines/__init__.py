"""Engines: what runs a bundle's graph."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from xmpress.errors import EngineError, MissingExtraError
from xmpress.runtime.engines.variants import choose_graph
from xmpress.tasks import FloatArray


class EngineKind(NamedTuple):
    """Where an engine is, and what it reads.

    Attributes:
        module: imported only when opened, for an engine's library may be large or not installed.
        attribute: the class; called with the graph's path and the number of threads.
        suffix: of its graphs.
    """

    module: str
    attribute: str
    suffix: str


ENGINES = {
    "onnx": EngineKind("xmpress.runtime.engines.onnxruntime", "OnnxRuntimeEngine", ".onnx"),
    "openvino": EngineKind("xmpress.runtime.engines.openvino", "OpenVinoEngine", ".xml"),
}
"""By name, which is also the folder of a bundle that the engine reads; the preferred one first."""


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


def open_engine(
    bundle: str | Path,
    name: str = "auto",
    *,
    threads: int | None = None,
    variant: str | None = None,
) -> Engine:
    """Open a bundle's graph, of its variants the one for this processor.

    Args:
        bundle: the bundle's directory.
        name: an engine's name; ``auto`` takes the first the bundle has a graph for.
        threads: CPU threads for one batch; ``None`` leaves it to the engine (all cores).
        variant: open this one, see `xmpress.runtime.engines.variants`.

    Raises:
        EngineError: if there is no such engine, the bundle has no graph for it or none that is
            right on this processor, or it fails.
        MissingExtraError: if the engine is not installed.
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
    kind = ENGINES[chosen]
    graph = choose_graph(Path(bundle) / chosen, kind.suffix, variant)
    try:
        module = import_module(kind.module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(chosen, f"running the {chosen} graph of {bundle}") from error
    engine: Engine = getattr(module, kind.attribute)(graph, threads)
    return engine
