"""Which rows an epoch shows, in which batches; all of it follows from the seed and the epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xmpress.tasks import Labels

Rows = NDArray[np.int64]


def strata(
    langs: Sequence[str], labels: Mapping[str, Labels], weights: Sequence[float]
) -> list[tuple[Rows, float]]:
    """Group rows by language, tasks annotated and source weight.

    Returns:
        Per group its rows and its source weight, in a fixed order. Rows without any label, and
        rows of weight 0, are in no group.
    """
    annotated = np.stack([labels[name].annotated for name in sorted(labels)], axis=1)
    groups: dict[tuple[str, bytes, float], list[int]] = defaultdict(list)
    for row, (lang, weight) in enumerate(zip(langs, weights, strict=True)):
        if weight > 0 and annotated[row].any():
            groups[(lang, annotated[row].tobytes(), float(weight))].append(row)
    return [(np.array(groups[key]), key[2]) for key in sorted(groups)]


def draw_epoch(
    groups: Sequence[tuple[Rows, float]],
    *,
    temperature: float,
    seed: int,
    epoch: int,
    size: int | None = None,
) -> Rows:
    """Draw the rows of one epoch, shuffled.

    A group of n rows and weight w gets a share proportional to ``w * n ** (1 / temperature)``: 1
    keeps the data's own proportions, larger values raise small languages and tasks (Conneau et al.,
    2020, use 1 / 0.3). A group drawn more often than it has rows shows its rows about equally
    often.

    Args:
        groups: from `strata`.
        temperature: at least 1.
        seed: of the whole training.
        epoch: from 0.
        size: rows to draw; as many as there are, if ``None``.
    """
    rng = np.random.default_rng([seed, epoch])
    sizes = np.array([len(rows) for rows, _ in groups], dtype=float)
    shares = np.array([weight for _, weight in groups]) * sizes ** (1.0 / temperature)
    total = int(sizes.sum()) if size is None else size
    wanted = shares / shares.sum() * total
    counts = np.floor(wanted).astype(int)
    # The remainders decide who gets the rows that rounding left over.
    left = total - counts.sum()
    counts[np.argsort(-(wanted - counts), kind="stable")[:left]] += 1
    drawn = []
    for (rows, _), count in zip(groups, counts, strict=True):
        whole, rest = divmod(int(count), len(rows))
        drawn.append(np.tile(rows, whole))
        drawn.append(rng.choice(rows, size=rest, replace=False))
    return rng.permutation(np.concatenate(drawn))


def length_bucketed_batches(
    rows: Rows, lengths: NDArray[np.int64], *, budget: int, seed: int, epoch: int, window: int = 50
) -> list[Rows]:
    """Cut rows into batches of like length within a budget of padded tokens.

    Rows are sorted by length only within windows of about ``window`` batches, and the batches are
    shuffled, so that lengths do not order the epoch.

    Args:
        rows: in the order of the epoch.
        lengths: tokens of every row of the data set.
        budget: padded tokens per batch (rows times longest); a longer row is a batch of its own.
        seed: of the whole training.
        epoch: from 0.
        window: batches per window.
    """
    rng = np.random.default_rng([seed, epoch, 1])
    mean = max(1.0, float(lengths[rows].mean()))
    span = max(1, int(window * budget / mean))
    batches = []
    for start in range(0, len(rows), span):
        part = rows[start : start + span]
        part = part[np.argsort(-lengths[part], kind="stable")]
        at = 0
        while at < len(part):
            count = max(1, budget // max(1, int(lengths[part[at]])))
            batches.append(part[at : at + count])
            at += count
    return [batches[i] for i in rng.permutation(len(batches))]
