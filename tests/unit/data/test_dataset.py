from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xmpress.data import Dataset
from xmpress.errors import TaskError

Make = Callable[..., Dataset]


@pytest.fixture(scope="module")
def data(make: Make) -> Dataset:
    return make(
        ["a", "b", "c"],
        langs=["en", "fr", "fr"],
        splits=["train", "test", None],
        sources=["x", "y", "y"],
        labels={"sentiment": ["neutral", None, None], "emotion": [None, ["joy"], None]},
        weights={"y": 2.0},
    )


@pytest.mark.parametrize("rows", [[2, 0], np.array([2, 0]), np.array([2, 0], dtype=np.int32)])
def test_take_positions_in_their_order(data: Dataset, rows: Any) -> None:
    part = data.take(rows)
    assert (part.texts, part.langs, part.ids) == (["c", "a"], ["fr", "en"], ["2", "0"])
    assert part.labels["sentiment"].annotated.tolist() == [False, True]
    assert part.weights == {"y": 2.0}


def test_take_masks_and_slices(data: Dataset) -> None:
    assert data.take(np.array([True, False, True])).texts == ["a", "c"]
    assert data.take(slice(1, None)).texts == ["b", "c"]
    assert len(data.take([])) == 0


def test_where(data: Dataset) -> None:
    assert data.where(split="test").texts == ["b"]
    assert data.where(langs=["fr"]).texts == ["b", "c"]
    assert data.where(sources={"x"}).texts == ["a"]
    assert data.where(tasks=["sentiment"]).texts == ["a"]
    assert data.where(tasks=["sentiment", "emotion"]).texts == ["a", "b"]
    assert data.where(tasks=["sentiment", "emotion"], langs=["fr"]).texts == ["b"]
    assert data.where().texts == data.texts
    with pytest.raises(TaskError, match="there is no task 'mood'"):
        data.where(tasks=["mood"])


def test_select_tasks(data: Dataset) -> None:
    part = data.select(["emotion"])
    assert part.tasks.names == ("emotion",)
    assert list(part.labels) == ["emotion"]
    assert part.texts == data.texts


def test_concat_undoes_a_division(data: Dataset) -> None:
    parts = [data.take([0]), data.take([1, 2])]
    assert Dataset.concat(parts).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"texts": ["ab", "c"]},
        {"texts": ["a", "bd"]},
        {"contexts": [None, ""]},
        {"langs": ["en", "fr"]},
        {"splits": ["train", None]},
        {"labels": {"sentiment": ["neutral", None]}},
        {"labels": {"emotion": [[], None]}},
        {"labels": {"emotion": [[], None]}, "scopes": {"emotion": [["joy"], None]}},
    ],
)
def test_the_fingerprint_tells_contents_apart(make: Make, other: dict[str, Any]) -> None:
    same = {"texts": ["a", "bc"]}
    assert make(**same).fingerprint == make(**same, ids=["x", "y"]).fingerprint
    assert make(**same).fingerprint != make(**(same | other)).fingerprint
    assert make(**same).fingerprint != make(**same).select(["emotion"]).fingerprint


def test_the_fingerprint_covers_what_training_draws_by(make: Make) -> None:
    data = make(["a", "b"])
    weighted = replace(data, weights={"gold": 4.0}, sources=["gold", "other"])
    assert weighted.fingerprint != data.fingerprint
    assert weighted.fingerprint != replace(weighted, weights={"gold": 2.0}).fingerprint
    assert weighted.fingerprint != replace(weighted, sources=["other", "gold"]).fingerprint


def test_the_fingerprint_takes_any_text(make: Make) -> None:
    assert make(["\ud800", "a\0b", ""]).fingerprint != make(["\ud801", "a\0b", ""]).fingerprint


def test_other_splits(data: Dataset) -> None:
    assert data.with_splits(["test"] * 3).where(split="test").texts == data.texts
