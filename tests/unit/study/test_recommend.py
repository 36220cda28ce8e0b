"""Which model is recommended, and why."""

import pytest

from xmpress.study.recommend import LIMIT, candidates, recommend
from xmpress.study.results import SpeedRow
from xmpress.study.view import View


@pytest.fixture
def of(synthetic, whole):
    """Models by (name, loss, speedup, verdict), recommended from."""

    def make(*models, speed: bool = True):
        maker = synthetic.Maker(["sentiment"], ["en"], (1,))
        maker.add("big", "multi_task", 0.8)
        rows = []
        for name, loss, times, verdict in models:
            maker.add(name, "compressed", 0.7, reference="big", recipe=name, verdict=verdict,
                      bytes=int(1_100_000_000 / times))  # fmt: skip
            last = maker.models[-1]
            value = dict.fromkeys(("percent", "low", "high"), loss)
            found = {**last.comparison, "average": {**last.comparison["average"], **value}}
            maker.models[-1] = last.model_copy(update={"comparison": found})
            rows.append(
                SpeedRow(model=last.id, policy="bulk", texts_per_second=times, speedup=times,
                         reference="big/seed1")
            )  # fmt: skip
        measured = whole.speed.model_copy(update={"rows": rows})
        results = synthetic.small(models=maker.models, speed=measured if speed else None)
        return View(results)

    return make


def test_the_fastest_that_keeps_its_guard(of) -> None:
    view = of(("a", 1.0, 2.0, "kept"), ("b", 4.0, 8.0, "kept"), ("c", 9.0, 16.0, "broken"))
    best = recommend(view)
    assert best is not None and best.kept and best.group.label == "b"
    assert "fastest model that keeps its guard: 8.00 times as fast as big" in best.reason
    assert "c, at 16.0 times, breaks its guard (9.0 %)" in best.reason


def test_without_a_guard_the_limit_decides(of) -> None:
    view = of(("a", LIMIT, 2.0, None), ("b", LIMIT + 0.1, 8.0, None))
    best = recommend(view)
    assert best is not None and best.group.label == "a"
    assert "b, at 8.00 times, loses 3.1 %" in best.reason


def test_where_none_is_allowed_the_least_bad_is_told_as_such(of) -> None:
    best = recommend(of(("a", 7.0, 2.0, "broken"), ("b", 9.0, 8.0, "broken")))
    assert best is not None and not best.kept and best.group.label == "a"
    assert "No compressed model keeps the guard" in best.reason


def test_the_front_holds_what_no_other_beats(of) -> None:
    view = of(("a", 1.0, 2.0, None), ("b", 1.5, 1.5, None), ("c", 2.0, 3.0, None))
    assert {one.group.label: one.best for one in candidates(view)} == {
        "a": True, "b": False, "c": True,
    }  # fmt: skip


def test_without_speed_size_decides(of) -> None:
    best = recommend(of(("a", 1.0, 2.0, None), ("b", 2.0, 4.0, None), speed=False))
    assert best is not None and best.group.label == "b"
    assert "smallest model" in best.reason and "4.00 times smaller than big" in best.reason


def test_nothing_compressed_is_no_recommendation(synthetic) -> None:
    assert recommend(View(synthetic.small(models=synthetic.small().models[:1]))) is None


def test_speedups_over_different_models_make_none_the_fastest(of) -> None:
    results = of(("a", 1.0, 2.0, None), ("b", 1.0, 4.0, None)).results
    first, second = results.speed.rows
    speed = results.speed.model_copy(
        update={"rows": [first.model_copy(update={"reference": "another"}), second]}
    )
    best = recommend(View(results.model_copy(update={"speed": speed})))
    assert best is not None
    assert best.reason.startswith("b is the model with the largest speedup that loses 3 % at most")
