"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from xmpress.errors import EngineError
from xmpress.tasks import FloatArray

_FATAL = 4
"""Errors reach the caller as exceptions; on standard error they would be said twice."""
_SLOWER = ["SkipLayerNormFusion"]
"""Optimizations that cost more than they gain: with this one graphs took 1.2 times as long, in fp32
and in int8 (4 layers x 256, one thread, AVX2)."""


class OnnxRuntimeEngine:
    """Runs an ONNX graph; see `xmpress.runtime.engines.Engine`."""

    name = "onnx"

    def __init__(self, graph: Path, threads: int = 1, streams: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        # Calls from several threads share one session, weights included; with one thread each
        # there is no pool of threads, and a call runs on the caller's.
        options.intra_op_num_threads = max(1, threads // streams)
        try:
            self._session = onnxruntime.InferenceSession(
                graph,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_SLOWER,
            )
        except Exception as error:  # the library's errors share no base class
            raise EngineError(f"{graph} cannot be loaded: {error}") from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch."""
        try:
            scores = self._session.run(self.outputs, dict(inputs))
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {error}") from error
        return dict(zip(self.outputs, scores, strict=True))
