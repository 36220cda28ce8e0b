"""torch as an engine, for GPUs: a bundle's ``torch/`` folder is a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xmpress.errors import EngineError, ModelError
from xmpress.modeling.artefact import load_model
from xmpress.tasks import FloatArray


class TorchEngine:
    """Runs a model directory; see `xmpress.runtime.engines.Engine`.

    On a GPU in bf16 (fp16 where the GPU lacks it), else in fp32.
    """

    name = "torch"

    def __init__(
        self, folder: Path, threads: int = 1, streams: int = 1, *, device: str | None = None
    ) -> None:
        """Load the model.

        Args:
            folder: a model directory.
            threads: CPU threads, on a CPU only; torch has one number of them for the process.
            streams: that share the threads.
            device: where to run it; the GPU by default, if there is one.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cpu":
            torch.set_num_threads(max(1, threads // streams))
        try:
            loaded = load_model(folder)
            network: nn.Module = loaded.model
            self._model = network.to(self.device, _precision(self.device)).eval()
        except (ModelError, RuntimeError) as error:
            raise EngineError(f"{folder} cannot be loaded: {error}") from error
        self.outputs = loaded.tasks.names

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
        """Score one padded batch."""
        try:
            with torch.inference_mode():
                tensors = {n: torch.from_numpy(v).to(self.device) for n, v in inputs.items()}
                logits = self._model(**tensors).logits
                # One copy off the GPU for all tasks, which waits for what is computed there.
                flat = torch.cat([logits[name] for name in self.outputs], dim=1).float().cpu()
        except Exception as error:  # torch and the encoders raise many kinds
            raise EngineError(f"torch failed: {error}") from error
        ends = np.cumsum([logits[name].shape[1] for name in self.outputs])
        scores = np.split(flat.numpy(), ends[:-1], axis=1)
        return dict(zip(self.outputs, scores, strict=True))


def _precision(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
