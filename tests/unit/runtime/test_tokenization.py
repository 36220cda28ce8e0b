import time

import numpy as np
import pytest
import tokenizers

from xmpress.errors import ModelError
from xmpress.runtime.tokenization import Tokenizer


@pytest.fixture
def tokenizer(tiny_tokenizer_file):
    return Tokenizer.from_file(tiny_tokenizer_file, max_length=16)


def test_same_ids_as_the_library(tokenizer, tiny_tokenizer_file):
    texts = ["the staff was great", "最高の接客でした", "x", ""]
    reference = tokenizers.Tokenizer.from_file(str(tiny_tokenizer_file))
    encoded = tokenizer.encode(texts)
    for text, ids in zip(texts, encoded.ids, strict=True):
        assert (
            ids.tolist() == reference.encode(text).ids[:15] + reference.encode(text).ids[15:][-1:]
        )
        assert ids.dtype == np.int32
    assert encoded.type_ids is None
    assert encoded.lengths.tolist() == [len(i) for i in encoded.ids]
    assert len(encoded) == 4


def test_no_texts(tokenizer):
    encoded = tokenizer.encode([])
    assert len(encoded) == 0
    assert encoded.lengths.tolist() == []


def test_long_text_is_cut_and_keeps_its_last_special_token(tokenizer):
    (ids,) = tokenizer.encode(["great " * 100]).ids
    assert len(ids) == 16
    assert ids[0] == 2
    assert ids[-1] == 3


def test_a_context_is_the_second_segment_and_a_blank_one_is_none(tokenizer):
    encoded = tokenizer.encode(["great", "great", "great", "great"], ["why", None, "", "  "])
    assert encoded.ids[0].tolist()[: len(encoded.ids[1])] == encoded.ids[1].tolist()
    assert encoded.type_ids is not None
    assert set(encoded.type_ids[0].tolist()) == {0, 1}
    for i in (1, 2, 3):
        assert encoded.ids[i].tolist() == tokenizer.encode(["great"]).ids[0].tolist()
        assert not encoded.type_ids[i].any()


def test_no_context_at_all_is_the_same_as_none_given(tokenizer):
    with_none = tokenizer.encode(["great"], [None])
    assert with_none.type_ids is None
    assert with_none.ids[0].tolist() == tokenizer.encode(["great"]).ids[0].tolist()


def test_text_and_long_context_both_keep_tokens(tokenizer):
    encoded = tokenizer.encode(["great staff"], ["why " * 100])
    assert len(encoded.ids[0]) == 16
    (text,) = tokenizer.encode(["great staff"]).ids
    assert encoded.ids[0][: len(text)].tolist() == text.tolist()


def test_as_many_contexts_as_texts(tokenizer):
    with pytest.raises(ValueError, match="2 texts but 1 contexts"):
        tokenizer.encode(["a", "b"], ["c"])


def test_order_is_kept_beyond_one_chunk(tokenizer, monkeypatch):
    monkeypatch.setattr("xmpress.runtime.tokenization.CHUNK", 3)
    texts = [f"text {i}" for i in range(10)]
    contexts = [f"context {i}" if i % 2 else None for i in range(10)]
    encoded = tokenizer.encode(texts, contexts)
    for i, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        alone = tokenizer.encode([text], [context])
        assert encoded.ids[i].tolist() == alone.ids[0].tolist()
        assert encoded.type_ids is not None
        expected = [0] * len(alone.ids[0]) if alone.type_ids is None else alone.type_ids[0].tolist()
        assert encoded.type_ids[i].tolist() == expected


def test_surrogates_broken_ones_replaced_and_pairs_joined(tokenizer):
    broken, replaced, pair, joined = tokenizer.encode(
        ["a \ud800 b", "a \ufffd b", "\ud83d\ude00", "😀"]
    ).ids
    assert broken.tolist() == replaced.tolist()
    assert pair.tolist() == joined.tolist()


def test_huge_texts_cost_little(tokenizer):
    started = time.perf_counter()
    encoded = tokenizer.encode(["x" * 1_000_000, " " * 1_000_000 + "great", "é " * 500_000])
    assert time.perf_counter() - started < 1
    assert encoded.ids[1].tolist() == tokenizer.encode(["great"]).ids[0].tolist()


def test_vocab_size_and_pad_id(tokenizer, tiny_tokenizer_file):
    reference = tokenizers.Tokenizer.from_file(str(tiny_tokenizer_file))
    assert tokenizer.vocab_size == reference.get_vocab_size()
    assert tokenizer.pad_id == 0


def test_pad_id_from_the_padding_settings(tiny_tokenizer_file):
    library = tokenizers.Tokenizer.from_file(str(tiny_tokenizer_file))
    library.enable_padding(pad_id=4, pad_token="[MASK]", length=50)
    tokenizer = Tokenizer(library, max_length=16)
    assert tokenizer.pad_id == 4
    assert len(tokenizer.encode(["a"]).ids[0]) < 16


def test_without_a_padding_token():
    library = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(ModelError, match="no padding token"):
        Tokenizer(library, max_length=16)


def test_no_room_for_text(tiny_tokenizer_file):
    with pytest.raises(ModelError, match="max_length is 4; this tokenizer needs at least 5"):
        Tokenizer.from_file(tiny_tokenizer_file, max_length=4)


def test_missing_and_damaged_files(tmp_path, tiny_tokenizer_file):
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.from_file(tmp_path / "tokenizer.json", max_length=16)
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(tiny_tokenizer_file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged"):
        Tokenizer.from_file(damaged, max_length=16)
