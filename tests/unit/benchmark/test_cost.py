import pytest

from xmpress.benchmark.cost import Demand, PriceTable, Served, cost, needed
from xmpress.benchmark.load import ServiceTimes
from xmpress.errors import ConfigError, UsageError

TABLE = {
    "currency": "EUR",
    "machines": [
        {
            "name": "four",
            "provider": "Nobody",
            "threads": 4,
            "per_hour": 0.36,
            "source": "made up",
            "date": "never",
        }
    ],
}
FAST = Served("student", ServiceTimes({1: [0.001], 64: [0.016]}), "model")
SLOW = Served("teacher", ServiceTimes({1: [0.04], 64: [1.6]}), "baseline")


@pytest.fixture
def prices():
    return PriceTable.model_validate(TABLE)


def test_the_example_table_says_where_its_prices_come_from():
    table = PriceTable.load()
    for machine in table.machines:
        assert machine.source.startswith("example")
        assert machine.date


def test_a_wrong_table_is_told_at_once(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\nmachines:\n- {name: a, provider: b, thread: 4, per_hour: 0}\n")
    with pytest.raises(ConfigError) as caught:
        PriceTable.load(path)
    assert "did you mean 'threads'" in str(caught.value)
    assert "per_hour" in str(caught.value)


def test_machines_are_whole():
    assert [needed(rate, 100.0) for rate in (1, 100, 101, 1000)] == [1, 1, 2, 10]


def test_bills(prices):
    demand = Demand(rate=30_000, p99=1000, tasks=5, languages=12)
    report = cost([FAST, SLOW], demand, prices, threads=2)
    fast, slow = report.bills
    # Two copies of two threads, each just below 64 texts in 16 ms.
    assert 7_500 < fast.capacity <= 8_000
    assert fast.machines == 4
    assert fast.per_million == pytest.approx(0.36 / 3600 / fast.capacity * 1e6)
    assert fast.per_month == pytest.approx(4 * 0.36 * 730)
    # 1.6 s for 64 texts: smaller batches only, so a lower rate than 40 a second.
    assert 0 < slow.capacity < 80
    assert report.currency == "EUR"


def test_savings(prices):
    demand = Demand(rate=30_000, p99=1000, tasks=5, languages=12)
    report = cost([FAST, SLOW], demand, prices, threads=2)
    per_task, per_language, over_teacher = report.savings
    assert per_task.machines == (4, 20)
    assert per_task.percent == per_task.percent_at_capacity == 80
    # 2,500 texts/s need one machine, times 60.
    assert per_language.machines == (4, 60)
    assert per_language.percent == pytest.approx(100 * (1 - 4 / 60))
    assert "teacher" in over_teacher.what
    assert over_teacher.percent_at_capacity > 99
    assert any("44 %" in note for note in report.notes)
    assert any("not comparable" in note for note in report.notes)


def test_a_machine_with_fewer_threads_than_were_measured_is_named(prices):
    demand = Demand(rate=100, p99=1000, tasks=1, languages=1)
    said = [" ".join(cost([FAST], demand, prices, threads=n).notes) for n in (4, 8)]
    assert "fewer than" not in said[0]
    assert "fewer than 8 threads (four)" in said[1]


def test_a_limit_nobody_can_meet(prices):
    demand = Demand(rate=10, p99=10, tasks=1, languages=1)
    report = cost([FAST, SLOW], demand, prices, threads=2)
    assert report.bills[1].machines is None
    assert report.savings == []


def test_a_demand_of_nothing_is_an_error():
    with pytest.raises(UsageError):
        Demand(rate=0, p99=100, tasks=1, languages=1)
