import json

import numpy as np
import pytest

from xmpress.errors import DataError, UsageError
from xmpress.evaluation import MIN_ROWS, Comparison, compare, comparison, score


@pytest.fixture
def models(mixed, logits_for):
    reference = logits_for(mixed, skill=2.5)
    rng = np.random.default_rng(9)
    candidate = {
        name: (values + rng.normal(size=values.shape)).astype(np.float32)
        for name, values in reference.items()
    }
    return (reference, {}), (candidate, {})


def test_point_estimates_are_those_of_the_scorecards(mixed, models):
    result = compare(*models, mixed, resamples=10, names=("big", "small"))
    assert result.reference == score("big", models[0][0], mixed, {})
    assert result.candidate == score("small", models[1][0], mixed, {})
    before, after = result.reference.task("topic"), result.candidate.task("topic")
    found = result.tasks["topic"]
    assert (found.reference, found.candidate) == (before, after)
    assert found.percent == pytest.approx(100 * (before - after) / before)
    assert found.points == pytest.approx(100 * (before - after))
    assert result.average.percent == pytest.approx(
        np.mean([value.percent for value in result.tasks.values()])
    )
    assert result.languages["en"].reference == result.reference.language("en")
    assert set(result.cells) == {(c.task, c.lang) for c in result.reference.cells}


def test_equals_a_bootstrap_that_scores_every_resample(mixed, models, monkeypatch):
    """The counting shortcut changes nothing: the same draws give the same intervals."""
    monkeypatch.setattr(comparison, "WEIGHTS_AT_ONCE", 3_000)  # several parts
    resamples, seed = 40, 5
    result = compare(*models, mixed, resamples=resamples, seed=seed)
    langs = np.array(mixed.langs)
    draws = []
    for i, lang in enumerate(result.reference.languages):
        rows = np.flatnonzero(langs == lang)
        rng = np.random.default_rng([seed, i])
        draws.append([rows[rng.integers(len(rows), size=len(rows))] for _ in range(resamples)])
    drops = {key: [] for key in result.cells}
    topic, average = [], []
    for parts in zip(*draws, strict=True):
        rows = np.concatenate(parts)
        cards = [
            score("m", {t: values[rows] for t, values in model[0].items()}, mixed.take(rows), {})
            for model in models
        ]
        means = []
        for task in result.tasks:
            judged = {lang for (t, lang), v in result.cells.items() if t == task and v.judged}
            before, after = (
                np.mean([card.cell(task, lang).macro_f1 for lang in judged]) for card in cards
            )
            means.append(100 * (before - after) / before)
        topic.append(means[2])
        average.append(np.mean(means))
        for key, values in drops.items():
            before, after = (card.cell(*key) for card in cards)
            values.append(100 * (before.macro_f1 - after.macro_f1) / before.macro_f1)
    for key, values in drops.items():
        found = result.cells[key]
        np.testing.assert_allclose(
            [found.low, found.high], np.quantile(values, [0.025, 0.975]), rtol=1e-6, atol=1e-9
        )
    for found, values in ((result.tasks["topic"], topic), (result.average, average)):
        np.testing.assert_allclose(
            [found.low, found.high], np.quantile(values, [0.025, 0.975]), rtol=1e-6
        )


def test_a_model_against_itself(mixed, models):
    result = compare(models[0], models[0], mixed, resamples=20)
    for value in (result.average, *result.tasks.values(), *result.cells.values()):
        assert (value.percent, value.low, value.high, value.points) == (0, 0, 0, 0)


def test_the_seed_decides(mixed, models):
    first, again = (compare(*models, mixed, resamples=50, seed=1) for _ in range(2))
    other = compare(*models, mixed, resamples=50, seed=2)
    assert first == again
    assert first.average.low != other.average.low
    assert first.average.percent == other.average.percent


def test_more_rows_make_narrower_intervals(mixed, models):
    def width(rows):
        taken = [({t: v[rows] for t, v in logits.items()}, {}) for logits, _ in models]
        found = compare(*taken, mixed.take(rows), resamples=200).average
        return found.high - found.low

    assert width(np.tile(np.arange(600), 9)) == pytest.approx(width(np.arange(600)) / 3, rel=0.3)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(make_rows, topic):
    """95 % intervals of 100 samples contain the population's degradation, give or take."""
    rng = np.random.default_rng(0)
    n, size = 100_000, 300
    gold = rng.integers(3, size=n)
    eye = np.eye(3, dtype=np.float32)
    common = rng.normal(size=(n, 3)) + 2 * eye[gold]
    models = [(common + noise * rng.normal(size=(n, 3))).astype(np.float32) for noise in (0.3, 0.9)]

    def result(rows, resamples):
        data = make_rows(topic, [topic.labels[i] for i in gold[rows]])
        pair = [({"topic": logits[rows]}, {}) for logits in models]
        return compare(*pair, data, resamples=resamples).average

    truth = result(np.arange(n), 1).percent
    found = [result(rng.integers(n, size=size), 200) for _ in range(100)]
    inside = np.mean([value.low <= truth <= value.high for value in found])
    assert 0.88 <= inside <= 0.99


def test_a_reference_of_zero_has_no_percentage(make_rows, topic):
    rows = make_rows(topic, ["price"] * 4)
    wrong, right = ({"topic": np.eye(3, dtype=np.float32)[[i] * 4]} for i in (1, 0))
    found = compare((wrong, {}), (right, {}), rows, resamples=5).average
    assert (found.percent, found.low, found.high) == (None, None, None)
    assert found.points == -100
    assert compare((wrong, {}), (wrong, {}), rows, resamples=5).average.percent == 0


def test_only_shared_tasks_are_compared(mixed, models):
    result = compare(models[0], ({"topic": models[1][0]["topic"]}, {}), mixed, resamples=5)
    assert list(result.tasks) == list(result.reference.tasks) == ["topic"]
    with pytest.raises(DataError, match="nothing to score"):
        compare(models[0], ({}, {}), mixed)


def test_resamples_must_be_positive(mixed, models):
    with pytest.raises(UsageError, match="resamples must be at least 1, found 0"):
        compare(*models, mixed, resamples=0)


def test_worst_looks_at_judged_values_only(mixed, models):
    result = compare(*models, mixed, resamples=5)
    unjudged = [key for key, value in result.cells.items() if not value.judged]
    assert unjudged
    for over, named in (("tasks", result.tasks), ("languages", result.languages)):
        name, worst = result.worst(over)
        assert worst is named[name]
        assert worst.percent == max(v.percent for v in named.values() if v.judged)
    name, worst = result.worst("cells")
    assert tuple(name.split("/")) not in unjudged
    assert worst.rows >= MIN_ROWS
    with pytest.raises(UsageError, match="'labels' is not one of tasks, languages, cells"):
        result.worst("labels")


def test_worst_of_nothing_judged(make_rows, topic):
    rows = make_rows(topic, ["price"] * 4)
    model = ({"topic": np.eye(3, dtype=np.float32)[[0] * 4]}, {})
    assert compare(model, model, rows, resamples=5).worst("tasks") is None


def test_round_trip_through_json(mixed, models):
    result = compare(*models, mixed, resamples=20)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert Comparison.from_dict(content) == result
    with pytest.raises(DataError, match="not a comparison"):
        Comparison.from_dict({"reference": content["reference"]})
