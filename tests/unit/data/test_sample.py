"""The bundled sample: what it promises, counted."""

import os
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import xmpress.data
from xmpress.data import check, load_dataset, read_table
from xmpress.data.readers import column
from xmpress.data.text import fold
from xmpress.tasks import TaskSet

LANGUAGES = ("de", "en", "es", "fr", "id", "it", "ja", "ko", "nl", "pt", "th", "zh")
SAMPLE = Path(xmpress.data.__file__).with_name("sample")
SHARED = Path(os.environ.get("XMPRESS_DATA", "../shared/data"))


def near(share: float, aim: float, tolerance: float) -> bool:
    return abs(share - aim) <= tolerance


@pytest.fixture(scope="module")
def sample():
    return load_dataset("sample", TaskSet.load("experience"))


@pytest.fixture(scope="module")
def rows():
    """Per language the rows as written."""
    found = {}
    for lang in LANGUAGES:
        table = read_table(SAMPLE / f"{lang}.jsonl")
        columns = {name: column(table, name) for name in table.column_names}
        found[lang] = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    return found


def shares(rows, task):
    counts = Counter(row[task] for row in rows)
    return {label: count / len(rows) for label, count in counts.items()}


def test_every_language_has_its_rows_labelled_for_every_task(sample):
    assert Counter(sample.langs) == dict.fromkeys(LANGUAGES, 420)
    for labels in sample.labels.values():
        assert labels.annotated.all()


def test_it_is_free_of_leaks_and_blanks(sample):
    report = check(sample)
    assert report.clean
    assert len(set(sample.ids)) == len(sample)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_parallel_and_native_items_are_split_by_item(rows, lang):
    parallel = [row for row in rows[lang] if re.fullmatch(r"p\d+", row["item"])]
    native = [row for row in rows[lang] if row["item"].startswith(lang)]
    assert (len(parallel), len(native)) == (180, 240)
    split = Counter(row["split"] for row in rows[lang])
    assert split == {"train": 294, "validation": 42, "test": 84}


def test_a_parallel_item_has_one_split_and_the_same_labels_in_all_languages(rows):
    versions = defaultdict(list)
    for lang in LANGUAGES:
        for row in rows[lang]:
            if re.fullmatch(r"p\d+", row["item"]):
                versions[row["item"]].append(row)
    assert len(versions) == 180
    for item, found in versions.items():
        assert len(found) == 12, item
        same = ("split", "sentiment", "emotion", "intensity", "effort", "actionability")
        for key in same:
            assert len({str(row[key]) for row in found}) == 1, (item, key)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_labels_are_balanced_as_planned(rows, lang):
    found = rows[lang]
    aims = {
        "sentiment": {
            "very_negative": 0.18, "negative": 0.25, "neutral": 0.20, "positive": 0.22,
            "very_positive": 0.15,
        },
        "actionability": {
            "response_needed": 0.25, "suggestion": 0.22, "not_meaningful": 0.12, "other": 0.41,
        },
        "effort": {
            "very_hard": 0.12, "hard": 0.20, "neutral": 0.46, "easy": 0.13, "very_easy": 0.09,
        },
        "intensity": {"low": 0.33, "medium": 0.33, "high": 0.33},
    }  # fmt: skip
    for task, aim in aims.items():
        have = shares(found, task)
        assert set(have) == set(aim)
        for label, share in aim.items():
            assert near(have[label], share, 0.07), (task, label, have[label])
    emotions = Counter(label for row in found for label in row["emotion"])
    assert len(emotions) == 11
    assert min(emotions.values()) / len(found) >= 0.05, emotions
    assert near(sum(not row["emotion"] for row in found) / len(found), 0.25, 0.05)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_domains_and_contexts_are_varied(rows, lang):
    found = rows[lang]
    assert len({row["domain"] for row in found}) >= 20
    assert near(sum(row.get("context") is not None for row in found) / len(found), 0.15, 0.04)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_two_texts_of_a_language_are_alike(rows, lang):
    def grams(text):
        text = re.sub(r"\s+", " ", text.lower())
        return {text[i : i + 4] for i in range(max(1, len(text) - 3))}

    sets = [(row["id"], grams(row["text"])) for row in rows[lang]]
    alike = [
        (a, b)
        for i, (a, first) in enumerate(sets)
        for b, second in sets[:i]
        if 2 * min(len(first), len(second)) > max(len(first), len(second))
        and len(first & second) > 0.5 * len(first | second)
    ]
    assert not alike


@pytest.mark.skipif(not (SHARED / "public").is_dir(), reason="the public data is not here")
def test_no_text_is_taken_from_the_public_data(sample):
    # Very short answers ("ok", "n/a") are everybody's.
    own = {fold(text) for text in sample.texts if len(text) > 20}
    taken = set()
    for path in [*(SHARED / "public").glob("*.parquet"), *(SHARED / "gold").glob("*.parquet")]:
        texts = column(read_table(path), "text")
        taken |= own & {fold(text) for text in texts}
    assert not taken


def test_it_adds_little_to_the_wheel():
    import zlib

    packed = sum(len(zlib.compress(p.read_bytes(), 6)) for p in SAMPLE.glob("*.jsonl"))
    assert packed < 1.5 * 2**20
