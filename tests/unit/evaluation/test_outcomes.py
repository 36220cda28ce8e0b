import numpy as np
import pytest

from xmpress.errors import ModelError
from xmpress.evaluation.outcomes import outcomes, outcomes_by_task
from xmpress.tasks import Calibration


def logits_of(probabilities):
    return np.log(np.asarray(probabilities, dtype=np.float32))


def test_a_coarse_choice_has_the_sum_of_its_labels(sentiment, three):
    labels = sentiment.encode(["very_negative|negative"], [three])
    (found,) = outcomes(sentiment, logits_of([[0.25, 0.2, 0.4, 0.1, 0.05]]), labels, Calibration())
    assert found.choices == ("very_negative|negative", "neutral", "positive|very_positive")
    np.testing.assert_allclose(found.probabilities, [[0.45, 0.4, 0.15]], rtol=1e-5)
    # neutral is the most probable label, but not the most probable choice
    assert found.predicted.tolist() == [[True, False, False]]
    assert found.actual.tolist() == [[True, False, False]]


def test_what_was_not_on_offer_is_not_predicted(sentiment, three):
    labels = sentiment.encode(["positive|very_positive"], [[three[0], three[2]]])
    (found,) = outcomes(sentiment, logits_of([[0.05, 0.05, 0.7, 0.1, 0.1]]), labels, Calibration())
    assert found.choices == ("very_negative|negative", "positive|very_positive")
    np.testing.assert_allclose(found.probabilities, [[1 / 3, 2 / 3]], rtol=1e-5)
    assert found.predicted.tolist() == [[False, True]]


def test_rows_are_grouped_by_their_choices_however_numbered(sentiment, three):
    values = ["neutral", "neutral", "neutral", None]
    labels = sentiment.encode(values, [three, three[::-1], None, None])
    found = outcomes(sentiment, np.zeros((4, 5), np.float32), labels, Calibration())
    assert sorted(part.rows.tolist() for part in found) == [[0, 1], [2]]


def test_a_single_choice_says_nothing(sentiment):
    labels = sentiment.encode(["neutral"], [["neutral"]])
    assert outcomes(sentiment, np.zeros((1, 5), np.float32), labels, Calibration()) == []


def test_probabilities_that_underflow_stay_defined(sentiment, three):
    labels = sentiment.encode(["very_negative|negative"], [[three[0], three[2]]])
    logits = np.array([[0, 0, 1e4, 0, 0]], dtype=np.float32)
    (found,) = outcomes(sentiment, logits, labels, Calibration())
    assert np.isfinite(found.probabilities).all()


def test_multi_label_scope_masks_everything(emotion):
    labels = emotion.encode([["anger"], None], [["anger", "joy"], None])
    logits = np.full((2, 3), 5.0, dtype=np.float32)
    (found,) = outcomes(emotion, logits, labels, Calibration())
    assert found.rows.tolist() == [0]
    assert found.offered.tolist() == [[True, True, False]]
    assert found.predicted.tolist() == [[True, True, False]]
    assert found.actual.tolist() == [[True, False, False]]


def test_thresholds_and_temperature_are_used(emotion):
    labels = emotion.encode([[]])
    calibration = Calibration(temperature=2.0, thresholds=(0.6, 0.9, 0.5))
    logits = np.array([[2.0, 2.0, -2.0]], dtype=np.float32)  # 0.73, 0.73, 0.27 at temperature 2
    (found,) = outcomes(emotion, logits, labels, calibration)
    assert found.predicted.tolist() == [[True, False, False]]
    np.testing.assert_allclose(found.probabilities, [[0.731, 0.731, 0.269]], atol=1e-3)


def test_logits_of_the_wrong_shape(make_rows, sentiment):
    rows = make_rows(sentiment, ["neutral"] * 3)
    with pytest.raises(ModelError, match=r"'sentiment': expected logits of shape \(3, 5\)"):
        outcomes_by_task({"sentiment": np.zeros((3, 4), np.float32)}, rows, {})


def test_logits_that_are_not_finite(make_rows, sentiment):
    rows = make_rows(sentiment, ["neutral"] * 3)
    logits = np.zeros((3, 5), dtype=np.float32)
    logits[1, 2] = np.nan
    with pytest.raises(ModelError, match=r"1 of 3 rows are not finite \(the first is row 1\)"):
        outcomes_by_task({"sentiment": logits}, rows, {})
