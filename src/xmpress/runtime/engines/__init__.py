"""Engines: what runs a bundle's graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from xmpress.errors import EngineError, MissingExtraError
from xmpress.machine import this_machine
from xmpress.runtime.engines.variants import choose_graph
from xmpress.tasks import FloatArray

TOKEN_BUDGET = 1024
"""Padded tokens per batch on a CPU: enough to keep a core busy, and small enough that what a layer
leaves for the next stays in its cache."""


class EngineKind(NamedTuple):
    """Where an engine is, and what it reads.

    Attributes:
        module: imported only when opened, for an engine's library may be large or not installed.
        attribute: the class; called with the graph's path, threads and streams.
        suffix: of its graphs; ``None`` if it reads its whole folder.
        package: the library that runs the graph.
        extra: what installs it; ``None`` for the base install.
        token_budget: padded tokens per batch that suit it.
    """

    module: str
    attribute: str
    suffix: str | None
    package: str
    extra: str | None
    token_budget: int = TOKEN_BUDGET


ENGINES = {
    "onnx": EngineKind(
        "xmpress.runtime.engines.onnxruntime", "OnnxRuntimeEngine", ".onnx", "onnxruntime", None
    ),
    "openvino": EngineKind(
        "xmpress.runtime.engines.openvino", "OpenVinoEngine", ".xml", "openvino", "openvino"
    ),
    # In a layer that may import torch; named here, not imported.
    "torch": EngineKind("xmpress.modeling.engine", "TorchEngine", None, "torch", "train", 16_384),
}
"""By name, which is also the folder of a bundle that the engine reads; the preferred one first."""
ENGINE_VARIABLE = "XMPRESS_ENGINE"
"""Environment variable that names the engine where ``auto`` would choose."""
THREADS_VARIABLE = "XMPRESS_THREADS"
"""Environment variable with the number of CPU threads, where the call does not say."""


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
    streams: int = 1,
    variant: str | None = None,
) -> Engine:
    """Open a bundle's graph, of its variants the one for this processor.

    Args:
        bundle: the bundle's directory.
        name: an engine's name; ``auto`` leaves it to `ENGINE_VARIABLE`, and without it takes the
            fastest here of those that are installed and that the bundle has a graph for.
        threads: CPU threads; ``None`` leaves it to `default_threads`.
        streams: calls of `Engine.run` meant to be made at the same time, which share the threads.
        variant: open this one, see `xmpress.runtime.engines.variants`.

    Raises:
        EngineError: if there is no such engine, the bundle has no graph for it or none that is
            right on this processor, or it fails.
        MissingExtraError: if the engine is not installed.
    """
    if threads is None:
        threads = default_threads()
    if threads < 1:
        raise EngineError(f"threads is {threads}; expected at least 1")
    if name == "auto":
        name = os.environ.get(ENGINE_VARIABLE) or "auto"
    if name != "auto" and name not in ENGINES:
        raise EngineError(f"there is no engine '{name}'; the engines are {', '.join(ENGINES)}")
    present = engines_of(bundle)
    if name not in {"auto", *present} or not present:
        raise EngineError(
            f"bundle {bundle} has no graph for engine '{name}' (it has: "
            f"{', '.join(present) or 'none'}); export the model for it (xmpress export --to)"
        )
    if name == "auto":
        usable = [engine for engine in present if is_installed(engine)]
        if len(usable) > 1:
            from xmpress.runtime.engines.selection import fastest

            name = fastest(Path(bundle), usable, threads=threads, streams=streams, variant=variant)
        else:
            name = (usable or present)[0]
    return open_named(Path(bundle), name, threads=threads, streams=streams, variant=variant)


def engines_of(bundle: str | Path) -> list[str]:
    """The engines that a bundle has a graph for, the preferred one first."""
    return [engine for engine in ENGINES if (Path(bundle) / engine).is_dir()]


def is_installed(name: str) -> bool:
    """Whether the library that an engine needs is there; it is not imported."""
    return find_spec(ENGINES[name].package) is not None


def token_budget(engine: Engine) -> int:
    """Padded tokens per batch that suit an engine."""
    return ENGINES[engine.name].token_budget


def default_threads() -> int:
    """`THREADS_VARIABLE`, or else one thread per core that this process may use.

    Raises:
        EngineError: if the variable holds no number.
    """
    given = os.environ.get(THREADS_VARIABLE)
    if not given:
        return this_machine().threads
    if not given.isdecimal() or int(given) < 1:
        raise EngineError(f"{THREADS_VARIABLE} is '{given}'; expected a number of threads")
    return int(given)


def open_named(
    bundle: Path, name: str, *, threads: int, streams: int, variant: str | None
) -> Engine:
    """Open the graph for one engine; see `open_engine`."""
    kind = ENGINES[name]
    folder = bundle / name
    graph = folder if kind.suffix is None else choose_graph(folder, kind.suffix, variant)
    try:
        module = import_module(kind.module)
    except ModuleNotFoundError as error:
        if kind.extra is None or error.name == kind.module:
            raise
        raise MissingExtraError(kind.extra, f"running the {name} graph of {bundle}") from error
    engine: Engine = getattr(module, kind.attribute)(graph, threads, streams)
    return engine
