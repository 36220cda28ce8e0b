import numpy as np
import pytest

from xmpress.runtime.batching import pad, token_budget_batches
from xmpress.runtime.tokenization import Encoded


def ids(*rows):
    return [np.array(row, dtype=np.int32) for row in rows]


def test_longest_first_within_the_budget():
    batches = token_budget_batches([5, 2, 9, 2, 2], budget=10)
    assert [b.tolist() for b in batches] == [[2], [0, 1], [3, 4]]


def test_rows_per_batch_are_limited():
    batches = token_budget_batches([1] * 10, budget=100, max_rows=4)
    assert [len(b) for b in batches] == [4, 4, 2]


def test_a_row_beyond_the_budget_is_a_batch_of_its_own():
    assert [b.tolist() for b in token_budget_batches([3, 50, 3], budget=10)] == [[1], [0, 2]]


@pytest.mark.parametrize("lengths", [[], np.array([], dtype=np.int64)])
def test_nothing_makes_no_batches(lengths):
    assert token_budget_batches(lengths) == []


def test_pad_fills_to_the_longest_row():
    batch = pad(Encoded.of(ids([7, 8, 9], [5], [6, 6])), [1, 0], pad_id=4)
    assert batch["input_ids"].tolist() == [[5, 4, 4], [7, 8, 9]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert {v.dtype for v in batch.values()} == {np.dtype(np.int64)}


def test_pad_carries_segments():
    encoded = Encoded.of(
        ids([7, 8, 9], [5]), [np.array([0, 1, 1], np.int8), np.array([0], np.int8)]
    )
    assert pad(encoded, [0, 1], 4)["token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_only_the_inputs_that_the_model_takes():
    batch = pad(Encoded.of(ids([1])), [0], 0, inputs=["attention_mask", "input_ids"])
    assert set(batch) == {"input_ids", "attention_mask"}
