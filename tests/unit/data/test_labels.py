from typing import Any

import pytest

from xmpress.data.config import TaskColumn
from xmpress.data.labels import LabelReader
from xmpress.tasks import Task, TaskSet

SENTIMENT, EMOTION, INTENSITY = TaskSet.load("experience").select(
    ["sentiment", "emotion", "intensity"]
)
SCALES = {
    "column": "scale",
    "choices": {
        2: ["very_negative|negative", "positive|very_positive"],
        3: ["very_negative|negative", "neutral", "positive|very_positive"],
        5: "all",
    },
}


def read(
    task: Task, cells: list[Any], scopes: list[Any] | None = None, **spec: Any
) -> list[tuple[str, list[int]] | None]:
    """Per row the right labels and the choice numbers; null if not annotated."""
    columns = cells if spec.get("column") else [cells]
    labels, problems = LabelReader(task, TaskColumn(**spec)).read(columns, scopes)
    assert not problems
    return [
        (" ".join(names), choice) if any(choice) else None
        for names, choice in zip(task.names(labels.targets), labels.choice.tolist(), strict=True)
    ]


def wrong(task: Task, cells: list[Any], scopes: list[Any] | None = None, **spec: Any) -> list[Any]:
    columns = cells if spec.get("column") else [cells]
    return LabelReader(task, TaskColumn(**spec)).read(columns, scopes)[1]


def test_single_labels_and_nulls() -> None:
    assert read(SENTIMENT, ["neutral", None, "", " positive ", float("nan")]) == [
        ("neutral", [1, 2, 3, 4, 5]),
        None,
        None,
        ("positive", [1, 2, 3, 4, 5]),
        None,
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "negative|very_negative",
        ["very_negative", "negative"],
        '["negative", "very_negative"]',
    ],
)
def test_coarse_labels_however_they_are_written(cell: Any) -> None:
    assert read(SENTIMENT, [cell]) == [("very_negative negative", [1, 1, 2, 3, 4])]


@pytest.mark.parametrize("cell", ["joy;trust", " trust ; joy", ["joy", "trust"], '["trust","joy"]'])
def test_several_labels_however_they_are_written(cell: Any) -> None:
    assert read(EMOTION, [cell]) == [("joy trust", list(range(1, 12)))]


@pytest.mark.parametrize("cell", ["[]", [], "none", (), " [] "])
def test_annotated_with_none(cell: Any) -> None:
    assert read(EMOTION, [cell]) == [("", list(range(1, 12)))]


def test_none_can_be_a_label() -> None:
    task = Task(name="topic", kind="multi_label", labels=["none", "price"])
    assert read(task, ["none"]) == [("none", [1, 2])]


def test_a_label_within_a_coarse_choice_stands_for_the_choice() -> None:
    rows = read(
        SENTIMENT,
        ["negative", "neutral", "positive", "positive", "positive", None],
        [3, 3, 3, 2, 5, None],
        scope=SCALES,
    )
    assert rows == [
        ("very_negative negative", [1, 1, 2, 3, 3]),
        ("neutral", [1, 1, 2, 3, 3]),
        ("positive very_positive", [1, 1, 2, 3, 3]),
        ("positive very_positive", [1, 1, 0, 2, 2]),
        ("positive", [1, 2, 3, 4, 5]),
        None,
    ]


def test_the_order_of_a_scope_does_not_matter() -> None:
    one = read(SENTIMENT, ["negative"], scope=["very_negative|negative", "neutral"])
    other = read(SENTIMENT, ["negative"], scope=["neutral", "negative|very_negative"])
    assert one == other == [("very_negative negative", [1, 1, 2, 0, 0])]


