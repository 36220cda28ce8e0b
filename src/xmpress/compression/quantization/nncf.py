"""int8 through OpenVINO and its Neural Network Compression Framework (NNCF)."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from xmpress.compression.quantization.calibration import Batches
from xmpress.errors import ExportError, MissingExtraError


def quantize_openvino(
    graph: Path,
    target: Path,
    batches: Batches,
    *,
    weight_bits: Literal[7, 8],
    smoothing: float | None,
    bias_correction: bool,
) -> None:
    """Quantize an fp32 ONNX graph and write it as OpenVINO's ``.xml`` and ``.bin``.

    Args:
        graph: the ONNX file.
        target: the ``.xml`` file to write.
        batches: the graph's inputs on calibration texts.
        weight_bits: 7 halves the range of weights, so that they are right without VNNI.
        smoothing: strength of SmoothQuant; ``None`` for none.
        bias_correction: correct biases.

    Raises:
        MissingExtraError: if OpenVINO or NNCF is not installed.
        ExportError: if either fails.
    """
    try:
        with _quiet():
            import nncf
            import openvino
            from nncf.quantization.advanced_parameters import (
                AdvancedQuantizationParameters,
                AdvancedSmoothQuantParameters,
                OverflowFix,
            )
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "quantizing for OpenVINO") from error
    advanced = AdvancedQuantizationParameters(
        overflow_fix=OverflowFix.ENABLE if weight_bits == 7 else OverflowFix.DISABLE,
        disable_bias_correction=not bias_correction,
        smooth_quant_alphas=AdvancedSmoothQuantParameters(
            matmul=-1 if smoothing is None else smoothing
        ),
    )
    try:
        with _quiet():
            model = openvino.convert_model(graph)
            quantized = nncf.quantize(
                model,
                nncf.Dataset([dict(batch) for batch in batches]),
                subset_size=len(batches),
                model_type=nncf.ModelType.TRANSFORMER,
                ignored_scope=nncf.IgnoredScope(names=_heads(model)),
                advanced_parameters=advanced,
            )
            openvino.save_model(quantized, target, compress_to_fp16=False)
    except Exception as error:  # both raise many kinds
        raise ExportError(f"OpenVINO could not quantize {graph}: {error}") from error


def _heads(model: Any) -> Sequence[str]:
    """The names of the last product before each output."""
    names = set()
    for result in model.get_results():
        found = result
        while found.get_type_name() != "MatMul" and found.inputs():
            found = found.input(0).get_source_output().get_node()
        names.add(found.get_friendly_name())
    return sorted(names)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide NNCF's progress bars and log lines, and deprecations within it."""
    logger = logging.getLogger("nncf")
    level, disabled = logger.level, logger.disabled
    logger.disabled = True
    try:
        with (
            warnings.catch_warnings(),
            Path(os.devnull).open("w", encoding="utf-8") as null,
            contextlib.redirect_stdout(null),
            contextlib.redirect_stderr(null),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled, logger.level = disabled, level
