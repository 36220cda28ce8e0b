"""What values pass through a graph: statistics of activations on calibration texts, padding apart.

From them come the ranges of statically quantized activations, the factors of SmoothQuant and the
corrections of biases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.bundle import Bundle
from xmpress.tasks import FloatArray

RangeMethod = Literal["percentile", "entropy", "minmax"]
PERCENTILE = 99.99
"""Share of the values, in %, that the range of ``percentile`` holds."""
BINS = 4096
LEVELS = 128
"""Steps of the quantized magnitude, of whose distribution ``entropy`` speaks."""
BATCH_TOKENS = 1024
_FATAL = 4

Batches = Sequence[Mapping[str, NDArray[Any]]]


@dataclass
class Channels:
    """Statistics of one activation, per channel, float [c] each."""

    low: FloatArray
    high: FloatArray
    mean: FloatArray

    @property
    def largest(self) -> FloatArray:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def calibration_batches(
    bundle: Bundle, texts: Sequence[str], contexts: Sequence[str | None]
) -> Batches:
    """The inputs of a graph, of texts of like length together."""
    tokenizer = bundle.tokenizer()
    encoded = tokenizer.encode(texts, contexts)
    return [
        pad(encoded, rows, tokenizer.pad_id, inputs=bundle.manifest.inputs)
        for rows in token_budget_batches(encoded.lengths, budget=BATCH_TOKENS)
    ]


def channel_statistics(
    model: onnx.ModelProto, names: Collection[str], batches: Batches
) -> dict[str, Channels]:
    """Least, largest and mean value of each channel of some activations.

    Args:
        model: the fp32 graph.
        names: activations [..., c].
        batches: the graph's inputs.
    """
    found: dict[str, Channels] = {}
    counts = dict.fromkeys(names, 0)
    for name, values in _activations(model, names, batches):
        batch = Channels(values.min(axis=0), values.max(axis=0), values.sum(axis=0, dtype=float))
        counts[name] += len(values)
        if name in found:
            before = found[name]
            batch = Channels(
                np.minimum(before.low, batch.low),
                np.maximum(before.high, batch.high),
                before.mean + batch.mean,
            )
        found[name] = batch
    for name, channels in found.items():
        channels.mean = (channels.mean / max(1, counts[name])).astype(np.float32)
    return found


def activation_ranges(
    model: onnx.ModelProto, channels: Mapping[str, Channels], batches: Batches, method: RangeMethod
) -> dict[str, tuple[float, float]]:
    """The range within which each activation is quantized; what lies beyond is clipped.

    ``minmax`` clips nothing. ``percentile`` holds `PERCENTILE` % of the values. ``entropy`` takes
    the range whose quantized distribution is nearest to the real one (Migacz, 2017).

    Args:
        model: the fp32 graph.
        channels: the statistics of the activations in question, of the same graph and batches.
        batches: the graph's inputs.
        method: how to choose.
    """
    bounds = {n: (float(c.low.min()), float(c.high.max())) for n, c in channels.items()}
    if method == "minmax":
        return bounds
    edges = {name: np.linspace(*_widened(b), BINS + 1) for name, b in bounds.items()}
    counts = {name: np.zeros(BINS) for name in bounds}
    for name, values in _activations(model, list(bounds), batches):
        counts[name] += np.histogram(values, bins=edges[name])[0]
    choose = percentile_range if method == "percentile" else entropy_range
    return {name: choose(counts[name], edges[name]) for name in bounds}


def percentile_range(counts: NDArray[Any], edges: NDArray[Any]) -> tuple[float, float]:
    """The narrowest-tailed range that holds `PERCENTILE` % of a histogram."""
    share = np.cumsum(counts) / counts.sum()
    tail = (1 - PERCENTILE / 100) / 2
    low = edges[np.searchsorted(share, tail, side="right")]
    high = edges[min(int(np.searchsorted(share, 1 - tail)) + 1, len(edges) - 1)]
    return float(low), float(high)


def entropy_range(counts: NDArray[Any], edges: NDArray[Any]) -> tuple[float, float]:
    """The range of which the quantized distribution diverges least from the real one."""
    centres = np.abs(edges[:-1] + edges[1:]) / 2
    largest = float(np.abs(edges).max())
    magnitudes, steps = np.histogram(centres, bins=BINS // 2, range=(0, largest), weights=counts)
    best, threshold = np.inf, largest
    for bins in range(LEVELS, len(magnitudes) + 1, max(1, len(magnitudes) // 128)):
        kept = magnitudes[:bins].copy()
        real = kept.copy()
        real[-1] += magnitudes[bins:].sum()
        coarse = np.array_split(np.arange(bins), LEVELS)
        quantized = np.zeros(bins, dtype=kept.dtype)
        for part in coarse:
            occupied = part[kept[part] > 0]
            if len(occupied):
                quantized[occupied] = kept[part].sum() / len(occupied)
        divergence = _divergence(real, quantized)
        if divergence < best:
            best, threshold = divergence, float(steps[bins])
    return max(float(edges[0]), -threshold), min(float(edges[-1]), threshold)


def _divergence(p: NDArray[Any], q: NDArray[Any]) -> float:
    if not q.sum():
        return float("inf")
    p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-9)
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())


def _widened(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _activations(
    model: onnx.ModelProto, names: Collection[str], batches: Batches
) -> Iterator[tuple[str, FloatArray]]:
    """Per batch and activation its values at tokens that are no padding, float [n, c]."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in {output.name for output in model.graph.output}
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for batch in batches:
        mask = np.asarray(batch["attention_mask"], bool)
        # One at a time: all of a large model's activations together would not fit.
        for name, values in zip(names, session.run(list(names), dict(batch)), strict=True):
            per_token = values.shape[:-1] == mask.shape
            yield name, values[mask] if per_token else values.reshape(-1, values.shape[-1])
