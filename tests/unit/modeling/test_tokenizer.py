import pytest
from tokenizers import Tokenizer

from xmpress.errors import ModelError
from xmpress.modeling.tokenizer import SPECIAL_TOKENS, count_tokens, train_tokenizer

TEXTS = [
    "The queue was too long and nobody told us why.",
    "La file était trop longue et personne n'a expliqué pourquoi.",
    "列が長すぎて、誰も理由を教えてくれませんでした。",
] * 20


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    directory = tmp_path_factory.mktemp("learned")
    train_tokenizer(TEXTS, directory, vocab_size=500)
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def test_special_tokens_have_the_ids_of_xlm_r(learned):
    assert [learned.token_to_id(t) for t in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert learned.get_vocab_size() <= 500


def test_no_text_is_unknown(learned):
    for text in ["ᚠᚢᚦ", "\U0001f9ff!", "ภาษาไทย"]:
        encoding = learned.encode(text)
        assert learned.token_to_id("<unk>") not in encoding.ids
        assert learned.decode(encoding.ids) == text


def test_text_comes_back(learned):
    text = "The queue was too long 2024."
    assert learned.decode(learned.encode(text).ids) == text


def test_text_and_context_are_two_segments(learned):
    assert set(learned.encode("queue", "long?").type_ids) == {0, 1}


def test_nothing_to_learn_from_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no tokenizer could be learned"):
        train_tokenizer([], tmp_path, vocab_size=500)


def test_case_is_kept_or_folded_and_the_runtime_follows(learned, tmp_path):
    from xmpress.runtime.tokenization import Tokenizer as RuntimeTokenizer

    train_tokenizer(TEXTS, tmp_path, vocab_size=500, lowercase=True)
    folding = RuntimeTokenizer.from_file(tmp_path / "tokenizer.json", max_length=16)
    upper, lower = folding.encode(["ＴＨＥ Queue", "the queue"]).ids  # NFKC makes T of Ｔ
    assert upper.tolist() == lower.tolist()
    assert learned.encode("THE Queue").ids != learned.encode("the queue").ids


def test_tokens_are_counted_by_language(learned):
    counts = count_tokens(learned, [TEXTS[0], "ᚠ", TEXTS[1], TEXTS[0]], ["en", "run", "fr", "en"])
    assert list(counts) == ["en", "fr", "run"]
    alone = len(learned.encode(TEXTS[0], add_special_tokens=False).ids)
    assert counts["en"].texts == 2
    assert counts["en"].per_text == alone
    assert counts["en"].characters_per_token == len(TEXTS[0]) / alone
    assert counts["en"].unseen == 0
    assert counts["run"].unseen == 3  # its bytes in UTF-8
