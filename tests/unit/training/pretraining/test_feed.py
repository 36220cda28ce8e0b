"""Rows of a pretraining: every text whole and once, within its length."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from xmpress.errors import ModelError
from xmpress.training.pretraining.corpus import Corpus
from xmpress.training.pretraining.feed import PretrainFeed, packed, windows

BEGIN, END, PAD = 2, 3, 0


def corpus_of(texts, pairs=0):
    rng = np.random.default_rng(0)
    words = ["queue", "long", "friendly", "staff", "nobody", "answered"]

    def text():
        return " ".join(rng.choice(words, rng.integers(1, 5)))

    corpus = Corpus()
    for i in range(texts + pairs):
        corpus.texts.append(text())
        corpus.seconds.append(text() if i >= texts else None)
        corpus.langs.append("de+en" if i >= texts else ["en", "fr"][i % 4 == 0])
        corpus.weights.append(1.0)
    corpus.pairs = pairs
    return corpus


@pytest.fixture
def make_feed(tiny_tokenizer_file):
    def make(corpus, **changes):
        settings = {
            "token_types": True,
            "sequence_length": 32,
            "budget": 128,
            "temperature": 1.0,
            "parallel_share": 0.25,
            "seed": 0,
        }
        return PretrainFeed(corpus, tiny_tokenizer_file, **(settings | changes))

    return make


def texts_of(feed, tokenizer_file, epoch=0):
    """What an epoch shows, text by text."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    texts = []
    for rows in feed.epoch(epoch):
        for ids in feed.batch(rows).inputs["input_ids"].tolist():
            assert ids[0] == BEGIN
            inner = [i for i in ids[1:] if i != PAD]
            assert inner[-1] == END
            ends = [-1, *(at for at, i in enumerate(inner) if i == END)]
            for start, end in pairwise(ends):
                texts.append(tokenizer.decode(inner[start + 1 : end]).strip())
    return texts


@pytest.mark.parametrize("pack", [True, False])
def test_an_epoch_shows_every_text_once(make_feed, tiny_tokenizer_file, pack):
    corpus = corpus_of(60)
    shown = texts_of(make_feed(corpus, pack=pack), tiny_tokenizer_file)
    assert sorted(shown) == sorted(corpus.texts)


def test_packed_rows_are_nearly_full_and_batches_within_budget(make_feed):
    feed = make_feed(corpus_of(300))
    batches = [feed.batch(rows) for rows in feed.epoch(0)]
    masks = [batch.inputs["attention_mask"] for batch in batches]
    assert all(mask.numel() <= 128 for mask in masks)
    assert sum(int(mask.sum()) for mask in masks) > 0.9 * 32 * sum(len(mask) for mask in masks)
    assert sum(len(batch) for batch in batches) == 300  # it counts texts


def test_a_text_longer_than_a_row_is_cut_into_several(make_feed, tiny_tokenizer_file):
    long = " ".join(f"queue {i}" for i in range(40))
    feed = make_feed(Corpus([long], [None], ["en"], [1.0]))
    shown = texts_of(feed, tiny_tokenizer_file)
    assert len(shown) > 2
    assert len("".join(shown).replace(" ", "")) == len(long.replace(" ", ""))


def test_a_pair_is_one_input_in_two_segments(make_feed):
    feed = make_feed(
        Corpus(["queue long", "staff"], [None, "friendly"], ["en", "de+en"], [1, 1], 1)
    )
    rows = next(rows for batch in feed.epoch(0) for rows in batch if 1 in rows)
    inputs = feed.batch([np.array([1])]).inputs
    ids, types = inputs["input_ids"][0].tolist(), inputs["token_type_ids"][0].tolist()
    border = ids.index(END)
    assert types == [0] * (border + 1) + [1] * (len(ids) - border - 1)
    assert ids[-1] == END
    assert len(rows) >= 1


def test_pairs_have_their_share_of_the_tokens(make_feed):
    corpus = corpus_of(200, pairs=40)
    for share in (0.2, 0.6):
        feed = make_feed(corpus, parallel_share=share, temperature=2.0, pack=False)
        shown = {True: 0, False: 0}
        for rows in feed.epoch(0):
            batch = feed.batch(rows)
            for unit, mask in zip(batch.rows, batch.inputs["attention_mask"], strict=True):
                shown[int(unit) >= 200] += int(mask.sum())
        assert shown[True] / sum(shown.values()) == pytest.approx(share, abs=0.05)


def test_seed_and_epoch_decide(make_feed):
    corpus = corpus_of(50)

    def order(epoch, **changes):
        return [u for batch in make_feed(corpus, **changes).epoch(epoch) for r in batch for u in r]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)


def test_a_tokenizer_without_begin_and_end_is_refused(make_feed, tiny_tokenizer_file, tmp_path):
    tokenizer = Tokenizer.from_file(str(tiny_tokenizer_file))
    tokenizer.post_processor = None
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="one token before a text and one after"):
        PretrainFeed(corpus_of(3), tmp_path / "tokenizer.json", True, 32, 128, 1.0, 0.25, 0)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=200))
def test_packing_loses_nothing_and_never_overfills(lengths):
    sizes = np.array(lengths)
    rows = packed(np.arange(len(sizes)), sizes, room=20)
    assert sorted(unit for row in rows for unit in row) == list(range(len(sizes)))
    assert all(sizes[row].sum() <= 20 for row in rows)


@given(st.integers(2, 100), st.integers(3, 40))
def test_windows_keep_every_token(count, length):
    ids = np.arange(count, dtype=np.int32)
    parts = windows(ids, length)
    assert [i for part in parts for i in part[1:-1]] == list(range(1, count - 1))
    assert all(len(part) <= length and part[0] == 0 and part[-1] == count - 1 for part in parts)
