"""Means over seeds and their intervals."""

import math

import numpy as np
import pytest

from xmpress.evaluation.comparison import Degradation
from xmpress.study.figures import Figure, Pool, bracket, entry, mean_of, number, student, wilson


def degradation(percent: float | None, half: float = 1.0, *, judged: bool = True) -> Degradation:
    if percent is None:
        return Degradation(0.0, 0.1, None, None, None, 60, judged)
    return Degradation(0.8, 0.7, percent, percent - half, percent + half, 60, judged)


def test_seeds_that_agree_leave_the_interval_of_the_test_rows() -> None:
    figure = Figure.of_degradations([degradation(2.0), degradation(2.0)])
    assert figure is not None
    assert (figure.value, figure.std) == (2.0, 0.0)
    assert figure.interval == (1.0, 3.0)
    assert figure.sure


def test_one_seed_has_the_bootstraps_interval_and_no_spread() -> None:
    figure = Figure.of_degradations([degradation(0.5)])
    assert figure is not None
    assert figure.std is None
    assert figure.interval == (-0.5, 1.5)
    assert not figure.sure


def test_seeds_that_differ_widen_the_interval() -> None:
    figure = Figure.of_degradations([degradation(1.0), degradation(3.0)])
    assert figure is not None and figure.interval is not None
    assert figure.std == pytest.approx(math.sqrt(2))
    # Variances 0.26 (rows) and 1 (seeds), 1.59 degrees of freedom, Student's t 5.57.
    assert figure.interval[1] - 2.0 == pytest.approx(5.57 * math.sqrt(1.26), rel=0.03)
    assert not figure.sure


def test_a_pooled_variance_takes_the_place_of_a_cells_own() -> None:
    pool = Pool.of([[1.0, 3.0], [2.0, 2.0], [5.0]])
    assert pool == Pool(1.0, 2)
    own = Figure.of_degradations([degradation(1.0), degradation(3.0)])
    pooled = Figure.of_degradations([degradation(1.0), degradation(3.0)], Pool(1.0, 60))
    assert own is not None and pooled is not None
    assert own.std == pooled.std
    assert pooled.low is not None and own.low is not None and pooled.low > own.low
    assert Pool.of([[1.0], []]) is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two seeds, test rows and seeds both by chance: 95 % of the intervals hold the true loss."""
    rng = np.random.default_rng(0)
    held = 0
    trials = 1500
    for _ in range(trials):
        rows = rng.normal(0, 1.0)  # what the test rows add, for all seeds alike
        values = 2.0 + rows + rng.normal(0, 1.5, size=3)
        figure = Figure.of_degradations([degradation(float(v), 1.96) for v in values])
        assert figure is not None and figure.interval is not None
        held += figure.interval[0] <= 2.0 <= figure.interval[1]
    assert 0.935 < held / trials < 0.985


def test_a_reference_of_zero_gives_no_figure() -> None:
    assert Figure.of_degradations([degradation(None)]) is None
    assert Figure.of_degradations([]) is None
    one = Figure.of_degradations([degradation(None), degradation(1.0)])
    assert one is not None and one.seeds == 1


def test_plain_values_have_an_interval_only_with_several_seeds() -> None:
    assert Figure.of([]) is None
    one, two = Figure.of([3.0]), Figure.of([3.0, 5.0])
    assert one is not None and one.interval is None
    assert two is not None and two.interval is not None
    assert two.interval[1] == pytest.approx(4 + 12.706)


def test_shares_stay_between_zero_and_one() -> None:
    figure = Figure.of_share([1.0, 0.9], 10)
    assert figure is not None and figure.interval is not None
    assert 0 <= figure.interval[0] < figure.interval[1] == 1.0
    none = Figure.of_share([0.5], 0)
    assert none is not None and none.interval is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.96])
def test_wilson_agrees_with_the_formula_of_the_score_test(share: float) -> None:
    low, high = wilson(share, 50)
    for end in (low, high):
        # An end is where the score test is just undecided.
        assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / 50))


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706), (1.6, 5.51), (5, 2.571), (7, 2.365), (12, 2.179), (1e9, 1.96)],
)
def test_students_t(freedom: float, expected: float) -> None:
    assert student(freedom) == pytest.approx(expected, rel=0.03)


def test_means_of_independent_and_of_shared_chances() -> None:
    two = [Figure(1.0, None, 0.0, 2.0, 2, 60), Figure(3.0, None, 2.0, 4.0, 2, 60)]
    apart, together = (mean_of(two, independent=flag) for flag in (True, False))
    assert apart is not None and together is not None
    assert apart.value == together.value == 2.0
    assert together.interval == (1.0, 3.0)
    assert apart.interval == pytest.approx((2 - math.sqrt(0.5), 2 + math.sqrt(0.5)))
    assert apart.rows == 120
    assert mean_of([], independent=True) is None


def test_cells_that_are_not_judged_count_in_no_mean() -> None:
    few = Figure(50.0, None, 0.0, 100.0, 1, 3, judged=False)
    mean = mean_of([Figure(1.0, None, 0.5, 1.5, 1, 60), few], independent=True)
    assert mean is not None and mean.value == 1.0 and mean.judged
    alone = mean_of([few], independent=True)
    assert alone is not None and not alone.judged and not alone.sure


def test_forms() -> None:
    lost = Figure(2.0, 0.3, 1.0, 3.0, 2, 60)
    assert bracket(lost, 1, " %") == "2.0 % [1.0, 3.0]"
    assert entry(lost).to_markdown() == "**2.0 ±0.3** [1.0, 3.0]"
    assert entry(Figure(2.0, None, 1.0, 3.0, judged=False)).to_markdown() == "(2.0) [1.0, 3.0]"
    assert entry(None).to_markdown() == "–"
    assert number(-0.001) == "0.0"
    assert lost.scaled(-1).interval == (-3.0, -1.0)
