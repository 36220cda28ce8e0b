from collections.abc import Callable
from typing import Any

import pytest

from xmpress.data import Dataset
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience").select(["sentiment", "emotion"])


@pytest.fixture(scope="session")
def make() -> Callable[..., Dataset]:
    """Makes a data set of texts; what is not given is the same in every row."""

    def make(texts: list[str], **fields: Any) -> Dataset:
        n = len(texts)
        values = {"sentiment": [None] * n, "emotion": [None] * n} | fields.pop("labels", {})
        scopes = fields.pop("scopes", {})
        defaults: dict[str, Any] = {
            "contexts": [None] * n,
            "langs": ["en"] * n,
            "ids": [str(i) for i in range(n)],
            "sources": ["made"] * n,
            "splits": [None] * n,
        }
        labels = {t.name: t.encode(values[t.name], scopes.get(t.name)) for t in TASKS}
        return Dataset(tasks=TASKS, texts=texts, labels=labels, **(defaults | fields))

    return make
