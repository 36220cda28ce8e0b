import numpy as np
import pytest

from xmpress.benchmark.statistics import Latency, Spread, ratios


def test_a_spread_is_a_median_and_the_ends():
    assert Spread.of([5.0, 1.0, 2.0, 9.0]) == Spread(3.5, 1.0, 9.0)


def test_ratios_are_taken_within_rounds():
    # The machine is four times slower in the second round, for both.
    found = ratios([10.0, 40.0, 10.0], [1.0, 4.0, 2.0])
    assert found == Spread(10.0, 5.0, 10.0)
    # The ratio of the medians would not know: 10 / 2.
    assert found.median != np.median([10, 40, 10]) / np.median([1, 4, 2])


def test_percentiles_are_milliseconds():
    latency = Latency.of(np.arange(1, 101) / 1000)
    assert latency.p50 == pytest.approx(50.5)
    assert latency.p99 == pytest.approx(99.01)
    assert (latency.count, latency.worst) == (100, pytest.approx(100))
