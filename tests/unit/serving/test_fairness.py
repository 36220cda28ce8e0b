import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xmpress.serving.fairness import FairQueue, Flow, Text


def ids(length):
    return np.zeros(length, dtype=np.int32)


def fill(queue, owner, lengths):
    queue.add(owner, Flow(), [Text(row, ids(length), None) for row, length in enumerate(lengths)])


def drain(queue):
    batches = []
    while batch := queue.take():
        batches.append([(item.owner, item.text.row) for item in batch])
    return batches


@given(
    st.lists(st.lists(st.integers(1, 80), min_size=1, max_size=30), max_size=8),
    st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_every_text_is_taken_once_and_within_the_budget(requests, budget):
    queue = FairQueue(budget)
    for owner, lengths in enumerate(requests):
        fill(queue, owner, lengths)
    expected = sorted((o, r) for o, lengths in enumerate(requests) for r in range(len(lengths)))
    assert len(queue) == len(expected)
    batches = drain(queue)
    assert sorted(item for batch in batches for item in batch) == expected
    for batch in batches:
        longest = max(requests[owner][row] for owner, row in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_a_small_request_does_not_wait_for_a_large_one():
    queue = FairQueue(budget=100)
    fill(queue, "large", [10] * 500)
    queue.take()
    fill(queue, "small", [10])
    assert ("small", 0) in [(item.owner, item.text.row) for item in queue.take()]


def test_a_large_request_is_not_starved_by_small_ones():
    queue = FairQueue(budget=10)
    fill(queue, "large", [10] * 5)
    taken = []
    for number in range(10):
        fill(queue, number, [10])
        taken += [item.owner for item in queue.take()]
    # Ten requests share the engine with it: it gets its turn among them, not after them.
    assert taken.count("large") == 4


def test_requests_of_like_size_keep_their_order():
    queue = FairQueue(budget=100)
    for owner in "abcd":
        fill(queue, owner, [30, 20])
    owners = [item.owner for batch in iter(queue.take, []) for item in batch]
    assert [owners.index(owner) for owner in "abcd"] == sorted(map(owners.index, "abcd"))


def test_texts_of_like_length_come_together():
    queue = FairQueue(budget=64)
    fill(queue, "a", [4, 60, 4, 60, 4, 4])
    first = queue.take()
    assert [len(item.text.ids) for item in first] == [4, 4, 4, 4]


def test_a_batch_is_not_filled_with_texts_that_would_be_padded():
    queue = FairQueue(budget=1024)
    fill(queue, "a", [8] * 4 + [100])
    fill(queue, "b", [8] * 4)
    batches = [[len(item.text.ids) for item in batch] for batch in iter(queue.take, [])]
    # All of them have room in one batch, of 900 places.
    assert batches == [[8] * 8, [100]]


def test_a_batch_takes_texts_of_other_lengths_where_a_small_one_would_cost_more():
    queue = FairQueue(budget=1024)
    fill(queue, "a", [10, 11, 12, 13])
    assert len(queue.take()) == 4


def test_little_is_padded_when_many_short_requests_wait():
    lengths = np.random.default_rng(0).geometric(0.08, size=256) + 2
    queue = FairQueue(budget=1024)
    for owner, of_one in enumerate(lengths.reshape(-1, 16).tolist()):
        fill(queue, owner, of_one)
    padded = 0
    while batch := queue.take():
        padded += len(batch) * max(len(item.text.ids) for item in batch)
    assert padded < 1.2 * lengths.sum()


def test_dropping_an_owner():
    queue = FairQueue(budget=64)
    fill(queue, "a", [4, 4])
    fill(queue, "b", [4])
    assert queue.drop("a") == 2
    assert drain(queue) == [[("b", 0)]]
    assert queue.take() == []
