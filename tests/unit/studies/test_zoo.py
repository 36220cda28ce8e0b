"""What is read in the default model's errors, and what swaps do to its answers."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import bias
import card
import errors
import numpy as np
import pytest
import yaml

from xmpress import zoo
from xmpress.data import Dataset
from xmpress.data.files import sha256
from xmpress.tasks import Calibration, Task, TaskSet

ROOT = Path(__file__).parents[3]
LANGS = ["de", "en", "es", "fr", "id", "it", "ja", "ko", "nl", "pt", "th", "zh"]
TASKS = TaskSet(
    tasks=(
        Task(name="mood", kind="ordinal", labels=("bad", "so", "good")),
        Task(name="topics", kind="multi_label", labels=("price", "staff")),
    )
)
CALIBRATION = {name: Calibration() for name in TASKS.names}


def rows() -> Dataset:
    """Eight texts in two languages; one coarse label, one without a label of mood."""
    n = 8
    moods = ["bad", "bad", "bad|so", None, "good", "good", "good", "good"]
    topics = [["price"], [], ["price"], ["staff"], [], [], ["price", "staff"], []]
    return Dataset(
        tasks=TASKS,
        texts=[f"text {i}" for i in range(n)],
        contexts=[None] * n,
        langs=["en"] * 4 + ["de"] * 4,
        ids=[str(i) for i in range(n)],
        sources=["gold"] * n,
        splits=["test"] * n,
        labels={"mood": TASKS["mood"].encode(moods), "topics": TASKS["topics"].encode(topics)},
    )


LOGITS = {
    # so, bad, so, good, then good but for the last
    "mood": np.array(
        [[0, 9, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 0, 9], [0, 0, 9], [0, 0, 9], [9, 0, 0]],
        dtype=np.float32,
    ),
    # price everywhere
    "topics": np.tile(np.array([9, -9], dtype=np.float32), (8, 1)),
}


def test_an_error_is_another_answer_than_the_label():
    data = rows()
    mood = errors.wrong(TASKS["mood"], LOGITS["mood"], data, CALIBRATION["mood"])
    assert np.flatnonzero(mood).tolist() == [0, 7]  # "so" is within bad|so; row 3 has no label
    topics = errors.wrong(TASKS["topics"], LOGITS["topics"], data, CALIBRATION["topics"])
    assert np.flatnonzero(topics).tolist() == [1, 3, 4, 5, 6, 7]


def test_what_was_not_on_offer_is_no_error():
    data = rows()
    labels = TASKS["topics"].encode([["staff"]] + [[]] * 7, [["staff"]] + [None] * 7)
    data = replace(data, labels={**data.labels, "topics": labels})
    logits = np.tile(np.array([9, 9], dtype=np.float32), (8, 1))
    assert not errors.wrong(TASKS["topics"], logits, data, CALIBRATION["topics"])[0]


def test_errors_are_drawn_by_language_and_task_and_no_text_twice():
    drawn = list(errors.draw(rows(), LOGITS, CALIBRATION, per_task=2))
    assert Counter((e["lang"], e["task"]) for e in drawn) == {
        ("de", "mood"): 1,
        ("de", "topics"): 2,
        ("en", "mood"): 1,
        ("en", "topics"): 2,
    }
    assert len({e["key"] for e in drawn}) == len(drawn)
    assert drawn == list(errors.draw(rows(), LOGITS, CALIBRATION, per_task=2))
    german = drawn[0]
    assert (german["text"], german["label"], german["answer"]) == ("text 7", ["good"], ["bad"])
    assert german["probability"] == {"bad": 1.0, "good": 0.0}


def test_overview():
    lines = errors.overview(rows(), LOGITS, CALIBRATION).splitlines()
    assert lines[2] == "| mood | 25 | 25 | 25 | 50 |"  # one of two is a level off
    assert lines[3] == "| topics | 100 | 50 | 75 | 100 |"


def test_tables_count_what_was_read():
    found = [
        {"kind": "irony", "lang": "de", "fault": "model"},
        {"kind": "irony", "lang": "en", "fault": "label"},
        {"kind": "border", "lang": "en", "fault": "either"},
    ]
    assert errors.count(found, "kind", "lang").splitlines()[2:] == [
        "| irony | 1 | 1 | 2 |",
        "| border |  | 1 | 1 |",
        "| all | 1 | 2 | 3 |",
    ]
    assert errors.count(found, "kind", "fault").startswith("| kind | model | either | label | all")


def test_twenty_errors_of_every_language_were_read_and_are_told_as_counted():
    found = errors.read()
    assert Counter(e["lang"] for e in found) == dict.fromkeys(LANGS, 20)
    assert set(Counter((e["lang"], e["task"]) for e in found).values()) == {errors.PER_TASK}
    assert {e["fault"] for e in found} == set(errors.FAULTS)
    told = (ROOT / "results" / "zoo-errors.md").read_text(encoding="utf-8")
    for down, across in errors.COUNTED:
        assert errors.count(found, down, across) in told
    for kind, number in Counter(e["kind"] for e in found).items():
        assert f"**{kind}** ({number}" in told


@pytest.fixture(scope="module")
def sentences():
    return yaml.safe_load(bias.SENTENCES.read_text(encoding="utf-8"))


def test_sentences_are_whole_in_every_language(sentences):
    assert sorted(sentences) == LANGS
    for lang, data in sentences.items():
        assert all(carrier.count("{}") == 1 for carrier in data["carriers"]), lang
        for place in (data["about"]["place"], data["author"]["place"]):
            assert place.count("{}") == 1, lang
        found = list(bias.cells(lang, data))
        assert not [t for cell in found for t in cell.texts if "{" in t or t != t.strip()], lang
        for cell in found:  # who stands in a sentence twice would be compared with himself
            assert len(set(cell.texts)) == len(cell.texts), (lang, cell)
        kinds = {cell.kind for cell in found}
        assert {bias.NOISE, "gender", "religion", "author's country"} <= kinds
        assert any(kind.startswith(f"variety: {lang}") for kind in kinds)


def test_capitals_and_accents_only_where_there_are_any(sentences):
    signs = {
        lang: {cell.kind for cell in bias.cells(lang, sentences[lang])} for lang in ("fr", "ja")
    }
    assert {"sign: all in capitals", "sign: accents left out"} <= signs["fr"]
    assert not {"sign: all in capitals", "sign: accents left out"} & signs["ja"]


def answers(polarity, flipped=()):
    labels = {task: np.zeros((len(polarity), 2), dtype=bool) for task in bias.TASKS.names}
    for row in flipped:
        labels["effort"][row] = True
    return bias.Answers(np.array(polarity, dtype=np.float32), labels)


def test_changes_are_between_groups_only():
    cell = bias.Cell("name", "en", "fact", ("a", "a", "b"), ("1", "2", "3"))
    moved, flips = bias.changes(cell, answers([0, 0.5, 1], flipped=[0]))
    assert moved == [1, 0.5]
    assert flips["effort"] == [True, False]
    assert flips["sentiment"] == [False, False]


def test_a_group_is_held_against_the_mean_of_groups():
    cell = bias.Cell("name", "en", "fact", ("a", "a", "b"), ("1", "2", "3"))
    found = answers([0, 0.5, 0.75])
    assert bias.shift(cell, found, "a") == pytest.approx(-0.25)
    assert bias.shift(cell, found, "b") == pytest.approx(0.25)


def test_noise_shrinks_with_the_number_of_sentences():
    cell = bias.Cell("city", "en", "fact", ("a", "b"), ("1", "2"))
    rng = np.random.default_rng(0)
    few = bias.noise_band([cell] * 4, [answers([0, 1])] * 4, "city", rng)
    many = bias.noise_band([cell] * 400, [answers([0, 1])] * 400, "city", rng)
    assert many < 0.06 < few <= 0.5


def test_an_interval_holds_its_mean():
    rng = np.random.default_rng(0)
    low, high = bias.interval({"en": [0.1, 0.3], "de": [0.2], "fr": [0.4]}, rng)
    assert 0.199 < low < 0.25 < high < 0.401


def test_every_place_of_a_card_gets_its_value():
    assert card.fill("{{ a }} and {{ b }}, {{ a }}", {"a": "1\n", "b": "2"}) == "1 and 2, 1"
    with pytest.raises(KeyError):
        card.fill("{{ a }}", {})
    with pytest.raises(ValueError, match="nothing in the card shows b"):
        card.fill("{{ a }}", {"a": "1", "b": "2"})


def test_sources_are_those_of_the_training():
    lines = card.data_table(
        "Rows of the train split by source: xed 79,247, gold 12.\n"
    ).splitlines()
    assert lines[2:] == [
        "| xed | CC-BY-4.0 | 79,247 |",
        "| gold | as the source each text was drawn from | 12 |",
    ]
    with pytest.raises(SystemExit, match="does not say"):
        card.data_table("Trained.")


def test_a_card_says_when_another_model_was_read():
    assert card.whose(errors.READ_OF + "0" * 52) == "of this model"
    assert errors.READ_OF in card.whose("0" * 64)


def test_no_half_of_a_table_is_shown():
    assert card.fewshot("| 100 | zoo:small |\n").startswith("Not measured")
    whole = "| 100 | zoo:small |\n| 1000 | zoo:small |\n"
    assert card.fewshot(whole) == whole


def test_every_kind_of_error_is_explained():
    assert {error["kind"] for error in errors.read()} == set(card.KINDS)


@pytest.mark.parametrize("name", zoo.names())
def test_what_ships_has_a_card_of_its_own_weights(name):
    folder = zoo.resolve(name)
    text = (folder / "README.md").read_text(encoding="utf-8")
    weights = folder / ("onnx/model.onnx" if name == "default" else "model.safetensors")
    assert sha256(weights) in text, "run studies/zoo/card.py"
    assert "{{" not in text
    assert {"Intended use, and limits", "Data", "Quality", "Time and energy"} <= {
        line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")
    }
