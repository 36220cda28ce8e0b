import gzip
import json

import pytest

from xmpress.errors import DataError
from xmpress.training.pretraining.corpus import load_corpus


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        {"text": "one", "lang": "en", "split": "train", "sentiment": "no such label"},
        {"text": "deux", "lang": "fr", "split": None, "context": "combien ?"},
        {"text": "three", "lang": "en", "split": "test"},
        {"text": "four", "lang": "en", "split": "validation"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def write_pairs(tmp_path):
    def write(header, *lines):
        path = tmp_path / "pairs.tsv"
        path.write_text("\n".join(["\t".join(header), *("\t".join(line) for line in lines)]))
        return path

    return write


HEADER = ("lang_a", "text_a", "lang_b", "text_b")


def test_labels_and_held_out_rows_are_passed_over(rows):
    corpus = load_corpus([str(rows)])
    assert corpus.texts == ["one", "deux"]
    assert corpus.seconds == [None, "combien ?"]
    assert corpus.by_language() == {"en": 1, "fr": 1}


def test_plain_text_has_a_text_per_line(rows, tmp_path):
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    plain.write_text("first line\n\n  second line  \n")
    with gzip.open(packed, "wt") as file:
        file.write("third line")
    corpus = load_corpus([str(rows), str(plain), str(packed)])
    assert corpus.texts[2:] == ["first line", "second line", "third line"]
    assert corpus.langs[2:] == ["und"] * 3


def test_weights_of_a_data_config_are_kept(rows, tmp_path):
    config = tmp_path / "data.yaml"
    config.write_text(f"root: {tmp_path}\nsources:\n  mine: {{path: rows.jsonl, weight: 3}}\n")
    assert load_corpus([str(config)]).weights == [3, 3]


def test_pairs_come_last_and_every_second_is_turned_round(rows, write_pairs):
    pairs = write_pairs(HEADER, ("de", "eins", "en", "one"), ("de", "zwei", "en", "two"))
    corpus = load_corpus([str(rows)], parallel=str(pairs))
    assert corpus.texts[2:] == ["eins", "two"]
    assert corpus.seconds[2:] == ["one", "zwei"]
    assert corpus.langs[2:] == ["de+en", "de+en"]
    assert corpus.is_pair.tolist() == [False, False, True, True]
    assert corpus.by_language() == {"en": 1, "fr": 1}


def test_everything_read_is_in_the_fingerprint(rows, write_pairs):
    alone = load_corpus([str(rows)])
    pairs = write_pairs(HEADER, ("de", "eins", "en", "one"))
    assert load_corpus([str(rows)]).fingerprint == alone.fingerprint
    assert load_corpus([str(rows)], parallel=str(pairs)).fingerprint != alone.fingerprint


def test_a_sample_evens_out_the_languages(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [{"text": f"text {i}", "lang": "en" if i % 10 else "fr"} for i in range(1000)]
    path.write_text("\n".join(map(json.dumps, lines)))
    corpus = load_corpus([str(path)])
    drawn = corpus.sample(100, temperature=2.0, seed=0)
    french = sum(corpus.langs[row] == "fr" for row in drawn)
    assert french == pytest.approx(25, abs=4)  # 1 to 3, not 1 to 9


def test_missing_columns_of_pairs_are_named(rows, write_pairs):
    pairs = write_pairs(("lang_a", "text_a", "language", "translation"), ("de", "a", "en", "b"))
    with pytest.raises(
        DataError, match=r"no column lang_b, text_b; .* this one has lang_a, text_a"
    ):
        load_corpus([str(rows)], parallel=str(pairs))


def test_every_empty_cell_of_pairs_is_named(rows, write_pairs):
    pairs = write_pairs(HEADER, ("de", "", "en", "one"), ("de", "zwei", "", "two"))
    with pytest.raises(DataError) as caught:
        load_corpus([str(rows)], parallel=str(pairs))
    assert "row 1, column text_a: is empty" in str(caught.value)
    assert "row 2, column lang_b: is empty" in str(caught.value)


def test_no_text_to_train_on_is_an_error(tmp_path):
    blank = tmp_path / "blank.txt"
    blank.write_text("\n  \n")
    held_out = tmp_path / "test.csv"
    held_out.write_text("text,split\nheld out,test\n")
    with pytest.raises(DataError, match="there is no text to train on"):
        load_corpus([str(blank), str(held_out)])
