"""How long a training is: in steps, or by the clock."""

from types import SimpleNamespace

import pytest
from torch import nn

from xmpress.training import loop
from xmpress.training.checkpoint import Progress
from xmpress.training.loop import FitSettings


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock.now)
    return clock


def budget_of(**settings):
    feed = SimpleNamespace(epoch=lambda number: [None] * 10)
    accelerator = SimpleNamespace(num_processes=1)
    return loop._Budget(FitSettings(**settings), feed, 2, accelerator)


def test_steps_rise_to_the_peak_and_fall_to_nothing():
    budget = budget_of(steps=10, warmup=0.2)
    rates = [budget.rate(Progress("", step=step)) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[-1] == pytest.approx(1 / 8)
    assert budget.spent(Progress("", step=10))


def test_epochs_are_counted_in_steps_of_several_batches():
    assert budget_of(epochs=2).display(Progress("", step=3)) == (10, 3)


def test_where_no_length_is_given_few_rows_are_seen_often():
    assert budget_of().total == 200
    many = SimpleNamespace(epoch=lambda number: [None] * 1000)
    alone = SimpleNamespace(num_processes=1)
    assert loop._Budget(FitSettings(), many, 2, alone).total == 1500  # three epochs
    assert budget_of(epochs=1).total == 5  # what is asked for is done


@pytest.mark.parametrize(("width", "rate"), [(1024, 2.8e-5), (768, 5e-5), (384, 2e-4), (32, 5e-4)])
def test_narrow_encoders_learn_at_a_higher_rate(width, rate):
    model = nn.Module()
    model.config = SimpleNamespace(encoder_config=SimpleNamespace(hidden_size=width))
    assert loop.default_learning_rate(model) == pytest.approx(rate, rel=0.01)


def test_minutes_follow_the_clock_and_survive_a_resume(clock):
    budget = budget_of(minutes=1, warmup=0.5)
    progress = Progress("")
    budget.start(progress)
    clock.now += 15
    assert not budget.advance(progress) or progress.seconds == 15
    assert budget.rate(progress) == pytest.approx(0.5)
    # An hour later, in another process.
    clock.now += 3600
    again = budget_of(minutes=1, warmup=0.5)
    again.start(progress)
    clock.now += 30
    again.advance(progress)
    assert progress.seconds == pytest.approx(45)
    assert again.rate(progress) == pytest.approx(0.5)
    assert again.display(progress) == (60, 45)
    assert not again.spent(progress)
    clock.now += 15
    assert again.advance(progress)
    assert again.spent(progress)


def test_validations_come_four_times_by_the_clock_or_every_so_many_steps(clock):
    budget = budget_of(minutes=1)
    progress = Progress("")
    budget.start(progress)
    due = []
    for _ in range(12):
        clock.now += 5
        progress.step += 1
        due.append(budget.advance(progress))
    assert [number for number, is_due in enumerate(due, start=1) if is_due] == [3, 6, 9, 12]
    every = budget_of(minutes=1, evaluate_every=5)
    every.start(progress)
    progress.step = 15
    assert every.advance(progress)
