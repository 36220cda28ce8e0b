"""What surrounds a text in its batch never changes what is said about it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmpress.runtime import analyzer as module
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.cache import ScoreCache
from xmpress.runtime.tables import prediction_columns
from xmpress.runtime.tokenization import Encoded
from xmpress.tasks import TaskSet

TEXTS = st.text(max_size=60) | st.sampled_from(["", "great staff", "最高", "long " * 40])
CONTEXTS = st.none() | st.sampled_from(["", "why?", "What is the reason for your score?"])
PAIRS = st.lists(st.tuples(TEXTS, CONTEXTS), min_size=1, max_size=12)
TOLERANCE = 1e-4

relaxed = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def analyzer(tiny_bundle):
    return Analyzer(tiny_bundle, threads=1)


def scores(analyzer, pairs):
    texts, contexts = zip(*pairs, strict=True)
    return np.concatenate(list(analyzer.logits(texts, contexts).values()), axis=1)


@relaxed
@given(pairs=PAIRS)
def test_alone_or_in_company(analyzer, pairs):
    alone = np.concatenate([scores(analyzer, [pair]) for pair in pairs])
    np.testing.assert_allclose(scores(analyzer, pairs), alone, atol=TOLERANCE)


@relaxed
@given(pairs=PAIRS, data=st.data())
def test_order(analyzer, pairs, data):
    order = data.draw(st.permutations(range(len(pairs))))
    shuffled = scores(analyzer, [pairs[i] for i in order])
    np.testing.assert_allclose(shuffled, scores(analyzer, pairs)[order], atol=TOLERANCE)


@relaxed
@given(pairs=PAIRS, budget=st.integers(1, 2000))
def test_batch_size(analyzer, pairs, budget):
    expected = scores(analyzer, pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "token_budget", lambda engine: budget)
        found = scores(analyzer, pairs)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@relaxed
@given(pairs=PAIRS, extra=st.integers(1, 30))
def test_padding(analyzer, pairs, extra):
    texts, contexts = zip(*pairs, strict=True)
    encoded = analyzer._tokenizer.encode(texts, contexts)
    rows = np.arange(len(pairs))
    batch = pad(encoded, rows, analyzer._tokenizer.pad_id)
    extra = min(extra, 64 - batch["input_ids"].shape[1])
    wider = {name: np.pad(values, ((0, 0), (0, extra))) for name, values in batch.items()}
    expected, found = analyzer._engine.run(batch), analyzer._engine.run(wider)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=TOLERANCE)


@relaxed
@given(pairs=PAIRS, data=st.data())
def test_duplicates(analyzer, pairs, data):
    places = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=30))
    found = scores(analyzer, [pairs[i] for i in places])
    np.testing.assert_allclose(found, scores(analyzer, pairs)[places], atol=TOLERANCE)
    for i, place in enumerate(places):
        # Computed once: the very same numbers.
        assert (found[i] == found[places.index(place)]).all()


@relaxed
@given(texts=st.lists(TEXTS, max_size=8))
def test_every_text_gets_an_analysis_and_only_blank_ones_no_label(analyzer, texts):
    analyses = analyzer.analyze(texts)
    assert [a.text for a in analyses] == texts
    for analysis in analyses:
        for task, prediction in analysis.items():
            known = analyzer.tasks[task].labels
            assert set(prediction.labels) <= set(known)
            if prediction.confidence is None:
                assert prediction.labels == ()
                assert not analysis.text.strip() or not analysis.text.isprintable()
            else:
                assert 0 <= prediction.confidence <= 1
                assert set(prediction.probabilities) == set(known)


@given(
    lengths=st.lists(st.integers(0, 200), max_size=60),
    budget=st.integers(1, 500),
    max_rows=st.integers(1, 20),
)
def test_batches_partition_the_rows_within_the_budget(lengths, budget, max_rows):
    batches = token_budget_batches(lengths, budget=budget, max_rows=max_rows)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert len(batch) <= max_rows
    firsts = [lengths[batch[0]] for batch in batches]
    assert firsts == sorted(firsts, reverse=True)


@given(
    rows=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), min_size=1, max_size=9),
    pad_id=st.integers(0, 99),
)
def test_padding_can_be_undone(rows, pad_id):
    batch = pad(Encoded.of([np.array(r, np.int32) for r in rows]), range(len(rows)), pad_id)
    mask = batch["attention_mask"].astype(bool)
    for ids, present, row in zip(batch["input_ids"], mask, rows, strict=True):
        assert ids[present].tolist() == row
        assert (ids[~present] == pad_id).all()
        assert not present[len(row) :].any()


@given(existing=st.lists(st.sampled_from(["text", "effort", "effort_confidence", "effort.hard"])))
def test_no_column_is_overwritten(existing):
    tasks = TaskSet.load("experience").select(["effort"])
    names = prediction_columns(existing, tasks, probabilities=True)
    assert not set(names.values()) & set(existing)
    assert len(set(names.values())) == len(names) == 7
    assert all(name == usual for usual, name in names.items() if usual not in existing)


@given(calls=st.lists(st.lists(st.integers(0, 9), max_size=6, unique=True), max_size=10))
def test_the_cache_never_lies_nor_grows(calls):
    cache = ScoreCache(4)
    for call in calls:
        pairs = [(str(i), None) for i in call]
        for i, found in zip(call, cache.get(pairs), strict=True):
            assert found is None or found.item() == i
        cache.put(pairs, np.array(call, np.float32).reshape(-1, 1))
        assert len(cache._scores) <= 4


@pytest.fixture(scope="module")
def cascade(cascade_bundle):
    """About half of the texts are answered early."""
    return Analyzer(cascade_bundle(0.0, sentiment=0.75), threads=1)


@relaxed
@given(pairs=PAIRS, data=st.data())
def test_a_first_stage_gives_the_same_bits_in_any_company(cascade, pairs, data):
    texts, contexts = zip(*pairs, strict=True)
    alone = np.concatenate(
        [cascade._first.scores(cascade._tokenizer.encode([t], [c])) for t, c in pairs]
    )
    order = data.draw(st.permutations(range(len(pairs))))
    encoded = cascade._tokenizer.encode(texts, contexts)
    found = cascade._first.scores(encoded.take(np.array(order)))
    np.testing.assert_array_equal(found, alone[order])
    sure = cascade._first.certain(found, cascade.tasks)
    one = [bool(cascade._first.certain(row[None], cascade.tasks)[0]) for row in alone]
    assert sure.tolist() == [one[i] for i in order]


@relaxed
@given(pairs=PAIRS, data=st.data())
def test_a_cascade_in_any_order(cascade, pairs, data):
    order = data.draw(st.permutations(range(len(pairs))))
    shuffled = scores(cascade, [pairs[i] for i in order])
    np.testing.assert_allclose(shuffled, scores(cascade, pairs)[order], atol=TOLERANCE)
