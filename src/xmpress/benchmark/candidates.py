"""What is measured: a model, a baseline, or another way to run the same model.

A candidate runs in a process of its own (`xmpress.benchmark.worker`), opened there by its kind, so
that it has its own threads, its own memory and its own start. Kinds whose module needs torch lie in
`xmpress.peers`, which is imported in that process only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

BATCH = 32
"""Texts per batch, as the examples of most libraries have it."""

Group = Literal["model", "baseline", "peer"]


class Runner(Protocol):
    """A candidate that is open."""

    precision: str
    """What its matrices compute in: ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
    engine: str
    """What runs it, with its version."""
    device: str
    """``cpu`` or ``cuda``."""

    def run(self, texts: Sequence[str]) -> None:
        """Answer the texts, from strings to what a user gets."""

    def lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens per text, special tokens included, [n]."""

    def work(self) -> float | None:
        """Floating-point operations per token, two for each weight of the encoder's matrices.

        ``None`` where the shapes cannot be told. Attention's products of activations are left out:
        4 x tokens x width per token and layer, 1 % at the lengths of feedback.
        """


@dataclass(frozen=True)
class Candidate:
    """Something to measure.

    Attributes:
        name: as the report calls it.
        kind: a key of `KINDS`.
        path: what it opens: a bundle, a model directory, or what was prepared for a peer.
        group: whether it is a model of ours, a baseline, or a peer that serves one of these.
        serves: the name of the model that it runs.
        options: of its kind.
        notes: what the report has to say about it.
    """

    name: str
    kind: str
    path: Path
    group: Group = "model"
    serves: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From `to_dict`."""
        return cls(**{**values, "path": Path(values["path"]), "notes": tuple(values["notes"])})


KINDS = {
    "bundle": "xmpress.benchmark.runners.BundleRunner",
    "onnxruntime": "xmpress.benchmark.runners.OnnxRuntimeRunner",
    "openvino": "xmpress.benchmark.runners.OpenVinoRunner",
    "torch": "xmpress.peers.runners.TorchRunner",
    "transformers": "xmpress.peers.runners.PipelineRunner",
    "optimum": "xmpress.peers.runners.OptimumRunner",
    "ctranslate2": "xmpress.peers.runners.CTranslate2Runner",
    "infinity": "xmpress.peers.runners.InfinityRunner",
}
"""By kind the class of the runner; called with the path, the threads and the options."""


def open_runner(candidate: Candidate, threads: int) -> Runner:
    """Open a candidate in this process."""
    module, _, name = KINDS[candidate.kind].rpartition(".")
    runner: Runner = getattr(import_module(module), name)(
        candidate.path, threads, **candidate.options
    )
    return runner


class Peer(NamedTuple):
    """Another way to serve a model.

    Attributes:
        kind: a key of `KINDS`.
        serves: whether it is given the bundle or the model directory.
        module: what must be installed.
        install: how.
        options: of the kind.
        about: what it is.
    """

    kind: str
    serves: Literal["bundle", "model"]
    module: str
    install: str
    options: Mapping[str, Any]
    about: str

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # the package around it is not there
            return False


_SORTED = {"bucketed": True}
PEERS = {
    "transformers": Peer(
        "transformers",
        "model",
        "transformers",
        "pip install 'xmpress[train]'",
        {},
        "transformers' text-classification pipeline, batches of 32 in the order of the texts",
    ),
    "transformers-bucketed": Peer(
        "transformers",
        "model",
        "transformers",
        "pip install 'xmpress[train]'",
        _SORTED,
        "the same pipeline, batches of 32 sorted by length",
    ),
    "optimum": Peer(
        "optimum",
        "model",
        "optimum.onnxruntime",
        "pip install 'optimum[onnxruntime]'",
        {},
        "the same pipeline on optimum's ONNX Runtime model, batches of 32 in order",
    ),
    "onnxruntime": Peer(
        "onnxruntime",
        "bundle",
        "onnxruntime",
        "pip install onnxruntime",
        {},
        "a loop around ONNX Runtime, the bundle's own graph, batches of 32 in order",
    ),
    "onnxruntime-bucketed": Peer(
        "onnxruntime",
        "bundle",
        "onnxruntime",
        "pip install onnxruntime",
        _SORTED,
        "the same loop, batches of 32 sorted by length",
    ),
    "openvino": Peer(
        "openvino",
        "bundle",
        "openvino",
        "pip install 'xmpress[openvino]'",
        {},
        "a loop around OpenVINO, the bundle's own graph, batches of 32 in order",
    ),
    "openvino-bucketed": Peer(
        "openvino",
        "bundle",
        "openvino",
        "pip install 'xmpress[openvino]'",
        _SORTED,
        "the same loop, batches of 32 sorted by length",
    ),
    "ctranslate2": Peer(
        "ctranslate2",
        "model",
        "ctranslate2",
        "pip install ctranslate2",
        {},
        "CTranslate2, weights in int8, batches of 32 sorted by length",
    ),
    "infinity": Peer(
        "infinity",
        "model",
        "infinity_emb",
        "pip install 'infinity-emb[torch]'",
        {},
        "infinity's engine on torch, which batches by itself",
    ),
}
"""By name. Those that take the model directory serve its encoder with all heads as one classifier,
for they know one head."""
