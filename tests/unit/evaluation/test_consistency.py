import numpy as np
import pytest

from xmpress.evaluation import consistency_of, parallel_items
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience").select(["intensity"])


def scores(labels: list[int]) -> dict[str, np.ndarray]:
    """Logits whose answers are these labels."""
    return {"intensity": 5 * np.eye(3, dtype=np.float32)[labels]}


def test_items_are_told_by_their_ids() -> None:
    ids = ["en-a", "de-a", "fr-a", "en-b", "de-b", "en-c", "7", "de-de001"]
    langs = ["en", "de", "fr", "en", "de", "en", "en", "de"]
    # b is not told in French, c only in English: neither says anything about all languages.
    assert parallel_items(ids, langs) == {"a": {"en": 0, "de": 1, "fr": 2}}


def test_an_id_that_names_another_language_is_not_parallel() -> None:
    assert parallel_items(["en-a", "en-a"], ["en", "de"]) == {}


def test_agreement_with_english_and_over_all_languages() -> None:
    items = {"a": {"en": 0, "de": 1, "fr": 2}, "b": {"en": 3, "de": 4, "fr": 5}}
    found = consistency_of(TASKS, scores([0, 0, 0, 1, 1, 2]), {}, items)["intensity"]
    assert found.same == 0.5
    assert found.agreement == {"de": 1.0, "fr": 0.5}
    assert (found.items, found.pivot) == (2, "en")


def test_without_english_another_language_is_the_pivot() -> None:
    found = consistency_of(TASKS, scores([0, 1]), {}, {"a": {"fr": 0, "de": 1}})["intensity"]
    assert (found.pivot, found.agreement) == ("de", {"fr": 0.0})


def test_multi_label_answers_agree_only_as_a_whole() -> None:
    tasks = TaskSet.load("experience").select(["emotion"])
    logits = np.full((2, len(tasks["emotion"])), -9.0, dtype=np.float32)
    logits[:, 0] = 9.0
    items = {"a": {"en": 0, "de": 1}}
    assert consistency_of(tasks, {"emotion": logits}, {}, items)["emotion"].same == 1.0
    logits[1, 1] = 9.0
    assert consistency_of(tasks, {"emotion": logits}, {}, items)["emotion"].same == 0.0


def test_nothing_parallel_gives_nothing() -> None:
    assert consistency_of(TASKS, scores([0]), {}, {}) == {}


@pytest.mark.parametrize("rows", [[0, 1], [1, 0]])
def test_positions_may_stand_anywhere(rows: list[int]) -> None:
    items = {"a": {"en": rows[0], "de": rows[1]}}
    assert consistency_of(TASKS, scores([0, 2]), {}, items)["intensity"].agreement == {"de": 0.0}
