"""A new vocabulary's embedding from an old one's, between the ways vocabularies mark words."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from xmpress.errors import ModelError
from xmpress.modeling.transfer import transfer_embedding

OLD = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "bank",
    "shore",
    "##s",
    "wait",
    "##ing",
    ".",
    "##.",
]


@pytest.fixture
def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(OLD)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(OLD[:5])
    return tokenizer


def unigram(*pieces: str) -> Tokenizer:
    vocabulary = [(piece, -1.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "<mask>", *pieces)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(OLD), 16)).astype(np.float32)


def of(*pieces: str) -> list[int]:
    return [OLD.index(piece) for piece in pieces]


def assert_same_direction(made: np.ndarray, source: np.ndarray, norm: float) -> None:
    np.testing.assert_allclose(made, source * norm / np.linalg.norm(source), rtol=1e-5)


def test_equal_vocabularies_give_the_embedding_itself(weights, wordpiece):
    np.testing.assert_array_equal(transfer_embedding(weights, wordpiece, wordpiece), weights)


def test_equal_byte_level_vocabularies_too(tiny_tokenizer_file):
    tokenizer = Tokenizer.from_file(str(tiny_tokenizer_file))
    weights = np.random.default_rng(2).normal(size=(tokenizer.get_vocab_size(), 8))
    np.testing.assert_array_equal(transfer_embedding(weights, tokenizer, tokenizer), weights)


def test_special_tokens_go_by_their_role(weights, wordpiece):
    made = transfer_embedding(weights, wordpiece, unigram())
    wanted = weights[of("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")]
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize(
    ("piece", "source"),
    [
        ("▁bank", "bank"),  # begins a word in both
        ("ing", "##ing"),  # within a word in both
        ("▁Bank", "bank"),  # the old tokenizer folds case
        ("ING", "##ing"),
        (".", "."),  # WordPiece parts punctuation from words: ##. is never used
        ("bank", "bank"),  # elsewhere in a word: better than nothing
    ],
)
def test_a_piece_that_both_have_is_copied(weights, wordpiece, piece, source):
    made = transfer_embedding(weights, wordpiece, unigram(piece))
    np.testing.assert_array_equal(made[5], weights[OLD.index(source)])


def test_other_pieces_are_the_mean_of_what_the_old_tokenizer_makes_of_them(weights, wordpiece):
    made = transfer_embedding(weights, wordpiece, unigram("▁Waiting"))
    norm = np.linalg.norm(weights, axis=1).mean()
    assert_same_direction(made[5], weights[of("wait", "##ing")].mean(axis=0), norm)


def test_a_gloss_comes_first_and_its_senses_count_alike(weights, wordpiece):
    new = unigram("▁bank", "▁oever")
    made = transfer_embedding(weights, wordpiece, new, {5: "waiting", 6: "banks | the"})
    norm = np.linalg.norm(weights, axis=1).mean()
    assert_same_direction(made[5], weights[of("wait", "##ing")].mean(axis=0), norm)
    sense = weights[of("bank", "##s")].mean(axis=0)
    assert_same_direction(made[6], (sense + weights[OLD.index("the")]) / 2, norm)


def test_a_gloss_the_old_tokenizer_does_not_know_is_no_gloss(weights, wordpiece):
    made = transfer_embedding(weights, wordpiece, unigram("▁bank"), {5: "岸"})
    np.testing.assert_array_equal(made[5], weights[OLD.index("bank")])


def test_pieces_without_a_source_are_near_the_mean_and_differ(weights, wordpiece):
    made = transfer_embedding(weights, wordpiece, unigram("▁岸", "ฝั่ง"))[5:]
    mean, norm = weights.mean(axis=0), np.linalg.norm(weights, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), norm, rtol=1e-5)
    assert np.all(made @ mean / (norm * np.linalg.norm(mean)) > 0.8)
    assert not np.array_equal(made[0], made[1])


def test_twice_gives_the_same(weights, wordpiece):
    new = unigram("▁岸", "▁waiting", "▁bank")
    first, second = (transfer_embedding(weights, wordpiece, new) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32


def test_ids_outside_a_vocabulary_are_refused(weights, wordpiece):
    with pytest.raises(ModelError, match="do not belong together"):
        transfer_embedding(weights[:4], wordpiece, unigram())
    with pytest.raises(ModelError, match=r"glosses for ids \[99\]"):
        transfer_embedding(weights, wordpiece, unigram(), {99: "bank"})
