import numpy as np
import pytest

from xmpress.evaluation import metrics


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.65, 0.65], dtype=np.float32)
    correct = np.array([True, True, True, False])
    # Two bins: |0.95 - 1| and |0.65 - 0.5|, half of the rows each.
    assert metrics.expected_calibration_error(confidence, correct, bins=10) == pytest.approx(0.1)


def test_a_calibrated_model_has_little_calibration_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(50_000).astype(np.float32)
    correct = rng.random(50_000) < confidence
    assert metrics.expected_calibration_error(confidence, correct) < 0.01
    assert metrics.expected_calibration_error(confidence, ~correct) > 0.4


def test_confidence_of_one_falls_into_the_last_bin():
    assert metrics.expected_calibration_error(np.ones(3, np.float32), np.ones(3, bool)) == 0


def test_nothing_to_find_and_nothing_found_is_perfect():
    nothing = np.zeros((4, 3), dtype=bool)
    assert metrics.macro_f1(nothing, nothing) == 1
    assert metrics.micro_f1(nothing, nothing) == 1
    assert metrics.accuracy(nothing, nothing) == 1


def test_undefined_metrics_are_nan():
    none = np.zeros(0, dtype=bool)
    assert np.isnan(metrics.average_precision(np.zeros(3, bool), np.ones(3, np.float32)))
    assert np.isnan(metrics.accuracy(none.reshape(0, 2), none.reshape(0, 2)))
    assert np.isnan(metrics.expected_calibration_error(none.astype(np.float32), none))
