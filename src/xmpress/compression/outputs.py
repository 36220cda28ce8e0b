"""A model's logits on many texts, computed once and kept on disk.

The cache is cut into chunks of texts. An interrupted computation goes on with the first chunk that
is missing, and rows that were scored for one purpose need not be scored again for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from xmpress.compression.passes import Artefact
from xmpress.data.files import atomic_path
from xmpress.evaluation import Predictor
from xmpress.modeling import load_model, read_config
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle
from xmpress.tasks import Calibration, FloatArray, TaskSet

CHUNK = 4096
"""Texts per file."""


def open_predictor(artefact: Artefact) -> Predictor:
    """Load a model directory or a bundle.

    Raises:
        ModelError: if it cannot be used.
    """
    return Analyzer(artefact.path) if artefact.kind == "bundle" else load_model(artefact.path)


def tasks_of(artefact: Artefact) -> tuple[TaskSet, dict[str, Calibration]]:
    """What a model directory or a bundle predicts, and its calibration, without its weights.

    Raises:
        ModelError: if its description cannot be read.
    """
    if artefact.kind == "bundle":
        manifest = Bundle.open(artefact.path).manifest
        return manifest.task_set, manifest.calibrations()
    config = read_config(artefact.path)
    return config.task_set, config.calibrations()


def cached_logits(
    artefact: Artefact,
    texts: Sequence[str],
    contexts: Sequence[str | None],
    cache: Path,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, FloatArray]:
    """Score texts, or read the scores that were computed before.

    The model is loaded only if something is missing, and is out of memory on return.

    Args:
        artefact: the model.
        texts: the texts.
        contexts: one per text.
        cache: an existing directory.
        say: told how far the work is.

    Returns:
        Per task float32 [n, L], in the order of the texts.
    """
    predictor: Predictor | None = None
    parts = []
    for start in range(0, max(1, len(texts)), CHUNK):
        rows = slice(start, start + CHUNK)
        path = cache / f"{_key(artefact, texts[rows], contexts[rows])}.safetensors"
        part = _read(path)
        if part is None:
            predictor = predictor or open_predictor(artefact)
            scores = predictor.logits(texts[rows], contexts[rows])
            part = {name: np.ascontiguousarray(value) for name, value in scores.items()}
            with atomic_path(path) as target:
                save_file(part, target)
            done = min(start + CHUNK, len(texts))
            say(f"{artefact.path.name}: scored {done:,} of {len(texts):,} texts")
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read(path: Path) -> dict[str, FloatArray] | None:
    """The scores in a file; ``None`` if there is none that can be read."""
    if not path.is_file():
        return None
    try:
        return dict(load_file(path))
    except SafetensorError:
        return None  # cut short by a full disk, say: computed again


def _key(artefact: Artefact, texts: Sequence[str], contexts: Sequence[str | None]) -> str:
    digest = hashlib.sha256(artefact.fingerprint.encode())
    for values in (texts, contexts):
        for value in values:
            # Null and empty differ; lengths keep neighbours apart.
            data = b"" if value is None else b"+" + value.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:40]
