import numpy as np
import pytest

from xmpress.compression.vocabulary import TokenizerFile, choice


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [(1.0, [3, 1, 2, 4]), (0.95, [3, 1, 2]), (0.9, [3, 1]), (0.5, [3]), (0.01, [3])],
)
def test_the_most_used_ids_that_make_up_the_share(coverage, expected):
    counts = np.array([0, 30, 6, 60, 4])
    assert choice.used(counts, coverage=coverage, min_count=None) == expected


def test_ids_used_so_often():
    counts = np.array([0, 30, 6, 60, 4])
    assert choice.used(counts, coverage=None, min_count=6) == [3, 1, 2]
    assert choice.used(np.zeros(5, int), coverage=None, min_count=1) == []
    assert choice.used(np.zeros(5, int), coverage=1.0, min_count=None) == []


def test_characters_count_as_often_as_their_pieces(tokenizer_files):
    file = TokenizerFile(tokenizer_files["wordpiece"])
    counts = np.zeros(len(file), int)
    counts[file.numbers["the"]] = 98
    counts[file.numbers["の"]] = 6
    assert choice.characters(file, counts, coverage=0.97) == set("the")
    assert choice.characters(file, counts, coverage=1.0) == set("theの")
    found = {file.pieces[number] for number in choice.spelling(file, set("te"))}
    assert {"t", "##t", "e", "##e"} >= found >= {"t", "##t", "##e"}
    assert "の" in {file.pieces[number] for number in choice.spelling(file, None)}


def test_no_language_is_small():
    counts = {"en": np.array([900, 100, 0]), "th": np.array([1, 0, 3])}
    np.testing.assert_allclose(choice.shares(counts), [0.9, 0.1, 0.75])


def test_scripts_share_digits_and_marks(tokenizer_files):
    file = TokenizerFile(tokenizer_files["unigram"])
    found = {file.surfaces[number] for number in choice.written_in(file, ["Thai"])}
    assert {".", "1"} <= found
    assert any("\u0e00" < surface[0] < "\u0e7f" for surface in found)
    assert not any(surface.isascii() and surface.isalpha() for surface in found)
