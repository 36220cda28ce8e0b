"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from xmpress.errors import EngineError
from xmpress.tasks import FloatArray


class OpenVinoEngine:
    """Runs an OpenVINO graph; see `xmpress.runtime.engines.Engine`."""

    name = "openvino"

    def __init__(self, graph: Path, threads: int | None = None) -> None:
        # In fp32, so that scores are those of the other engine to within rounding.
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            self._model = openvino.Core().compile_model(graph, "CPU", properties)
        except Exception as error:  # the library's errors share no base class
            raise EngineError(f"{graph} cannot be loaded: {error}") from error
        self.outputs = tuple(output.get_any_name() for output in self._model.outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch."""
        try:
            # A request of its own: one serves one thread.
            results = self._model.create_infer_request().infer(dict(inputs))
        except Exception as error:
            raise EngineError(f"OpenVINO failed: {error}") from error
        return {name: np.array(results[i], dtype=np.float32) for i, name in enumerate(self.outputs)}
