"""Whatever runs the model, however it is cut into batches: the same predictions."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmpress.runtime import analyzer as module
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.engines import engines_of

TOLERANCE = 1e-3
STRANGE = [
    "",
    " ",
    "great staff",
    "\ud83d broken \udc00",
    "שירות מצוין but the app 很慢 и очень дорого",
    "\u202eright to left\u202c",
    "الخدمة سيئة جدا ولن أعود مرة أخرى",
    "รอคิวนานมาก แต่พนักงานใจดี",
    "e" + "\u0301" * 300,
    "👩‍👩‍👧‍👦" * 30,
    "null\x00byte",
    "long " * 200,
]
TEXTS = st.text(max_size=40) | st.sampled_from(STRANGE)
relaxed = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def opened(bundle_of_all_engines):
    """Opens an analyzer once for each way to run it."""

    @cache
    def opener(engine, threads, streams):
        return Analyzer(bundle_of_all_engines, engine=engine, threads=threads, streams=streams)

    return opener


def scores(analyzer, texts):
    return np.concatenate(list(analyzer.logits(texts).values()), axis=1)


@relaxed
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=12),
    data=st.data(),
    threads=st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 4)]),
)
def test_engines_and_threads(opened, bundle_of_all_engines, texts, data, threads):
    engine = data.draw(st.sampled_from(engines_of(bundle_of_all_engines)))
    expected = scores(opened("onnx", 1, 1), texts)
    found = scores(opened(engine, *threads), texts)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@relaxed
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=30),
    window=st.integers(1, 8),
    budget=st.integers(8, 300),
)
def test_windows_and_batches(opened, texts, window, budget):
    expected = scores(opened("onnx", 1, 1), texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        patch.setattr(module, "token_budget", lambda engine: budget)
        for streams in (1, 2):
            found = scores(opened("onnx", 2, streams), texts)
            np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_labels(opened, bundle_of_all_engines, seed):
    rng = np.random.default_rng(seed)
    words = ["the", "staff", "great", "slow", "d'attente", "最高", "perfekt", "n/a", "รอ", "客服"]
    texts = [" ".join(rng.choice(words, rng.integers(1, 12))) for _ in range(200)]
    expected = opened("onnx", 1, 1).analyze(texts)
    for engine in engines_of(bundle_of_all_engines):
        found = opened(engine, 2, 2).analyze(texts)
        same = [
            a[task].labels == b[task].labels
            for a, b in zip(found, expected, strict=True)
            for task in a
        ]
        assert np.mean(same) >= 0.995, engine
