import json
from collections.abc import Callable

import pytest

from xmpress.data import Dataset, Leak, check, find_duplicates, find_leakage
from xmpress.data.near import near_groups
from xmpress.errors import UsageError

Make = Callable[..., Dataset]


def test_duplicates_up_to_case_spaces_and_punctuation(make: Make) -> None:
    dataset = make(["Très  bien !", "mal", "très bien", "ＭＡＬ", "👍", "👎"])
    assert find_duplicates(dataset) == [[0, 2], [1, 3]]


def test_another_question_makes_another_row(make: Make) -> None:
    dataset = make(["Yes", "yes", "yes"], contexts=["Happy?", None, "happy"])
    assert find_duplicates(dataset) == [[0, 2]]


LONG = "The delivery took three weeks and nobody answered the telephone when I called about it"


def test_near_duplicates_on_request(make: Make) -> None:
    dataset = make([LONG, "Great", LONG + " today", LONG.upper(), "Great food"])
    assert find_duplicates(dataset) == [[0, 3]]
    assert find_duplicates(dataset, near=0.8) == [[0, 2, 3]]


@pytest.mark.parametrize("near", [0.4, 1.1])
def test_a_similarity_that_cannot_be_found_is_refused(make: Make, near: float) -> None:
    with pytest.raises(UsageError, match=r"from 0\.5 to 1"):
        find_duplicates(make(["a"]), near=near)


def test_near_groups_keep_to_the_threshold() -> None:
    texts = ["a" * 3, "abcdefghij", "abcdefghijk", "zzzzzzzz", ""]
    assert near_groups(texts, 0.8) == [[0], [1, 2], [3], [4]]  # 6 of 7 5-grams shared
    assert near_groups(texts, 0.9) == [[0], [1], [2], [3], [4]]
    assert near_groups([], 0.9) == []


def test_leaks_in_all_directions(make: Make) -> None:
    dataset = make(
        ["a", "A", "b", "b", "c", "c", "d", "d"],
        splits=["train", "test", "validation", "train", "test", "validation", "train", "train"],
    )
    assert find_leakage(dataset) == [
        Leak("test", [1], "train", [0]),
        Leak("validation", [2], "train", [3]),
        Leak("test", [4], "validation", [5]),
    ]


def test_conflicts_are_labels_that_cannot_both_be_right(make: Make) -> None:
    pairs = [
        ("negative", "very_negative", [], ["joy"]),
        ("negative|very_negative", "negative", ["joy"], ["joy"]),
        ("negative", None, None, ["joy"]),
        ("positive", "positive", ["joy"], []),
    ]
    texts = [text for i in range(4) for text in (f"text {i}", f"text {i}")]
    dataset = make(
        texts,
        labels={
            "sentiment": [value for a, b, _, _ in pairs for value in (a, b)],
            "emotion": [value for _, _, a, b in pairs for value in (a, b)],
        },
        # In the last pair joy was on offer once only.
        scopes={"emotion": [None] * 7 + [["anger"]]},
    )
    report = check(dataset)
    assert report.conflicts == {"sentiment": [[0, 1]], "emotion": [[0, 1]]}


def test_the_report_counts(make: Make) -> None:
    dataset = make(
        ["a", "a", "a", "b"],
        langs=["en", "en", "und", "en"],
        splits=["train", "train", "test", "train"],
        labels={"sentiment": ["neutral", "neutral", "positive", None]},
    )
    report = check(dataset)
    assert not report.clean
    found = report.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "rows": 4,
        "clean": False,
        "duplicate_texts": 1,
        "duplicate_rows": 2,
        "conflicts": {"sentiment": 1, "emotion": 0},
        "leaks": {"test in train": 1, "test in validation": 0, "validation in train": 0},
        "unlabelled_rows": 1,
        "rows_without_language": 1,
        "labels_without_train_rows": {
            "sentiment": ["very_negative", "negative", "positive", "very_positive"],
            "emotion": list(dataset.tasks["emotion"].labels),
        },
    }


@pytest.mark.parametrize("splits", [[None, None], ["train", "validation"]])
def test_clean_data_is_clean(make: Make, splits: list[str | None]) -> None:
    assert check(make(["a", "b"], splits=splits)).clean
