import pytest

from xmpress.compression import Guard, Verdict, judge
from xmpress.evaluation import Comparison, Degradation, Scorecard


def degradation(
    percent: float | None, low: float | None, high: float | None, *, judged: bool = True
) -> Degradation:
    return Degradation(0.8, 0.7, percent, low, high, rows=100, judged=judged)


def comparison(average: Degradation, **tasks: Degradation) -> Comparison:
    empty = Scorecard("m", "d", ())
    cells = {(task, "en"): value for task, value in tasks.items()}
    return Comparison(empty, empty, cells, tasks, {"en": average}, average, 100, 0)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.5, 0.1, 0.9), Verdict.KEPT),
        ((0.5, 0.1, 1.0), Verdict.KEPT),
        ((-2.0, -3.0, -1.0), Verdict.KEPT),
        ((0.5, 0.1, 1.1), Verdict.UNDECIDED),
        ((1.5, 0.9, 2.0), Verdict.UNDECIDED),
        ((1.5, 1.1, 2.0), Verdict.BROKEN),
        ((None, None, None), Verdict.UNDECIDED),
    ],
)
def test_the_verdict_is_that_of_the_whole_interval(
    interval: tuple[float | None, float | None, float | None], verdict: Verdict
) -> None:
    judgement = judge(Guard(average=1.0), comparison(degradation(*interval)))
    assert judgement.verdict is verdict
    assert [finding.verdict for finding in judgement.findings] == [verdict]
    assert str(judgement.findings[0])


def test_one_broken_task_breaks_the_guard_and_is_named() -> None:
    fine, broken = degradation(0.2, 0.0, 0.4), degradation(9.0, 8.0, 10.0)
    judgement = judge(Guard(average=1.0, worst_task=2.0), comparison(fine, mood=fine, topic=broken))
    assert judgement.verdict is Verdict.BROKEN
    (finding,) = judgement.of(Verdict.BROKEN)
    assert (finding.limit, finding.where, finding.percent) == ("worst_task", "topic", 9.0)


def test_limits_left_out_and_cells_with_few_rows_are_not_judged() -> None:
    awful = degradation(50.0, 40.0, 60.0)
    few = degradation(50.0, 40.0, 60.0, judged=False)
    kept = judge(Guard(average=99.0), comparison(awful, mood=awful))
    assert kept.verdict is Verdict.KEPT
    judgement = judge(Guard(worst_task=1.0, worst_task_language=1.0), comparison(awful, mood=few))
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.UNDECIDED


def test_cells_and_languages_have_limits_of_their_own() -> None:
    awful = degradation(50.0, 40.0, 60.0)
    judgement = judge(
        Guard(worst_language=1.0, worst_task_language=1.0), comparison(awful, mood=awful)
    )
    assert {(f.limit, f.where) for f in judgement.of(Verdict.BROKEN)} == {
        ("worst_language", "en"),
        ("worst_task_language", "mood/en"),
    }
    assert judgement.to_dict()["verdict"] == "broken"


def share(share: float, low: float, high: float) -> dict[str, object]:
    return {"task": "mood", "lang": "en", "share": share, "low": low, "high": high}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (share(1.0, 0.995, 1.0), Verdict.KEPT),
        (share(0.98, 0.94, 0.995), Verdict.UNDECIDED),
        (share(0.9, 0.85, 0.95), Verdict.BROKEN),
    ],
)
def test_labels_that_quantization_changes_have_a_limit(
    found: dict[str, object], verdict: Verdict
) -> None:
    fine = comparison(degradation(0.1, 0.0, 0.2))
    judgement = judge(Guard(disagreement=1.0), fine, [found])
    assert judgement.verdict is verdict
    assert judgement.findings[0].where == "mood/en"
    assert "labels changed" in str(judgement.findings[0])
    # Of passes that quantize nothing there is nothing to judge.
    assert judge(Guard(disagreement=1.0), fine).findings == ()
    assert judge(Guard(average=1.0), fine, [found]).verdict is Verdict.KEPT
