"""A bundle for one more engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import numpy as np

from xmpress.data.files import atomic_dir
from xmpress.errors import ExportError, UsageError
from xmpress.export.check import TEXTS
from xmpress.export.openvino import convert_openvino
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.runtime.engines import ENGINES
from xmpress.runtime.engines.variants import Variant, graph_name

TOLERANCE = 1e-3
"""Largest absolute difference of a logit between two engines in fp32."""
INT8_TOLERANCE = 0.25
"""The same in int8, where engines round in other places; more is another model."""


def add_openvino(bundle: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Copy a bundle and give the copy OpenVINO's form of its ONNX graph, quantization included.

    Args:
        bundle: a bundle with an ONNX graph.
        out: the new bundle's directory; complete or not there at all.
        overwrite: replace an existing directory.

    Returns:
        The new bundle's directory.

    Raises:
        BundleError: if the bundle cannot be used.
        UsageError: if it has no ONNX graph, or ``out`` is the bundle or exists.
        ExportError: if the graph cannot be converted, or computes something else then.
    """
    source = Bundle.open(bundle)
    if source.path.resolve().is_relative_to(Path(out).resolve()):
        raise UsageError(f"the new bundle cannot replace {out}, where the old one is")
    graphs = [v for v in get_args(Variant) if (source.path / _onnx(v)).is_file()]
    if not graphs:
        raise UsageError(f"{source.path} has no ONNX graph to convert")
    with atomic_dir(out, overwrite=overwrite) as target:
        shutil.copytree(source.path, target, dirs_exist_ok=True)
        folder = target / "openvino"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for variant in graphs:
            xml = graph_name(variant, ENGINES["openvino"].suffix or "")
            convert_openvino(target / _onnx(variant), folder / xml)
        write_manifest(target, source.manifest)
        differences = _compare(target, quantized=source.manifest.quantization is not None)
        checked = {**source.manifest.checked_on, "openvino_difference": differences}
        write_manifest(target, source.manifest.model_copy(update={"checked_on": checked}))
    return Path(out)


def _onnx(variant: Variant) -> str:
    return f"onnx/{graph_name(variant, '.onnx')}"


def _compare(bundle: Path, *, quantized: bool) -> dict[str, float]:
    """Per task the largest difference between the engines."""
    tolerance = INT8_TOLERANCE if quantized else TOLERANCE
    texts = [*TEXTS, " ".join(TEXTS)]
    expected, found = (
        Analyzer(bundle, engine=engine, cascade=False).logits(texts)
        for engine in ("onnx", "openvino")
    )
    worst = {task: float(np.abs(found[task] - expected[task]).max()) for task in expected}
    beyond = {task: value for task, value in worst.items() if not value <= tolerance}
    if beyond:
        listed = ", ".join(f"{task} by {value:.2g}" for task, value in beyond.items())
        raise ExportError(
            f"OpenVINO's graph of {bundle} computes something else than ONNX Runtime's: {listed} "
            f"(at most {tolerance:g} allowed)"
        )
    return worst
