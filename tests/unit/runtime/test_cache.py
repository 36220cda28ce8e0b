import numpy as np

from xmpress.runtime.cache import ScoreCache


def scores(*values):
    return np.array([[v] for v in values], dtype=np.float32)


def test_remembers_by_text_and_context():
    cache = ScoreCache(10)
    cache.put([("a", None), ("a", ""), ("a", "q"), ("\ud800", None)], scores(1, 2, 3, 4))
    found = cache.get([("a", "q"), ("a", None), ("aq", None), ("\ud800", None), ("a", "")])
    assert [None if f is None else f.item() for f in found] == [3, 1, None, 4, 2]


def test_forgets_the_least_recently_used():
    cache = ScoreCache(2)
    cache.put([("a", None), ("b", None)], scores(1, 2))
    cache.get([("a", None)])
    cache.put([("c", None)], scores(3))
    assert [f is None for f in cache.get([("a", None), ("b", None), ("c", None)])] == [
        False,
        True,
        False,
    ]


def test_more_at_once_than_fits_keeps_the_last():
    cache = ScoreCache(2)
    cache.put([(t, None) for t in "abc"], scores(1, 2, 3))
    assert [f is None for f in cache.get([(t, None) for t in "abc"])] == [True, False, False]


def test_does_not_hold_on_to_the_array():
    cache = ScoreCache(2)
    batch = scores(1, 2)
    cache.put([("a", None)], batch[:1])
    batch[:] = 9
    (found,) = cache.get([("a", None)])
    assert found is not None
    assert found.item() == 1
    assert found.base is None
