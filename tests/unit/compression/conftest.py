import json
import random
from pathlib import Path
from typing import Any

import pytest

from xmpress.compression.passes import Artefact, Context

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

    texts = ["the staff was great", "trop d'attente", "", "最高の接客でした", "queue " * 40]
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
        texts=lambda rows: (texts[:rows], [None] * len(texts[:rows])),
        seed=0,
        cache=tmp_path / "cache",
        workspace=tmp_path / "work",
        say=lambda line: None,
        quiet=True,
    )
