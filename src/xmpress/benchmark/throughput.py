"""Throughput of models in this process, taking turns, so that a busy machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmpress.benchmark.statistics import ratios
from xmpress.errors import UsageError
from xmpress.evaluation import Predictor


@dataclass(frozen=True)
class Throughput:
    """What one model reached.

    Attributes:
        name: the model.
        texts_per_second: median over the rounds, tokenisation included.
        speedup: median over the rounds of its throughput over the first model's in that round.
        low: smallest such ratio.
        high: largest such ratio.
    """

    name: str
    texts_per_second: float
    speedup: float
    low: float
    high: float


def compare_throughput(
    predictors: Sequence[Predictor],
    texts: Sequence[str],
    *,
    contexts: Sequence[str | None] | None = None,
    rounds: int = 5,
) -> list[Throughput]:
    """Run all models over the texts, in turns (A B A B), after one round that does not count.

    Every model batches as it does in use; threads are whatever each was opened with.

    Args:
        predictors: the first is the reference.
        texts: distinct texts of real lengths; repeated ones would be computed once by some models.
        contexts: per text the question it answers.
        rounds: rounds that count.

    Raises:
        UsageError: if there is no text or no model.
    """
    if not texts or not predictors or rounds < 1:
        raise UsageError("measuring throughput needs at least one model, one text and one round")
    seconds = np.zeros((rounds + 1, len(predictors)))
    for number in range(rounds + 1):
        for i, predictor in enumerate(predictors):
            started = time.perf_counter()
            predictor.logits(texts, contexts)
            seconds[number, i] = time.perf_counter() - started
    found = []
    for predictor, own in zip(predictors, seconds[1:].T, strict=True):
        ratio = ratios(seconds[1:, 0], own)
        rate = float(np.median(len(texts) / own))
        found.append(Throughput(predictor.name, rate, ratio.median, ratio.low, ratio.high))
    return found
