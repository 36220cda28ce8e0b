"""The model as a bundle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from xmpress.data.files import atomic_dir, sha256
from xmpress.errors import UsageError
from xmpress.export.check import TOLERANCE, check_graph
from xmpress.export.graph import OPSET, export_onnx
from xmpress.export.openvino import convert_openvino
from xmpress.machine import this_machine
from xmpress.modeling.artefact import REQUIRED, LoadedModel, load_model
from xmpress.runtime.batching import INPUTS
from xmpress.runtime.bundle import TOKENIZER, Manifest, write_manifest
from xmpress.runtime.engines import ENGINES, open_engine

TARGETS = tuple(ENGINES)
LOCK_FILE = "recipe.lock.yaml"


def export_bundle(
    model: LoadedModel | str | Path,
    out: str | Path,
    *,
    to: str | Sequence[str] = "onnx",
    name: str | None = None,
    version: str = "1",
    opset: int = OPSET,
    tolerance: float = TOLERANCE,
    scorecard: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a model directory to a bundle and compare the two, task by task.

    Args:
        model: a model directory, or one that is loaded.
        out: the bundle's directory; complete or not there at all.
        to: the engine that will run it, or several: ``onnx``, ``openvino``, ``torch`` (for GPUs).
        name: the model's name; by default that of its directory.
        version: the model's version.
        opset: ONNX operator set.
        tolerance: largest absolute difference of a logit between model and graph.
        scorecard: summary of the model's quality, for the manifest.
        provenance: where the model came from, added to what the model directory tells.
        overwrite: replace an existing directory.

    Returns:
        The bundle's directory.

    Raises:
        ModelError: if the model directory cannot be used.
        ExportError: if the graph computes something else than the model, naming the tasks.
        UsageError: if ``to`` is not known, ``out`` holds the model itself, or it exists and
            ``overwrite`` is false.
    """
    targets = [to] if isinstance(to, str) else list(to)
    unknown = [engine for engine in targets if engine not in TARGETS]
    if unknown or not targets:
        raise UsageError(
            f"cannot export to '{', '.join(unknown)}'; expected one of {', '.join(TARGETS)}"
        )
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    if loaded.path.resolve().is_relative_to(Path(out).resolve()):
        raise UsageError(f"the bundle cannot replace {out}, where the model itself is")
    with atomic_dir(out, overwrite=overwrite) as target:
        inputs = _write_graphs(loaded, target, targets, opset=opset)
        differences = {
            engine: check_graph(open_engine(target, engine), loaded, inputs, tolerance=tolerance)
            for engine in targets
            if engine != "torch"  # the model itself
        }
        shutil.copyfile(loaded.path / TOKENIZER, target / TOKENIZER)
        if (loaded.path / LOCK_FILE).is_file():
            shutil.copyfile(loaded.path / LOCK_FILE, target / LOCK_FILE)
        config = loaded.model.config
        manifest = Manifest(
            name=name or loaded.name,
            version=version,
            tasks=loaded.tasks.tasks,
            calibration=loaded.calibration,
            languages=tuple(config.languages or ()),
            max_length=loaded.tokenizer.max_length,
            inputs=tuple(inputs),  # type: ignore[arg-type]  # names from INPUTS
            pad_id=loaded.tokenizer.pad_id,
            opset=opset,
            checked_on={
                **this_machine().to_dict(),
                "largest_difference": _largest(differences.values()),
                "tolerance": tolerance,
            },
            provenance={**_provenance(loaded), **(provenance or {})},
            scorecard=None if scorecard is None else dict(scorecard),
        )
        write_manifest(target, manifest)
    return Path(out)


def _write_graphs(
    model: LoadedModel, target: Path, engines: Sequence[str], *, opset: int
) -> list[str]:
    """Write each engine's folder; gives the graph's inputs."""
    inputs = list(INPUTS if model.model.uses_token_types else INPUTS[:2])
    for engine in engines:
        (target / engine).mkdir(exist_ok=True)
    if "torch" in engines:
        for name in REQUIRED:
            shutil.copyfile(model.path / name, target / "torch" / name)
    if not {"onnx", "openvino"} & set(engines):
        return inputs
    with tempfile.TemporaryDirectory() as folder:
        graph = (target / "onnx" if "onnx" in engines else Path(folder)) / "model.onnx"
        inputs = export_onnx(model, graph, opset=opset)
        if "openvino" in engines:
            convert_openvino(graph, target / "openvino" / "model.xml")
    return inputs


def _largest(differences: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Per task the largest of several engines' differences."""
    largest: dict[str, float] = {}
    for found in differences:
        for task, value in found.items():
            largest[task] = max(value, largest.get(task, 0.0))
    return largest


def _provenance(model: LoadedModel) -> dict[str, Any]:
    packages = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers")
    return {
        "encoder": model.model.config.encoder_config.model_type,
        "weights_sha256": sha256(model.path / "model.safetensors"),
        "versions": {package: version_of(package) for package in packages},
    }
