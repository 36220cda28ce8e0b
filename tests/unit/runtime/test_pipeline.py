import threading
import time

import numpy as np
import pytest

from xmpress.runtime.pipeline import Lanes, score_window, score_windows
from xmpress.runtime.tokenization import Encoded


def window(*rows):
    return Encoded.of([np.array(row, dtype=np.int32) for row in rows])


def first_and_length(encoded, rows):
    """Scores that tell which text was scored."""
    return np.array([[encoded.ids[r][0], len(encoded.ids[r])] for r in rows], dtype=np.float32)


def lanes(run=first_and_length, streams=2, budget=8):
    return Lanes(run, streams, budget, width=2)


WINDOWS = [
    ("a", window([1, 1, 1], [2], [3, 3], [4] * 9)),
    ("b", window([5])),
    ("none", window()),
    ("c", window(*([n] * (n % 5 + 1) for n in range(6, 40)))),
]


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_windows_and_their_texts_keep_their_order(streams):
    found = list(score_windows(WINDOWS, lanes(streams=streams)))
    assert [name for name, _ in found] == ["a", "b", "none", "c"]
    for (_, scores), (_, encoded) in zip(found, WINDOWS, strict=True):
        assert scores.tolist() == [[ids[0], len(ids)] for ids in encoded.ids]
        assert scores.tolist() == score_window(encoded, lanes(streams=streams)).tolist()


def test_no_windows():
    assert list(score_windows([], lanes())) == []


def test_as_many_batches_at_a_time_as_there_are_streams():
    together = threading.Barrier(3, timeout=5)

    def run(encoded, rows):
        together.wait()  # passes only if three run at the same time
        return first_and_length(encoded, rows)

    score_window(window([1] * 8, [2] * 8, [3] * 8), lanes(run, streams=3))


def test_few_texts_are_shared_out():
    sizes = []

    def run(encoded, rows):
        sizes.append(len(rows))
        return first_and_length(encoded, rows)

    score_window(window(*[[1] * 16] * 64), lanes(run, streams=4, budget=1024))
    assert sizes == [16] * 4
    sizes.clear()
    score_window(window(*[[1] * 16] * 8), lanes(run, streams=4, budget=1024))
    assert sizes == [8]  # too few to be worth it


def test_a_single_batch_runs_on_the_callers_thread():
    threads = []

    def run(encoded, rows):
        threads.append(threading.current_thread())
        return first_and_length(encoded, rows)

    score_window(window([1], [2]), lanes(run))
    assert threads == [threading.current_thread()]


def test_the_next_window_is_read_while_one_runs():
    read, running = threading.Event(), threading.Event()

    def windows():
        yield "a", window([1])
        assert running.wait(5)
        read.set()
        yield "b", window([2])

    def run(encoded, rows):
        running.set()
        assert read.wait(5)
        return first_and_length(encoded, rows)

    assert [name for name, _ in score_windows(windows(), lanes(run))] == ["a", "b"]


def test_no_more_is_read_than_needed():
    read = []

    def windows():
        for n in range(1, 100):
            read.append(n)
            yield n, window([n])

    scored = score_windows(windows(), lanes())
    assert next(scored)[0] == 1
    assert len(read) <= 4
    scored.close()
    assert len(read) <= 4


@pytest.mark.parametrize("error", [ValueError("damaged"), KeyboardInterrupt()])
def test_what_goes_wrong_while_reading_reaches_the_caller(error):
    def windows():
        yield "a", window([1])
        yield "b", window([2])
        raise error

    scored = score_windows(windows(), lanes())
    assert next(scored)[0] == "a"
    with pytest.raises(type(error)):
        list(scored)


def test_what_goes_wrong_in_a_batch_reaches_the_caller_and_ends_the_rest():
    started = []

    def run(encoded, rows):
        started.append(rows)
        if len(started) == 1:
            raise ValueError("engine")
        time.sleep(0.01)
        return first_and_length(encoded, rows)

    with pytest.raises(ValueError, match="engine"):
        list(score_windows([("a", window(*[[1] * 8] * 200))], lanes(run)))
    assert len(started) < 20
