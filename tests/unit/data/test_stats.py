import json
from collections.abc import Callable

from xmpress.data import Dataset


def test_stats_count_rows_and_labels(make: Callable[..., Dataset]) -> None:
    dataset = make(
        ["a", "bb", "ccc", "dddd"],
        langs=["en", "fr", "fr", "fr"],
        splits=["train", "train", "test", None],
        labels={
            "sentiment": ["neutral", "negative|very_negative", "negative", None],
            "emotion": [["joy"], [], ["joy", "trust"], []],
        },
        scopes={"emotion": [None, None, None, ["anger"]]},
    )
    stats = dataset.stats()
    assert json.loads(json.dumps(stats)) == stats
    assert stats["rows"] == 4
    assert stats["characters"] == {"median": 2, "p95": 4, "max": 4}
    assert stats["splits"] == {"train": 2, "none": 1, "test": 1}
    assert stats["languages"] == {"fr": 3, "en": 1}
    assert stats["sources"] == {"made": 4}
    sentiment = stats["tasks"]["sentiment"]
    assert sentiment["rows"] == 3
    assert sentiment["languages"] == {"en": {"train": 1}, "fr": {"test": 1, "train": 1}}
    assert sentiment["labels"]["negative"] == {"rows": 1, "coarse": 1, "share": 0.5}
    assert sentiment["labels"]["neutral"] == {"rows": 1, "coarse": 0, "share": 0.3333}
    emotion = stats["tasks"]["emotion"]["labels"]
    assert emotion["joy"] == {"rows": 2, "coarse": 0, "share": 0.6667}  # on offer in three rows
    assert emotion["anger"] == {"rows": 0, "coarse": 0, "share": 0.0}


def test_stats_of_nothing(make: Callable[..., Dataset]) -> None:
    stats = make([]).stats()
    assert stats["rows"] == 0
    assert stats["tasks"]["sentiment"]["labels"]["neutral"]["share"] is None
