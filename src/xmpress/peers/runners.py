"""Candidates that need torch, or the libraries of others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoTokenizer, pipeline
from transformers.utils import logging as transformers_logging

from xmpress.benchmark.candidates import BATCH
from xmpress.errors import UsageError
from xmpress.modeling import load_model
from xmpress.peers.peaks import DTYPES
from xmpress.runtime.tokenization import Tokenizer


def device_of(name: str) -> torch.device:
    """The device ``cpu``, ``cuda``, or ``auto`` for the GPU if there is one.

    Raises:
        UsageError: if there is no GPU and one was asked for.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch sees no CUDA device here; leave --device out")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def work_of_module(model: nn.Module, *, heads: Sequence[str] = ("heads", "classifier")) -> float:
    """Operations per token, two for each weight of a linear layer that is no head."""
    return 2.0 * sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and not any(part in {*heads, "pooler", "pre_classifier"} for part in name.split("."))
    )


class TorchRunner:
    """A model directory in torch, in our batches of like length."""

    def __init__(
        self, path: Path, threads: int, *, precision: str = "fp32", device: str = "cpu"
    ) -> None:
        torch.set_num_threads(threads)
        self._loaded = load_model(path)
        model: Any = self._loaded.model
        model.to(device=device_of(device), dtype=DTYPES[precision])
        self.precision = precision
        self.device = device_of(device).type
        self.engine = f"torch {torch.__version__}"

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts, up to the scores."""
        self._loaded.logits(texts)

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        return self._loaded.tokenizer.encode(texts).lengths

    def work(self) -> float | None:
        """Of the linear layers."""
        return work_of_module(self._loaded.model)


class PipelineRunner:
    """transformers' text-classification pipeline, batches of 32."""

    def __init__(
        self,
        path: Path,
        threads: int,
        *,
        bucketed: bool = False,
        precision: str = "fp32",
        device: str = "cpu",
    ) -> None:
        torch.set_num_threads(threads)
        transformers_logging.set_verbosity_error()
        self.precision, self.device = precision, device_of(device).type
        self._bucketed = bucketed
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._pipeline: Any = pipeline(
            "text-classification",
            model=self._model(path, precision),
            tokenizer=self._tokenizer,
            device=device_of(device),
            top_k=None,
        )
        self.engine = self._engine()

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts."""
        ordered = list(texts)
        if self._bucketed:
            ordered = [ordered[i] for i in np.argsort(self.lengths(texts), kind="stable")]
        self._pipeline(ordered, batch_size=BATCH, truncation=True)

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        ids = self._tokenizer(list(texts), truncation=True)["input_ids"]
        return np.array([len(text) for text in ids], np.int64)

    def work(self) -> float | None:
        """Of the linear layers."""
        return work_of_module(self._pipeline.model)

    def _model(self, path: Path, precision: str) -> Any:
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification.from_pretrained(path, dtype=DTYPES[precision])

    def _engine(self) -> str:
        return f"transformers {version('transformers')}"


class OptimumRunner(PipelineRunner):
    """The same pipeline on optimum's ONNX Runtime model."""

    def _model(self, path: Path, precision: str) -> Any:
        from optimum.onnxruntime import ORTModelForSequenceClassification

        return ORTModelForSequenceClassification.from_pretrained(path, export=True)

    def _engine(self) -> str:
        return f"optimum {version('optimum')}"

    def work(self) -> float | None:
        """Not known: the model is a graph by now."""
        return None


class CTranslate2Runner:
    """CTranslate2's encoder, heads in numpy, batches of 32 sorted by length."""

    device = "cpu"

    def __init__(self, path: Path, threads: int) -> None:
        import ctranslate2

        self.precision = "int8"
        self.engine = f"ctranslate2 {version('ctranslate2')}"
        self._encoder = ctranslate2.Encoder(str(path), device="cpu", intra_threads=threads)
        heads = np.load(path / "heads.npz")
        self._heads = heads["weights"]
        self._tokenizer = Tokenizer.from_file(
            path / "tokenizer.json", max_length=int(heads["max_length"])
        )

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts, up to the scores."""
        ids = sorted((i.tolist() for i in self._tokenizer.encode(texts).ids), key=len)
        for start in range(0, len(ids), BATCH):
            states = self._encoder.forward_batch(ids[start : start + BATCH]).last_hidden_state
            _ = np.asarray(states)[:, 0] @ self._heads

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        return self._tokenizer.encode(texts).lengths

    def work(self) -> float | None:
        """Not known: the model is a file of its own by now."""
        return None


class InfinityRunner:
    """infinity's engine, which batches by itself."""

    device = "cpu"

    def __init__(self, path: Path, threads: int) -> None:
        from infinity_emb import AsyncEmbeddingEngine, EngineArgs

        torch.set_num_threads(threads)
        self.precision = "fp32"
        self.engine = f"infinity_emb {version('infinity_emb')}"
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._loop = asyncio.new_event_loop()
        self._engine: Any = AsyncEmbeddingEngine.from_args(
            EngineArgs(
                model_name_or_path=str(path), device="cpu", engine="torch", batch_size=BATCH,
                model_warmup=False,
            )
        )  # fmt: skip
        self._loop.run_until_complete(self._engine.astart())

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts."""
        self._loop.run_until_complete(self._engine.classify(sentences=list(texts)))

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text."""
        ids = self._tokenizer(list(texts), truncation=True)["input_ids"]
        return np.array([len(text) for text in ids], np.int64)

    def work(self) -> float | None:
        """Not known: the model is hidden in the engine."""
        return None
