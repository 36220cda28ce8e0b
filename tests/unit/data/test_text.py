import pytest

from xmpress.data.text import fold, text_hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Très  bien !!", "très bien"),
        ("ﬁne", "FINE"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "café"),
        ("ดีมาก ๆ", "ดีมากๆ"),
        ("最高!", "最高！"),
        ("good 👍", "good"),
    ],
)
def test_the_same_text(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert text_hash(one) == text_hash(other)


@pytest.mark.parametrize(
    ("one", "other"), [("👍", "👎"), ("ดี", "ดู"), ("8", "9"), ("!", "?"), ("é", "e")]
)
def test_other_texts(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert text_hash(one) != text_hash(other)


def test_hashes_are_spread_over_0_to_1_and_never_change() -> None:
    hashes = [text_hash(f"text {i}") for i in range(1000)]
    assert 0 <= min(hashes) < 0.01 < 0.99 < max(hashes) < 1
    assert 0.45 < sum(hashes) / 1000 < 0.55
    assert text_hash("text") != text_hash("text", seed=1)
    # Written down: a change would move texts between splits of published results.
    assert text_hash("Great service!") == 0.6316134501540986
