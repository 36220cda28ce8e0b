"""The open-loop queue against plain references: a recursion, a formula, and a server by hand."""

import numpy as np
import pytest

from xmpress.benchmark.load import (
    CountedClock,
    RealClock,
    ServiceTimes,
    open_loop,
    poisson_arrivals,
)


def run(arrivals, service, max_batch=1):
    clock = CountedClock()
    batches = []

    def answer(first, last):
        batches.append((first, last))
        clock.wait(service(first, last))

    return open_loop(np.asarray(arrivals, float), answer, clock=clock, max_batch=max_batch), batches


def test_one_by_one_is_lindleys_recursion():
    random = np.random.default_rng(3)
    arrivals = poisson_arrivals(8.0, count=500, seed=1)
    times = random.exponential(0.1, 500)
    found, _ = run(arrivals, lambda first, last: times[first])
    wait, expected = 0.0, []
    for i, time in enumerate(times):
        if i:
            wait = max(0.0, wait + times[i - 1] - (arrivals[i] - arrivals[i - 1]))
        expected.append(wait + time)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_mean_wait_is_that_of_pollaczek_and_khinchine():
    rate, time = 7.0, 0.1
    found, _ = run(poisson_arrivals(rate, count=200_000, seed=5), lambda first, last: time)
    load = rate * time
    expected = time + load * time / (2 * (1 - load))
    assert found.mean() == pytest.approx(expected, rel=0.05)


def test_a_stall_counts_for_all_who_wait_meanwhile():
    # One text a second, 0.1 s each; the third takes 5 s. A client that waits would count one 5.
    found, _ = run(range(10), lambda first, last: 5.0 if first == 2 else 0.1)
    np.testing.assert_allclose(found, [0.1, 0.1, 5.0, 4.1, 3.2, 2.3, 1.4, 0.5, 0.1, 0.1])


def test_waiting_texts_are_answered_together():
    found, batches = run([0, 0.1, 0.2, 0.3, 5], lambda first, last: 1.0, max_batch=2)
    assert batches == [(0, 1), (1, 3), (3, 4), (4, 5)]
    np.testing.assert_allclose(found, [1.0, 1.9, 1.8, 2.7, 1.0])


def test_arrivals_are_poisson_and_repeat():
    arrivals = poisson_arrivals(100.0, count=20_000, seed=1)
    gaps = np.diff(arrivals)
    assert gaps.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    np.testing.assert_array_equal(arrivals, poisson_arrivals(100.0, count=20_000, seed=1))


def test_in_real_time():
    clock = RealClock()
    found = open_loop(
        np.array([0.0, 0.02]), lambda first, last: clock.wait(0.005), clock=clock, max_batch=4
    )
    assert (found >= 0.005).all()


def test_capacity_without_batching_is_that_of_the_queue():
    # M/M/1: 99 % are within ln(100) / (mu - lambda), so lambda = mu - ln(100) / limit.
    times = np.random.default_rng(0).exponential(0.01, 5_000)
    service = ServiceTimes({1: times.tolist()})
    expected = 1 / times.mean() - np.log(100) / 0.1
    assert service.capacity(0.1) == pytest.approx(expected, rel=0.12)


def test_capacity_rises_with_the_limit_and_with_batches():
    alone = ServiceTimes({1: [0.01]})
    batched = ServiceTimes({1: [0.01], 8: [0.02]})
    assert 0 < alone.capacity(0.05) < alone.capacity(0.5) <= alone.highest_rate
    assert batched.highest_rate == 400
    assert batched.capacity(0.05) > 2 * alone.capacity(0.05)
    assert alone.capacity(0.005) == 0.0
