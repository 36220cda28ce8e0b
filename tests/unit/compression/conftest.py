import json
import random
from pathlib import Path
from typing import Any

import pytest

from xmpress.compression.passes import Artefact, Context
from xmpress.data import Dataset, load_dataset
from xmpress.tasks import TaskSet

GOOD = ("great", "lovely", "perfect", "wonderful")
BAD = ("awful", "slow", "broken", "terrible")


@pytest.fixture(scope="session")
def labelled_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """440 easy rows of three tasks in two languages; 55 test rows of each, enough to be judged."""
    rng = random.Random(0)
    rows = []
    for i in range(440):
        good = rng.random() < 0.5
        words = [*rng.choices(GOOD if good else BAD, k=2), *rng.choices(("app", "queue"), k=3)]
        rows.append(
            {
                "text": f"{' '.join(words)} {i}",
                "lang": ("en", "fr")[i // 4 % 2],
                "split": ("train", "train", "validation", "test")[i % 4],
                "sentiment": "positive" if good else "negative",
                "emotion": ["joy"] if good else ["anger"],
                "intensity": "low" if i % 3 else "high",
            }
        )
    path = tmp_path_factory.mktemp("data") / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def context(tiny_model_dir: Path, tmp_path: Path) -> Context:
    """What `compress` would hand to a pass, without data."""

    def no_data() -> Any:
        raise AssertionError("this pass does not need the data")

    def sample(rows: int, *, training: bool, even: bool) -> Dataset:
        return load_dataset(str(texts), TaskSet.load("experience")).take(list(range(min(rows, 5))))

    texts = tmp_path / "texts.csv"
    texts.write_text(
        "text,lang\nthe staff was great,en\ntrop d'attente,fr\n-,en\n最高の接客でした,ja\n"
        f"{'queue ' * 40},en\n"
    )
    teacher = Artefact(tiny_model_dir)
    for name in ("cache", "work"):
        (tmp_path / name).mkdir()
    return Context(
        name="tested",
        artefact=teacher,
        teacher=teacher,
        student=None,
        data_name=None,
        dataset=no_data,
        sample=sample,
        seed=0,
        cache=tmp_path / "cache",
        workspace=tmp_path / "work",
        say=lambda line: None,
        quiet=True,
    )
