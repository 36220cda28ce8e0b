"""Does the exported graph compute what the model computes?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import numpy as np
import torch
from numpy.typing import NDArray

from xmpress.errors import ExportError
from xmpress.modeling.artefact import LoadedModel
from xmpress.runtime.batching import pad
from xmpress.runtime.engines import Engine
from xmpress.runtime.tokenization import Encoded

TOLERANCE = 1e-4
"""Largest absolute difference of a logit between the model and its fp32 graph."""

TEXTS = (
    "The checkout kept failing and nobody answered the phone for forty minutes.",
    "Nada que mejorar, ¡todo perfecto!",
    "Trop d'attente au guichet, mais le personnel était adorable.",
    "Die Lieferung kam zwei Wochen zu spät und das Paket war beschädigt.",
    "L'app è comoda, però si blocca ogni volta che provo a pagare.",
    "O atendimento foi ok.",
    "Ik snap niet waarom ik drie keer hetzelfde formulier moest invullen.",
    "客服态度很好，但是退款等了一个月。",
    "最高の接客でした！また来ます。",
    "배송은 빨랐는데 제품이 설명과 달라요.",
    "รอคิวนานมาก แต่พนักงานใจดี",
    "Tolong tambahkan fitur mode gelap 🙏",
    "الخدمة سيئة جدا ولن أعود مرة أخرى",
    "👍",
    "n/a",
    "",
)
"""Several scripts and lengths, the empty text among them."""
CONTEXT = "What is the main reason for your score?"
BATCH_SIZES = (1, 2, 5, 10)


def check_graph(
    engine: Engine, model: LoadedModel, inputs: Sequence[str], *, tolerance: float = TOLERANCE
) -> dict[str, float]:
    """Compare engine and model on texts of several scripts, lengths, and batch sizes.

    Args:
        engine: runs the exported graph.
        model: the model that was exported.
        inputs: the graph's inputs.
        tolerance: largest absolute difference of a logit.

    Returns:
        Per task the largest absolute difference found.

    Raises:
        ExportError: naming each task that differs by more.
    """
    worst = {task.name: 0.0 for task in model.tasks}
    for encoded, rows in _batches(model):
        batch = pad(encoded, rows, model.tokenizer.pad_id, inputs=inputs)
        found = engine.run(batch)
        with torch.inference_mode():
            output = model.model(**{name: torch.from_numpy(v) for name, v in batch.items()})
        for name, expected in output.logits.items():
            difference = np.abs(found[name] - expected.numpy()).max()
            # NaN compares as not larger; it must not pass.
            worst[name] = max(worst[name], float(np.nan_to_num(difference, nan=np.inf)))
    beyond = {name: value for name, value in worst.items() if value > tolerance}
    if beyond:
        listed = ", ".join(f"{name} by {value:.2g}" for name, value in beyond.items())
        raise ExportError(
            f"the exported graph of {model.path} computes something else than the model: {listed} "
            f"(at most {tolerance:g} allowed)"
        )
    return worst


def _batches(model: LoadedModel) -> Iterator[tuple[Encoded, NDArray[np.intp]]]:
    long = " ".join(islice(cycle(filter(None, TEXTS)), model.tokenizer.max_length))
    texts = [*TEXTS, long, long[:200]]
    without = model.tokenizer.encode(texts)
    with_context = model.tokenizer.encode(texts, [CONTEXT] * len(texts))
    for encoded in (without, with_context):
        # In the order given, not by length: long and short texts together need padding.
        rows, sizes = np.arange(len(texts)), cycle(BATCH_SIZES)
        while len(rows):
            size = next(sizes)
            yield encoded, rows[:size]
            rows = rows[size:]
        for row in (len(texts) - 1, int(encoded.lengths.argmin()), int(encoded.lengths.argmax())):
            yield encoded, np.array([row])
