"""Which of several engines is the fastest here: measured once, remembered.

Which engine wins depends on the processor, the model and the libraries' versions, so it is not a
rule but a measurement of less than a second, kept in the user's cache folder by all of these.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmpress.data.files import atomic_path, sha256
from xmpress.errors import DataError, XmpressError
from xmpress.machine import this_machine
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.engines import ENGINES, Engine, open_named

CACHE_VARIABLE = "XMPRESS_CACHE_DIR"
"""Environment variable that names the cache folder."""
SHAPES = ((32, 16), (16, 32), (8, 64))
"""Rows and tokens of the batches measured, which are what survey answers come to."""
SECONDS = 0.6
"""For all engines together, after each has run once."""


@dataclass(frozen=True)
class Measurement:
    """How fast engines run a bundle on this machine.

    Attributes:
        seconds: by engine the median time of one batch of each of `SHAPES`.
        failed: by engine why it could not be measured.
        remembered: whether it was measured before.
    """

    seconds: dict[str, float]
    failed: dict[str, str]
    remembered: bool = False

    @property
    def fastest(self) -> str | None:
        """The engine to take; ``None`` if all failed."""
        return min(self.seconds, key=self.seconds.__getitem__, default=None)


def fastest(
    bundle: Path, engines: Sequence[str], *, threads: int, streams: int, variant: str | None
) -> str:
    """The engine to take; the first one if none can be measured, which then says why."""
    found = measure_engines(bundle, engines, threads=threads, streams=streams, variant=variant)
    return found.fastest or engines[0]


def measure_engines(
    bundle: Path,
    engines: Sequence[str],
    *,
    threads: int,
    streams: int = 1,
    variant: str | None = None,
    anew: bool = False,
) -> Measurement:
    """Measure engines in turns, or remember what was measured.

    Args:
        bundle: the bundle's directory.
        engines: which, each with a graph in the bundle.
        threads: CPU threads.
        streams: that share them.
        variant: of the graphs.
        anew: measure even if it was done before.
    """
    place = _place(bundle, engines, threads, streams, variant)
    if not anew and (found := _read(place)) is not None:
        return found
    opened: dict[str, Engine] = {}
    failed: dict[str, str] = {}
    for name in engines:
        try:
            opened[name] = open_named(
                bundle, name, threads=threads, streams=streams, variant=variant
            )
            _run(opened[name], _batches(bundle))
        except XmpressError as error:
            opened.pop(name, None)
            failed[name] = str(error)
    found = Measurement(_take_turns(opened, _batches(bundle)), failed)
    _write(place, found)
    return found


def cache_folder() -> Path:
    """Where this user's caches are: of `CACHE_VARIABLE`, or as the system has it."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "xmpress"


Batches = list[dict[str, NDArray[np.int64]]]


def _batches(bundle: Path) -> Batches:
    """Batches of the graph's inputs. How long one takes does not depend on what the text says."""
    manifest = Bundle.open(bundle).manifest
    return [
        {name: np.full(shape, name == "attention_mask", np.int64) for name in manifest.inputs}
        for shape in SHAPES
    ]


def _take_turns(engines: dict[str, Engine], batches: Batches) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in engines}
    end = time.perf_counter() + SECONDS
    while engines and (time.perf_counter() < end or not all(taken.values())):
        for name, engine in engines.items():
            taken[name].append(_run(engine, batches))
    return {name: median(seconds) for name, seconds in taken.items()}


def _run(engine: Engine, batches: Batches) -> float:
    started = time.perf_counter()
    for batch in batches:
        engine.run(batch)
    return time.perf_counter() - started


def _place(
    bundle: Path, engines: Sequence[str], threads: int, streams: int, variant: str | None
) -> Path:
    """The file for exactly this machine, bundle, versions and settings."""
    manifest = bundle / "xmpress.json"
    what: dict[str, Any] = {
        "machine": this_machine().to_dict(),
        "bundle": sha256(manifest) if manifest.is_file() else str(bundle.resolve()),
        "engines": {name: version(ENGINES[name].package) for name in engines},
        "settings": [threads, streams, variant, os.environ.get("XMPRESS_VARIANT")],
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "engines" / f"{digest[:32]}.json"


def _read(place: Path) -> Measurement | None:
    """What was measured; ``None`` if nothing was, or it cannot be read: then it is measured."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        return Measurement(content["seconds"], content["failed"], remembered=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(place: Path, found: Measurement) -> None:
    content = asdict(found)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
    except (OSError, DataError):
        return  # no folder to write to: measured again the next time
