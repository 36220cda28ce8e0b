import numpy as np
import pytest

from xmpress.errors import ModelError
from xmpress.evaluation import calibrate, fit_temperature, metrics, tune_thresholds
from xmpress.evaluation.tuning import FEW_POSITIVES, TEMPERATURES, best_threshold
from xmpress.tasks import Calibration, Labels


def sampled(task, logits, seed=0):
    """Labels drawn from the probabilities, under which the right temperature is 1."""
    rng = np.random.default_rng(seed)
    probabilities = task.probabilities(logits, Calibration())
    if task.multi:
        targets = rng.random(logits.shape) < probabilities
        return Labels(targets, np.ones(logits.shape, dtype=np.int8))
    drawn = (probabilities.cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)
    return task.encode([task.labels[i] for i in np.minimum(drawn, len(task) - 1)])


@pytest.fixture
def random_logits():
    def make(task, n=20_000):
        return (2 * np.random.default_rng(1).normal(size=(n, len(task)))).astype(np.float32)

    return make


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("name", ["sentiment", "emotion"])
def test_recovers_the_temperature(request, random_logits, name, factor):
    task = request.getfixturevalue(name)
    logits = random_logits(task)
    labels = sampled(task, logits)
    assert fit_temperature(task, logits * factor, labels) == pytest.approx(factor, rel=0.05)


def test_recovers_the_temperature_from_coarse_labels(sentiment, random_logits, three):
    logits = random_logits(sentiment)
    fine = sentiment.names(sampled(sentiment, logits).targets)
    coarse = {label: choice for choice in three for label in choice.split("|")}
    labels = sentiment.encode([coarse[name] for (name,) in fine], [three] * len(fine))
    assert fit_temperature(sentiment, logits * 2, labels) == pytest.approx(2, rel=0.05)


def test_labels_not_on_offer_do_not_bias_the_temperature(sentiment, random_logits, three):
    """Rows whose sentiment was neutral never got into a two-class source."""
    logits = random_logits(sentiment)
    fine = [name for (name,) in sentiment.names(sampled(sentiment, logits).targets)]
    coarse = {label: choice for choice in three for label in choice.split("|")}
    kept = [i for i, name in enumerate(fine) if name != "neutral"]
    labels = sentiment.encode([coarse[fine[i]] for i in kept], [[three[0], three[2]] for _ in kept])
    assert fit_temperature(sentiment, logits[kept] * 2, labels) == pytest.approx(2, rel=0.05)


def test_temperature_stays_in_bounds(sentiment):
    labels = sentiment.encode(["neutral", "positive"])
    sure = 10 * labels.targets.astype(np.float32)
    assert fit_temperature(sentiment, sure, labels) == pytest.approx(TEMPERATURES[0], rel=0.01)
    assert fit_temperature(sentiment, -sure, labels) == pytest.approx(TEMPERATURES[1], rel=0.01)


def test_without_information_the_temperature_is_one(sentiment, emotion):
    zeros = np.zeros((2, 5), dtype=np.float32)
    assert fit_temperature(sentiment, zeros, sentiment.encode([None, None])) == 1
    assert (
        fit_temperature(sentiment, zeros, sentiment.encode(["neutral"] * 2, [["neutral"]] * 2)) == 1
    )
    assert fit_temperature(emotion, zeros[:, :3], emotion.encode([None, None])) == 1


def test_threshold_between_the_classes():
    actual = np.array([True, True, False, False])
    assert best_threshold(actual, np.float32([0.9, 0.7, 0.3, 0.1])) == pytest.approx(0.5)


def test_threshold_with_ties_and_without_positives():
    same = np.full(4, 0.25, dtype=np.float32)
    assert best_threshold(np.array([True, False, False, False]), same) == pytest.approx(0.125)
    assert best_threshold(np.zeros(4, dtype=bool), same) == 0.5


def test_threshold_between_neighbouring_floats():
    high = np.float32(0.3)
    low = np.nextafter(high, np.float32(0))
    threshold = best_threshold(np.array([True, False]), np.array([high, low]))
    assert low < np.float32(threshold) <= high


def test_thresholds_are_tuned_per_label_on_the_rows_that_offered_it(emotion):
    n = 400
    rng = np.random.default_rng(0)
    targets = rng.random((n, 3)) < 0.3
    # positives above, negatives below a border that differs by label
    border = np.array([-2.0, 0.0, 2.0])
    logits = (np.where(targets, 1.0, -1.0) * (0.5 + rng.random((n, 3))) + border).astype(np.float32)
    choice = np.ones((n, 3), dtype=np.int8)
    choice[: n // 2, 1] = 0  # joy was not on offer, and its logits there would mislead
    logits[: n // 2, 1] *= -1
    labels = Labels(targets & (choice > 0), choice)
    thresholds = tune_thresholds(emotion, logits, labels)
    decided = emotion.decide(
        emotion.probabilities(logits, Calibration()), Calibration(thresholds=thresholds)
    )
    assert (decided == labels.targets)[choice > 0].all()
    assert thresholds[0] < thresholds[1] < thresholds[2]


def test_few_positives_are_drawn_to_the_pooled_threshold(emotion):
    n = 1000
    rng = np.random.default_rng(0)
    targets = rng.random((n, 3)) < 0.3
    targets[:, 2] = False
    targets[:2, 2] = True
    logits = (rng.normal(size=(n, 3)) + 2 * targets).astype(np.float32)
    logits[:2, 2] = 6.0  # on its own, the best threshold of trust is far too high
    labels = Labels(targets, np.ones((n, 3), dtype=np.int8))
    probabilities = emotion.probabilities(logits, Calibration())
    own = best_threshold(targets[:, 2], probabilities[:, 2])
    pooled = best_threshold(targets.ravel(), probabilities.ravel())
    thresholds = tune_thresholds(emotion, logits, labels)
    share = 2 / FEW_POSITIVES
    assert thresholds[2] == pytest.approx(share * own + (1 - share) * pooled)
    assert thresholds[0] == best_threshold(targets[:, 0], probabilities[:, 0])


def test_calibration_improves_what_it_is_tuned_for(mixed, logits_for):
    logits = {name: values * 3 - 1 for name, values in logits_for(mixed).items()}
    calibration = calibrate(mixed.tasks, logits, mixed)
    assert list(calibration) == ["sentiment", "emotion", "topic"]
    assert calibration["topic"].thresholds is None
    labels = mixed.labels["emotion"]
    task = mixed.tasks["emotion"]
    offered = labels.choice > 0

    def quality(c):
        decided = task.decide(task.probabilities(logits["emotion"], c), c)
        return metrics.macro_f1(labels.targets & offered, decided & offered)

    assert quality(calibration["emotion"]) > quality(Calibration())
    assert calibration["sentiment"].temperature > 1.2


def test_tasks_without_validation_labels_keep_the_defaults(mixed, logits_for, make_rows, emotion):
    rows = make_rows(emotion, [None] * 4)
    found = calibrate(mixed.tasks, logits_for(rows), rows)
    assert found == {name: Calibration() for name in ("sentiment", "emotion", "topic")}


def test_calibrate_checks_the_logits(mixed):
    with pytest.raises(ModelError, match="'topic': expected logits of shape"):
        calibrate(mixed.tasks, {"topic": np.zeros((1, 3), np.float32)}, mixed)
