"""Windows of texts through an engine as a stream.

Three things happen at the same time: a thread reads and tokenises the next window, the engine's
streams run the batches of this one, and the caller decodes and writes the one before. Only so many
windows are in memory, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import numpy as np

from xmpress.runtime.batching import Rows, token_budget_batches
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import FloatArray

T = TypeVar("T")
Run = Callable[[Encoded, Rows], FloatArray]
"""Scores some rows of a window, [b, S]."""
_END: Any = object()
SMALLEST_SHARE = 128
"""Padded tokens under which a batch is not made smaller to keep all streams busy."""


class Lanes(NamedTuple):
    """How batches run.

    Attributes:
        run: scores a batch; called from several threads.
        streams: batches at the same time.
        budget: padded tokens per batch at most.
        width: S, scores per text.
    """

    run: Run
    streams: int
    budget: int
    width: int


def score_windows(
    windows: Iterable[tuple[T, Encoded]], lanes: Lanes, *, alone: bool = False
) -> Iterator[tuple[T, FloatArray]]:
    """Score windows in their order.

    The batches of a window, and so its scores to the last bit, do not depend on the streams, unless
    it is alone.

    Args:
        windows: read in a thread, one ahead; what each is called comes back beside its scores.
        lanes: how batches run.
        alone: whether a window's batches shall keep all streams busy, for no other comes.

    Yields:
        Per window its name and float32 [n, S]. What goes wrong in a thread is raised here. When
        the caller stops early, batches that have not begun are dropped.
    """
    with closing(_ahead(iter(windows))) as ready:
        pool = ThreadPoolExecutor(lanes.streams, thread_name_prefix="xmpress-engine")
        try:
            before: _Started | None = None
            for name, encoded in ready:
                started = _start(name, encoded, lanes, pool, alone)
                if before is not None:
                    yield before.finish(lanes.width)
                before = started
            if before is not None:
                yield before.finish(lanes.width)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def score_window(encoded: Encoded, lanes: Lanes) -> FloatArray:
    """Score one window, float32 [n, S]; a single batch without any thread, so that it is quick."""
    batches = _batches(encoded, lanes, alone=True)
    if len(batches) > 1 and lanes.streams > 1:
        ((_, scores),) = score_windows([(None, encoded)], lanes, alone=True)
        return scores
    scores = np.empty((len(encoded), lanes.width), dtype=np.float32)
    for rows in batches:
        scores[rows] = lanes.run(encoded, rows)
    return scores


class _Started(NamedTuple):
    """A window whose batches wait or run."""

    name: Any
    size: int
    batches: list[tuple[Rows, Future[FloatArray]]]

    def finish(self, width: int) -> tuple[Any, FloatArray]:
        scores = np.empty((self.size, width), dtype=np.float32)
        for rows, future in self.batches:
            scores[rows] = future.result()
        return self.name, scores


def _start(
    name: Any, encoded: Encoded, lanes: Lanes, pool: ThreadPoolExecutor, alone: bool
) -> _Started:
    batches = _batches(encoded, lanes, alone=alone)
    return _Started(
        name, len(encoded), [(rows, pool.submit(lanes.run, encoded, rows)) for rows in batches]
    )


def _batches(encoded: Encoded, lanes: Lanes, *, alone: bool) -> list[Rows]:
    """Batches within the budget; smaller ones where few texts alone would leave a stream idle."""
    budget = lanes.budget
    if alone:
        share = -(-len(encoded.tokens) // lanes.streams)
        budget = min(budget, max(share, SMALLEST_SHARE))
    return token_budget_batches(encoded.lengths, budget=budget)


def _ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="xmpress-read") as pool:
        coming = pool.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, items, _END)
            yield item
