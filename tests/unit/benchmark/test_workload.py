import numpy as np
import pytest

from xmpress.benchmark import Lengths, texts_of, texts_of_lengths
from xmpress.errors import DataError, UsageError
from xmpress.runtime.tokenization import Tokenizer


def test_texts_are_distinct_and_their_draw_repeats(tmp_path):
    path = tmp_path / "comments.csv"
    path.write_text("text,n\n" + "".join(f"text {i % 30},1\n" for i in range(100)) + ",2\n")
    workload = texts_of(str(path), rows=10, seed=4)
    assert len(set(workload.texts)) == len(workload) == 10
    assert workload == texts_of(str(path), rows=10, seed=4)
    assert workload.texts != texts_of(str(path), rows=10, seed=5).texts
    assert len(texts_of(str(path), rows=1000)) == 30
    assert "30 distinct texts" in texts_of(str(path), rows=1000).source


def test_the_sample_has_many_languages():
    assert len(texts_of("sample", rows=50)) == 50


def test_a_column_that_is_not_there(tmp_path):
    path = tmp_path / "comments.csv"
    path.write_text("comment\nslow\n")
    with pytest.raises(DataError, match="it has comment"):
        texts_of(str(path), rows=10)
    assert texts_of(str(path), rows=10, text="comment").texts == ["slow"]


@pytest.mark.parametrize(
    "spec",
    ["19", "median=19,mean=25", "median=30,mean=25,max=128", "median=19,mean=25,max=128,x=1"],
)
def test_lengths_that_are_none(spec):
    with pytest.raises(UsageError, match="lengths"):
        Lengths.parse(spec)


def test_lengths_are_log_normal():
    drawn = Lengths.parse("median=19,mean=25,max=1000").draw(50_000)
    assert np.median(drawn) == pytest.approx(19, abs=1)
    assert drawn.mean() == pytest.approx(25, rel=0.03)
    assert Lengths.parse("median=19,mean=25,max=40").draw(1_000).max() == 40
    assert Lengths.parse("median=5,mean=5,max=9").draw(10).tolist() == [5] * 10


def test_texts_of_lengths_have_about_these_tokens(tiny_tokenizer_file):
    tokenizer = Tokenizer.from_file(tiny_tokenizer_file, max_length=1000)

    def count(texts):
        return tokenizer.encode(texts).lengths

    lengths = Lengths.parse("median=40,mean=50,max=200")
    workload = texts_of_lengths(lengths, count, rows=40)
    wanted, found = lengths.draw(40), count(workload.texts)
    assert np.abs(found - wanted).mean() < 4
    assert "median 40" in workload.source