def test_a_scope_column_goes_through_the_map() -> None:
    rows = read(
        EMOTION,
        [["fear", "joy"], [], ["anticipation"], None],
        [["joy", "fear"], ["anger", "anticipation"], "anticipation", None],
        map={"fear": "worry", "anticipation": None},
        scope={"column": "emotion_scope"},
    )
    assert rows == [
        ("worry joy", [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0]),
        ("", [1, *[0] * 10]),
        None,  # nothing of ours was on offer
        None,
    ]


def test_an_optional_scope_column_may_be_null() -> None:
    rows = read(SENTIMENT, ["neutral"], [None], scope={"column": "s", "optional": True})
    assert rows == [("neutral", [1, 2, 3, 4, 5])]


def test_numbers_and_booleans_are_mapped() -> None:
    rows = read(INTENSITY, [0, 2.0, "3", None], map={0: "low", 2: "medium", 3: "high"})
    assert [row and row[0] for row in rows] == ["low", "medium", "high", None]
    task = Task(name="urgent", kind="single_label", labels=["yes", "no"])
    assert read(task, [True, False], map={True: "yes", False: "no"}) == [
        ("yes", [1, 2]),
        ("no", [1, 2]),
    ]


def test_a_dropped_single_label_is_not_annotated() -> None:
    assert read(SENTIMENT, ["mixed", "neutral"], map={"mixed": None})[0] is None


def test_other_values_can_be_dropped() -> None:
    rows = read(EMOTION, [["joy", "boredom"]], others="drop", scope=["joy", "trust"])
    assert rows == [("joy", [0] * 8 + [1, 0, 2])]


def test_doubt_takes_a_label_out_of_the_scope() -> None:
    spec: dict[str, Any] = {"map": {"annoyance": "~anger"}, "scope": ["anger", "joy"]}
    joy, anger = EMOTION.labels.index("joy"), EMOTION.labels.index("anger")
    doubted, sure = read(EMOTION, [["annoyance", "joy"], ["annoyance", "anger"]], **spec)
    assert doubted is not None and sure is not None
    assert (doubted[0], doubted[1][anger], doubted[1][joy]) == ("joy", 0, 1)
    assert (sure[0], sure[1][anger]) == ("anger", 1)  # the same column says it


def test_doubt_outweighs_other_columns() -> None:
    rows = read(
        EMOTION,
        [[["sadness", "surprise"], ["sadness"]], [["disappointment"], None]],
        column=["emotion", "emotion_fine"],
        map={"disappointment": ["disappointment", "~sadness", "~surprise"]},
        scope=["disappointment", "sadness", "surprise"],
    )
    assert [row and row[0] for row in rows] == ["disappointment", "sadness"]
    assert rows[0] is not None and sum(map(bool, rows[0][1])) == 1


def test_every_bad_row_is_found_with_what_was_expected() -> None:
    problems = wrong(SENTIMENT, ["Positive", None, "positive", "bad", "Positive"])
    assert [row for row, _ in problems] == [0, 3, 4]
    assert "did you mean 'positive'?" in problems[0][1]
    assert "expected one of very_negative, negative" in problems[1][1]


@pytest.mark.parametrize(
    ("cell", "scope", "spec", "message"),
    [
        ("neutral", 2, {"scope": SCALES}, "outside the scope"),
        ("neutral", 4, {"scope": SCALES}, "scale is '4'; expected one of 2, 3, 5"),
        ("neutral", None, {"scope": SCALES}, "column scale does not say for what"),
        ("[neutral", None, {}, "is not a label"),
        ("[neutral]", None, {}, "is neither labels joined by"),
        (["very_negative", "neutral"], 3, {"scope": SCALES}, "is not one of the choices"),
    ],
)
def test_what_is_wrong_is_said(cell: Any, scope: Any, spec: dict[str, Any], message: str) -> None:
    ((row, what),) = wrong(SENTIMENT, [cell], [scope] if spec else None, **spec)
    assert row == 0
    assert message in what


def test_no_rows() -> None:
    assert read(SENTIMENT, []) == []
    assert read(SENTIMENT, [], [], scope=SCALES) == []
