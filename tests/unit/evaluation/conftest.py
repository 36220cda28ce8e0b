"""A labelled set of rows as small as scoring allows."""

from dataclasses import dataclass

import numpy as np
import pytest

from xmpress.tasks import Labels, Task, TaskSet

SENTIMENT = Task(
    name="sentiment",
    kind="ordinal",
    labels=["very_negative", "negative", "neutral", "positive", "very_positive"],
)
THREE = ["very_negative|negative", "neutral", "positive|very_positive"]
EMOTION = Task(name="emotion", kind="multi_label", labels=["anger", "joy", "trust"])
TOPIC = Task(name="topic", kind="single_label", labels=["price", "staff", "other"])


@dataclass
class Rows:
    tasks: TaskSet
    langs: list[str]
    labels: dict[str, Labels]
    fingerprint: str = "f00d"

    def __len__(self):
        return len(self.langs)

    def take(self, rows):
        return Rows(
            self.tasks,
            [self.langs[i] for i in rows],
            {name: labels.take(rows) for name, labels in self.labels.items()},
        )


@pytest.fixture
def sentiment():
    return SENTIMENT


@pytest.fixture
def emotion():
    return EMOTION


@pytest.fixture
def topic():
    return TOPIC


@pytest.fixture
def three():
    """The choices of a three-class sentiment source."""
    return THREE


@pytest.fixture
def make_rows():
    """Rows of one task."""

    def make(task, values, scopes=None, langs=None):
        return Rows(
            TaskSet(tasks=[task]),
            list(langs or ["en"] * len(values)),
            {task.name: task.encode(values, scopes)},
        )

    return make


@pytest.fixture
def mixed():
    """600 rows of three tasks and three languages: coarse, scoped and missing labels."""
    rng = np.random.default_rng(0)
    n = 600
    values = {name: [None] * n for name in ("sentiment", "emotion", "topic")}
    scopes = {name: [None] * n for name in values}
    for i in range(n):
        kind = rng.integers(4)
        if kind == 0:
            values["sentiment"][i] = SENTIMENT.labels[rng.integers(5)]
        elif kind == 1:
            values["sentiment"][i], scopes["sentiment"][i] = THREE[rng.integers(3)], THREE
        elif kind == 2:
            scopes["sentiment"][i] = [THREE[2], THREE[0]]
            values["sentiment"][i] = scopes["sentiment"][i][rng.integers(2)]
        if rng.random() < 0.6:
            scopes["emotion"][i] = ["anger", "joy"] if rng.random() < 0.5 else None
            offered = scopes["emotion"][i] or EMOTION.labels
            values["emotion"][i] = [label for label in offered if rng.random() < 0.3]
        if rng.random() < 0.3:
            values["topic"][i] = TOPIC.labels[rng.integers(3)]
    tasks = TaskSet(tasks=[SENTIMENT, EMOTION, TOPIC])
    langs = rng.choice(["de", "en", "th"], size=n, p=[0.3, 0.6, 0.1]).tolist()
    return Rows(tasks, langs, {t.name: t.encode(values[t.name], scopes[t.name]) for t in tasks})


@pytest.fixture
def logits_for():
    """Random logits that lean toward the labels by ``skill``."""

    def make(rows, skill=2.0, seed=0):
        rng = np.random.default_rng(seed)
        return {
            task.name: (
                rng.normal(size=(len(rows), len(task))) + skill * rows.labels[task.name].targets
            ).astype(np.float32)
            for task in rows.tasks
        }

    return make
