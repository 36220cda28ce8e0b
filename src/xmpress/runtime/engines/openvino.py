"""OpenVINO on the CPU."""

from __future__ import annotations

from collections import deque
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

    def __init__(self, graph: Path, threads: int = 1, streams: int = 1) -> None:
        properties: dict[str, Any] = {
            # In fp32, so that scores are those of the other engine to within rounding.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
        }
        try:
            self._model = openvino.Core().compile_model(graph, "CPU", properties)
        except Exception as error:  # the library's errors share no base class
            raise EngineError(f"{graph} cannot be loaded: {error}") from error
        self.outputs = tuple(output.get_any_name() for output in self._model.outputs)
        self._idle: deque[Any] = deque()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch."""
        try:
            request = self._idle.pop()  # it serves one caller at a time, and keeps its memory
        except IndexError:
            request = self._model.create_infer_request()
        try:
            results = request.infer(dict(inputs))
        except Exception as error:
            raise EngineError(f"OpenVINO failed: {error}") from error
        scores = {
            name: np.array(results[i], dtype=np.float32) for i, name in enumerate(self.outputs)
        }
        self._idle.append(request)
        return scores
