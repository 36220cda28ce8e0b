import io
import json

import numpy as np
import pytest
from rich.console import Console

from xmpress.evaluation import Comparison, Scorecard, compare, score, to_json, to_markdown, to_table


@pytest.fixture
def card(mixed, logits_for):
    return score("teacher", logits_for(mixed), mixed, {})


@pytest.fixture
def result(mixed, logits_for):
    reference = logits_for(mixed, skill=3)
    rng = np.random.default_rng(0)
    candidate = {
        name: (values + 1.5 * rng.normal(size=values.shape)).astype(np.float32)
        for name, values in reference.items()
    }
    names = ("teacher", "student")
    return compare((reference, {}), (candidate, {}), mixed, resamples=50, names=names)


def printed(renderable, *, color=False, width=80):
    file = io.StringIO()
    system = "standard" if color else None
    console = Console(file=file, width=width, force_terminal=color, color_system=system)
    console.print(renderable)
    return file.getvalue()


def test_scorecard_on_a_terminal(card):
    text = printed(to_table(card))
    assert "teacher: macro-F1" in text
    assert "…" not in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert f"{100 * card.cell('topic', 'en').macro_f1:.1f}" in lines["en"]
    assert f"({100 * card.cell('topic', 'th').macro_f1:.1f})" in lines["th"]
    assert f"{100 * card.average:.1f}" in lines["mean"]
    assert "In brackets: fewer than 50 labelled rows" in text
    assert f"{100 * card.task('sentiment', 'kappa'):.1f}" in lines["sentiment"]


def test_digits_stand_below_one_another(card):
    lines = [line for line in printed(to_table(card)).splitlines() if line[:3] in {"en ", "th "}]
    points = [[i for i, c in enumerate(line) if c == "."] for line in lines[:2]]
    assert points[0] == points[1]


def test_languages_with_few_rows_are_dimmed(card):
    text = printed(to_table(card), color=True)
    value = f"({100 * card.cell('topic', 'th').macro_f1:.1f})"
    (line,) = [line for line in text.splitlines() if value in line]
    dim = line[: line.index(value)].rindex("\x1b[2m")
    assert "\x1b[0m" not in line[dim : line.index(value)]


def test_width_does_not_depend_on_the_terminal(card):
    narrow, wide = (printed(to_table(card), width=width) for width in (80, 200))
    assert [line.rstrip() for line in narrow.splitlines()] == [
        line.rstrip() for line in wide.splitlines()
    ]


def test_missing_cells_are_dashes(make_rows, sentiment, logits_for):
    rows = make_rows(sentiment, ["neutral", "positive"])
    text = printed(to_table(score("m", logits_for(rows), rows, {})))
    (line,) = [line for line in text.splitlines() if line.startswith("sentiment")]
    assert "–" in line  # average precision belongs to multi-label tasks


def test_scorecard_in_markdown(card):
    text = to_markdown(card)
    assert (
        "| lang | sentiment | emotion | topic | mean |\n| --- | ---: | ---: | ---: | ---: |" in text
    )
    assert f"({100 * card.cell('topic', 'th').macro_f1:.1f})" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables[:6]} == {6}


def test_pipes_in_names_do_not_break_markdown(mixed, logits_for):
    text = to_markdown(score("a|b", logits_for(mixed), mixed, {}))
    assert "**a\\|b: macro-F1**" in text


def test_comparison_on_a_terminal(result):
    text = printed(to_table(result))
    value = result.tasks["sentiment"]
    assert "Degradation of student against teacher, %" in text
    assert f"{value.low:.1f}…{value.high:.1f}" in text
    assert f"{value.points:.1f}" in text
    assert f"{100 * value.candidate:.1f}" in text


def test_comparison_in_markdown(result):
    text = to_markdown(result)
    value = result.tasks["sentiment"]
    assert value.low > 0
    assert f"**{value.percent:.1f}** [{value.low:.1f}, {value.high:.1f}]" in text


def test_json_can_be_read_again(card, result):
    assert Scorecard.from_dict(json.loads(to_json(card))) == card
    assert Comparison.from_dict(json.loads(to_json(result))) == result


def test_no_negative_zero(mixed, logits_for):
    model = (logits_for(mixed), {})
    assert "-0.0" not in to_markdown(compare(model, model, mixed, resamples=5))
