from collections import Counter
from collections.abc import Callable

import pytest

from xmpress.data import Dataset, assign_splits
from xmpress.errors import UsageError

Make = Callable[..., Dataset]
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_languages_and_tasks_are_divided_in_the_same_proportions(make: Make) -> None:
    dataset = make(
        [f"text {i}" for i in range(400)],
        langs=["en", "fr"] * 200,
        labels={"sentiment": ["neutral", "neutral", None, None] * 100, "emotion": [["joy"]] * 400},
    )
    divided = assign_splits(dataset, SHARES)
    for lang in ("en", "fr"):
        for part in (divided.where(langs=[lang], tasks=["sentiment"]), divided.where(langs=[lang])):
            counts = Counter(part.splits)
            assert counts["train"] == 0.8 * len(part)
            assert counts["validation"] == counts["test"] == 0.1 * len(part)


def test_the_order_of_the_rows_does_not_matter(make: Make) -> None:
    texts = [f"text {i}" for i in range(50)]
    one = assign_splits(make(texts), SHARES)
    other = assign_splits(make(texts[::-1]), SHARES)
    assert one.splits == other.splits[::-1]
    assert assign_splits(make(texts), SHARES, seed=1).splits != one.splits


def test_the_same_text_is_in_one_split(make: Make) -> None:
    texts = [f"Text {i}" for i in range(50)] + [f"text {i} !" for i in range(50)]
    splits = assign_splits(make(texts, langs=["en"] * 50 + ["fr"] * 50), SHARES).splits
    assert splits[:50] == splits[50:]
    assert set(splits) == set(SHARES)


def test_a_split_that_is_given_stays_and_takes_the_same_texts_along(make: Make) -> None:
    dataset = make(["a", "b", "A.", "c"], splits=["test", "train", None, None])
    splits = assign_splits(dataset, {"validation": 1.0}).splits
    assert splits == ["test", "train", "test", "validation"]


def test_a_few_rows_all_go_somewhere(make: Make) -> None:
    assert assign_splits(make(["a"]), SHARES).splits == ["train"]
    assert assign_splits(make([]), SHARES).splits == []


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.8, "validation": 0.1}, "sum to 0.9, not 1"),
        ({"train": 1.5, "test": -0.5}, "expected shares of train, validation, test"),
        ({"train": 0.5, "dev": 0.5}, "expected shares of"),
        ({}, "expected shares of"),
    ],
)
def test_shares_are_checked(make: Make, shares: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        assign_splits(make(["a"]), shares)
