import numpy as np
import pytest

from xmpress.data import Dataset
from xmpress.errors import UsageError
from xmpress.evaluation import evaluate
from xmpress.tasks import Task, TaskSet
from xmpress.training.baselines import fit_baseline

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "poor", "good"))
TAGS = Task(name="tags", kind="multi_label", labels=("anger", "joy"))
WORDS = {"bad": "broken rude late", "good": "lovely perfect friendly"}


@pytest.fixture
def dataset():
    rows = [
        (f"{word} {thing}", mood, split)
        for mood, words in WORDS.items()
        for word in words.split()
        for i, thing in enumerate(("room", "train", "desk", "line", "shop", "meal", "call", "app"))
        for split in (["train", "train", "validation", "test"][i % 4],)
    ]
    n = len(rows)
    return Dataset(
        tasks=TaskSet(tasks=(MOOD, TAGS)),
        texts=[text for text, _, _ in rows],
        contexts=[None] * n,
        langs=["en"] * n,
        ids=[str(i) for i in range(n)],
        sources=["made"] * n,
        splits=[split for _, _, split in rows],
        labels={
            # Every third row of the bad ones is coarse.
            "mood": MOOD.encode(
                ["bad|poor" if m == "bad" and i % 3 == 0 else m for i, (_, m, _) in enumerate(rows)]
            ),
            "tags": TAGS.encode([["joy"] if m == "good" else [] for _, m, _ in rows]),
        },
    )


def test_tfidf_learns_words_and_majority_does_not(dataset):
    test = dataset.where(split="test")
    tfidf = fit_baseline("tfidf", dataset)
    logits = tfidf.logits(["lovely phone", "rude phone"])
    assert logits["mood"].argmax(axis=1).tolist() == [2, 0]
    assert (logits["tags"][:, 1] > 0).tolist() == [True, False]
    majority = fit_baseline("majority", dataset)
    assert len(np.unique(majority.logits(test.texts)["mood"], axis=0)) == 1
    assert evaluate(tfidf, test).average > evaluate(majority, test).average


def test_an_unknown_baseline_names_the_known_ones(dataset):
    with pytest.raises(UsageError, match="majority, tfidf"):
        fit_baseline("bayes", dataset)
