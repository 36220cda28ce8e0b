"""Which products lose most in int8, and how many of them must stay in fp32."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmpress.compression.quantization.agreement import Agreement
from xmpress.tasks import FloatArray

Logits = Mapping[str, FloatArray]
Quantized = Callable[[Collection[str]], Logits]
"""The logits of a model in which the weights named stay in fp32."""


@dataclass(frozen=True)
class Sensitivity:
    """What one product in int8, and nothing else, changes.

    Attributes:
        weight: the name of its weight.
        change: root mean square of the change of a logit, over the standard deviation of that
            task's logits; mean over the tasks.
    """

    weight: str
    change: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"weight": self.weight, "change": round(self.change, 6)}


def measure(weights: Collection[str], reference: Logits, quantized: Quantized) -> list[Sensitivity]:
    """Quantize each product alone, and compare; the most sensitive first.

    Args:
        weights: the weights that can be quantized.
        reference: the logits in fp32.
        quantized: see `Quantized`.
    """
    found = []
    for weight in weights:
        logits = quantized([other for other in weights if other != weight])
        found.append(Sensitivity(weight, _change(reference, logits)))
    return sorted(found, key=lambda s: -s.change)


def keep_worst(
    ranked: list[Sensitivity],
    compare: Callable[[Logits], Agreement],
    quantized: Quantized,
    target: float,
) -> tuple[list[str], list[dict[str, Any]]]:
    """The fewest of the most sensitive weights that must stay in fp32 for a target to hold.

    Doubles their number until it holds, then bisects.

    Args:
        ranked: the most sensitive first.
        compare: the agreement of logits with those in fp32.
        quantized: see `Quantized`.
        target: share of equal labels, per task and language, see `Agreement.holds`.

    Returns:
        The weights, and what was tried. All but one of them, if not even that is enough.
    """
    names = [s.weight for s in ranked]
    tried: list[dict[str, Any]] = []

    def holds(kept: int) -> bool:
        found = compare(quantized(names[:kept]))
        lowest = min(found.tasks.values(), key=lambda share: share.share)
        entry = {"kept": kept, "lowest": str(lowest), "below": list(map(str, found.below(target)))}
        tried.append(entry)
        return found.holds(target)

    fails, enough = -1, 0
    while enough < len(names) - 1 and not holds(enough):
        fails, enough = enough, min(max(1, 2 * enough), len(names) - 1)
    while enough - fails > 1:
        middle = (fails + enough) // 2
        if holds(middle):
            enough = middle
        else:
            fails = middle
    return names[:enough], tried


def _change(reference: Logits, logits: Logits) -> float:
    changes = [
        np.sqrt(np.square(logits[name] - value).mean()) / max(float(value.std()), 1e-9)
        for name, value in reference.items()
    ]
    return float(np.mean(changes))
