from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xmpress.tasks import Task
from xmpress.training.sampling import draw_epoch, length_bucketed_batches, strata

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "good"))
TAGS = Task(name="tags", kind="multi_label", labels=("anger", "joy"))


def groups_of(*sizes):
    starts = np.cumsum([0, *sizes])
    return [(np.arange(a, b), 1.0) for a, b in pairwise(starts)]


def test_strata_part_languages_tasks_and_weights_and_leave_the_unlabelled_out():
    langs = ["en", "en", "fr", "en", "fr", "fr"]
    labels = {
        "mood": MOOD.encode(["bad", "good", "bad", None, None, "good"]),
        "tags": TAGS.encode([None, None, None, ["joy"], None, None]),
    }
    groups = strata(langs, labels, [1, 1, 1, 1, 1, 0])
    assert sorted(rows.tolist() for rows, _ in groups) == [[0, 1], [2], [3]]


def test_temperature_one_keeps_the_proportions():
    drawn = draw_epoch(groups_of(900, 100), temperature=1, seed=0, epoch=0)
    assert sorted(drawn) == list(range(1000))


def test_a_higher_temperature_raises_the_small_group():
    drawn = draw_epoch(groups_of(900, 100), temperature=2, seed=0, epoch=0)
    small = int((drawn >= 900).sum())
    assert small == 250  # sqrt(100) / (sqrt(100) + sqrt(900)) of 1,000
    times = Counter(drawn[drawn >= 900].tolist())
    assert set(times.values()) == {2, 3}


def test_a_weight_multiplies_the_share():
    groups = groups_of(500, 500)
    groups[1] = (groups[1][0], 3.0)
    drawn = draw_epoch(groups, temperature=1, seed=0, epoch=0)
    assert int((drawn >= 500).sum()) == 750


def test_the_same_seed_and_epoch_draw_the_same_and_another_epoch_does_not():
    groups = groups_of(50, 20)
    first = draw_epoch(groups, temperature=2, seed=3, epoch=1)
    assert first.tolist() == draw_epoch(groups, temperature=2, seed=3, epoch=1).tolist()
    assert first.tolist() != draw_epoch(groups, temperature=2, seed=3, epoch=2).tolist()
    assert first.tolist() != draw_epoch(groups, temperature=2, seed=4, epoch=1).tolist()


@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=80),
    st.integers(1, 200),
    st.integers(1, 5),
)
def test_batches_hold_every_row_once_within_the_budget(lengths, budget, window):
    sizes = np.array(lengths)
    rows = np.random.default_rng(0).permutation(len(sizes))
    batches = length_bucketed_batches(rows, sizes, budget=budget, seed=0, epoch=0, window=window)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    assert all(len(b) == 1 or len(b) * sizes[b].max() <= budget for b in batches)


def test_batches_hold_rows_of_like_length():
    lengths = np.random.default_rng(1).integers(4, 128, 5000)
    batches = length_bucketed_batches(np.arange(5000), lengths, budget=2048, seed=0, epoch=0)
    used = sum(int(lengths[b].sum()) for b in batches)
    assert used / sum(len(b) * int(lengths[b].max()) for b in batches) > 0.9
