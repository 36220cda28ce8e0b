"""Our metrics equal scikit-learn's."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from xmpress.evaluation import metrics


def one_hot(numbers, size):
    return np.eye(size, dtype=bool)[numbers]


@pytest.fixture(params=range(5))
def rng(request):
    return np.random.default_rng(request.param)


@pytest.fixture
def single(rng):
    """Labels and predictions of 200 rows with five choices, one of which never occurs."""
    gold = rng.integers(0, 4, 200)
    guess = np.where(rng.random(200) < 0.6, gold, rng.integers(0, 4, 200))
    return gold, guess, one_hot(gold, 5), one_hot(guess, 5)


@pytest.fixture
def multi(rng):
    gold = rng.random((200, 6)) < 0.3
    return gold, gold ^ (rng.random((200, 6)) < 0.2)


def test_single_label_f1(single):
    gold, guess, actual, predicted = single
    assert metrics.macro_f1(actual, predicted) == pytest.approx(
        sklearn.f1_score(gold, guess, average="macro")
    )
    assert metrics.micro_f1(actual, predicted) == pytest.approx(
        sklearn.f1_score(gold, guess, average="micro")
    )
    np.testing.assert_allclose(
        metrics.label_f1(actual, predicted)[:4], sklearn.f1_score(gold, guess, average=None)
    )
    assert np.isnan(metrics.label_f1(actual, predicted)[4])


def test_a_label_that_is_only_predicted_counts(single):
    gold, guess, actual, _ = single
    guess = np.where(np.arange(200) < 3, 4, guess)
    assert metrics.macro_f1(actual, one_hot(guess, 5)) == pytest.approx(
        sklearn.f1_score(gold, guess, average="macro")
    )


def test_accuracy(single, multi):
    gold, guess, actual, predicted = single
    assert metrics.accuracy(actual, predicted) == sklearn.accuracy_score(gold, guess)
    assert metrics.accuracy(*multi) == sklearn.accuracy_score(*multi)


def test_quadratic_weighted_kappa(single):
    gold, guess, actual, predicted = single
    assert metrics.quadratic_weighted_kappa(actual, predicted) == pytest.approx(
        sklearn.cohen_kappa_score(gold, guess, weights="quadratic", labels=range(5))
    )


def test_kappa_is_undefined_where_everything_is_one_label():
    constant = one_hot(np.zeros(5, dtype=int), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns that it divides by zero
        theirs = sklearn.cohen_kappa_score([0] * 5, [0] * 5, weights="quadratic", labels=range(3))
    assert np.isnan(theirs)
    assert np.isnan(metrics.quadratic_weighted_kappa(constant, constant))


def test_multi_label_f1(multi):
    assert metrics.macro_f1(*multi) == pytest.approx(sklearn.f1_score(*multi, average="macro"))
    assert metrics.micro_f1(*multi) == pytest.approx(sklearn.f1_score(*multi, average="micro"))


@pytest.mark.parametrize("decimals", [8, 1])
def test_average_precision(rng, decimals):
    """With one decimal most scores are tied."""
    gold = rng.random(200) < 0.3
    scores = np.round(rng.random(200) + 0.3 * gold, decimals).astype(np.float32)
    assert metrics.average_precision(gold, scores) == pytest.approx(
        sklearn.average_precision_score(gold, scores)
    )
