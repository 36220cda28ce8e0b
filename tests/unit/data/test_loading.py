import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xmpress.data import Columns, choose_tasks, load_dataset, tasks_named_by
from xmpress.errors import ConfigError, DataError, MissingExtraError
from xmpress.tasks import TaskSet

TASKS = TaskSet.load("experience")
HEADER = "text,lang,split,sentiment,emotion\n"


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def names(dataset: Any, task: str) -> list[list[str]]:
    return TASKS[task].names(dataset.labels[task].targets)


def test_a_file_with_the_usual_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "reviews.csv",
        "id,text,lang,context,split,sentiment,emotion,emotion_scope,mood\n"
        "x1,Great,pt-BR,How was it?,train,positive,joy;trust,joy;trust;anger,1\n"
        ",Bad,,,dev,negative|very_negative,[],,2\n"
        "x3,Meh,ZH_hans, ,,,,,3\n",
    )
    dataset = load_dataset(path, TASKS)
    assert dataset.texts == ["Great", "Bad", "Meh"]
    assert dataset.ids == ["x1", "reviews:2", "x3"]
    assert dataset.langs == ["pt", "und", "zh"]
    assert dataset.contexts == ["How was it?", None, None]
    assert dataset.splits == ["train", "validation", None]
    assert dataset.sources == ["reviews"] * 3
    assert names(dataset, "sentiment") == [["positive"], ["very_negative", "negative"], []]
    assert names(dataset, "emotion") == [["joy", "trust"], [], []]
    assert (dataset.labels["emotion"].choice > 0).sum(axis=1).tolist() == [3, 11, 0]
    assert set(dataset.labels) == set(TASKS.names)
    assert not dataset.labels["effort"].annotated.any()


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "body,stars,store\nGreat,positive,north\n")
    columns = Columns(text="body", source="store", tasks={"sentiment": "stars"})
    dataset = load_dataset(path, TASKS, columns=columns)
    assert names(dataset, "sentiment") == [["positive"]]
    assert dataset.sources == ["north"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(), "has no column 'text'.*its columns are Text, mood; .*--text COLUMN"),
        (Columns(text="Text", lang="language"), "has no column 'language'"),
        (Columns(text="Text", tasks={"effort": "mod"}), "no column 'mod' .did you mean 'mood'"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(
    tmp_path: Path, columns: Columns, message: str
) -> None:
    path = write(tmp_path / "a.csv", "Text,mood\nGreat,1\n")
    with pytest.raises(DataError, match=message):
        load_dataset(path, TASKS, columns=columns)


def test_every_bad_row_of_every_file_is_listed(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", HEADER + "ok,en,,great,\n,english,tomorrow,,joy;hapy\n")
    write(tmp_path / "b.jsonl", '{"text": "ok"}\n{"text": null}\n')
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path, TASKS)
    found = [(p.where.removeprefix(f"{tmp_path}/"), p.what) for p in caught.value.problems]
    assert [where for where, _ in found] == [
        "a.csv, row 1, column sentiment",
        "a.csv, row 2, column text",
        "a.csv, row 2, column lang",
        "a.csv, row 2, column split",
        "a.csv, row 2, column emotion",
        "b.jsonl, row 2, column text",
    ]
    assert "expected one of very_negative" in found[0][1]
    assert "is empty" in found[1][1]
    assert "BCP 47" in found[2][1]
    assert "train, validation, test" in found[3][1]
    assert "'hapy' is not a label" in found[4][1]


def test_without_rows_there_is_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        load_dataset(write(tmp_path / "a.csv", HEADER), TASKS)
    with pytest.raises(DataError, match="there is no such file"):
        load_dataset(tmp_path / "no.csv", TASKS)


def test_one_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + "a,en,train,,\nb,en,test,,\n")
    assert load_dataset(path, TASKS, split="test").texts == ["b"]
    with pytest.raises(DataError, match=r"no rows of split 'validation'; it has test, train"):
        load_dataset(path, TASKS, split="validation")


def test_a_long_text_and_one_in_another_encoding(tmp_path: Path) -> None:
    assert len(load_dataset(write(tmp_path / "a.csv", "text\n" + "x" * 100_000), TASKS)) == 1
    (tmp_path / "b.csv").write_bytes("text\nété\n".encode("latin-1"))
    with pytest.raises(DataError, match="--encoding latin-1"):
        load_dataset(tmp_path / "b.csv", TASKS)
    assert load_dataset(tmp_path / "b.csv", TASKS, encoding="latin-1").texts == ["été"]


def test_the_packaged_sample_is_fully_labelled() -> None:
    dataset = load_dataset("sample", TASKS)
    for task in TASKS:
        assert dataset.labels[task.name].annotated.all(), task.name
    assert len(set(dataset.ids)) == len(dataset)
    assert set(dataset.splits) == {"train", "validation", "test"}


# ---- data configs


def test_a_config_joins_sources(tmp_path: Path) -> None:
    write(tmp_path / "d/a.csv", "text,scale,sentiment\nGood,3,positive\nBad,5,negative\n")
    write(tmp_path / "d/b.csv", "text,store,stars\nFin,north,2\nBof,south,1\nNon,east,1\n")
    config = write(
        tmp_path / "data.yaml",
        f"""
        tasks: experience
        root: {tmp_path}/d
        defaults: {{path: "{{name}}.csv"}}
        sources:
          a:
            tasks:
              sentiment:
                scope:
                  column: scale
                  choices: {{3: [very_negative|negative, neutral, positive|very_positive], 5: all}}
          b:
            lang: fr
            weight: 0.5
            filter: {{store: [north, south]}}
            tasks: {{sentiment: {{column: stars, map: {{1: negative, 2: positive}}}}}}
        """,
    )
    dataset = load_dataset(config, TASKS)
    assert dataset.texts == ["Good", "Bad", "Fin", "Bof"]
    assert dataset.sources == ["a", "a", "b", "b"]
    assert dataset.langs == ["und", "und", "fr", "fr"]
    assert dataset.weights == {"a": 1.0, "b": 0.5}
    assert dataset.labels["sentiment"].choice[0].tolist() == [1, 1, 2, 3, 3]
    assert names(dataset, "sentiment") == [
        ["positive", "very_positive"],
        ["negative"],
        ["positive"],
        ["negative"],
    ]
    # A task set of one reads the same labels.
    single = load_dataset(config, TASKS.select(["sentiment"]))
    assert (single.labels["sentiment"].targets == dataset.labels["sentiment"].targets).all()


def test_a_source_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "d/a.csv", "text\nGood\n")
    write(tmp_path / "e/b.csv", "text\nBad\n")
    config = write(
        tmp_path / "data.yaml",
        f"""
        root: {tmp_path}/d
        sources: {{a: {{path: a.csv}}, b: {{root: "{tmp_path}/e", path: b.csv}}}}
        """,
    )
    assert load_dataset(config, TASKS).texts == ["Good", "Bad"]
    config.write_text(config.read_text().replace("/e", "/f"))
    with pytest.raises(DataError, match=r"data folder .*/f does not exist"):
        load_dataset(config, TASKS)


def test_a_derived_validation_split_takes_its_texts_from_train_everywhere(tmp_path: Path) -> None:
    rows = [f"Text number {i}" for i in range(200)]
    train = "\n".join(f"{text},train" for text in rows)
    write(tmp_path / "gold.csv", f"text,split\n{train}\nHeld out,test\n")
    write(tmp_path / "web.csv", "text,split\n" + "\n".join(f"{t.upper()}!,train" for t in rows))
    config = write(
        tmp_path / "data.yaml",
        f"root: {tmp_path}\ndefaults: {{path: '{{name}}.csv'}}\n"
        "sources: {gold: {validation: 0.1}, web: }\n",
    )
    dataset = load_dataset(config, TASKS)
    gold, web = (dataset.where(sources=[name]) for name in ("gold", "web"))
    held = [t for t, s in zip(gold.texts, gold.splits, strict=True) if s == "validation"]
    assert 8 <= len(held) <= 35
    assert gold.splits[-1] == "test"
    assert [t for t, s in zip(web.texts, web.splits, strict=True) if s == "validation"] == [
        f"{t.upper()}!" for t in held
    ]
    assert load_dataset(config, TASKS).fingerprint == dataset.fingerprint


def test_all_sources_that_fail_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,sentiment\nx,good\n")
    write(tmp_path / "b.csv", "body\nx\n")
    config = write(
        tmp_path / "data.yaml",
        f"root: {tmp_path}\ndefaults: {{path: '{{name}}.csv'}}\nsources: {{a: , b: , c: }}\n",
    )
    with pytest.raises(DataError) as caught:
        load_dataset(config, TASKS)
    assert [p.where.removeprefix(f"{tmp_path}/") for p in caught.value.problems] == [
        "a.csv, row 1, column sentiment",
        "source b",
        "c.csv",
    ]


def test_a_missing_root_names_the_setting(tmp_path: Path) -> None:
    config = write(tmp_path / "data.yaml", "root: /no/where\nsources: {a: {path: a.csv}}\n")
    with pytest.raises(DataError, match=r"/no/where does not exist \(root: /no/where\)"):
        load_dataset(config, TASKS)


# ---- the hub


class _Split(list[dict[str, Any]]):
    def __init__(self, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
        super().__init__(rows)
        self.features = features

    def __getitem__(self, name: Any) -> Any:
        return [row[name] for row in self]


def test_a_dataset_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = SimpleNamespace(int2str=["negative", "positive"].__getitem__)
    features = {"text": SimpleNamespace(), "sentiment": labels}
    splits = {"train": _Split([{"text": "a", "sentiment": 1}], features)}
    fake = SimpleNamespace(load_dataset=lambda name: {"owner/name": splits}[name])
    monkeypatch.setitem(sys.modules, "datasets", fake)
    dataset = load_dataset("hf:owner/name", TASKS)
    assert dataset.splits == ["train"]
    assert names(dataset, "sentiment") == [["positive"]]
    with pytest.raises(DataError, match="hf:other/name cannot be loaded"):
        load_dataset("hf:other/name", TASKS)


def test_the_hub_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"xmpress\[hub\]"):
        load_dataset("hf:owner/name", TASKS)


@pytest.fixture
def hotel(tmp_path: Path) -> Path:
    """A data config with tasks of its own."""
    tasks = write(
        tmp_path / "hotel.yaml",
        "tasks:\n"
        "  - {name: stay, kind: single_label, labels: [short, long]}\n"
        "  - {name: sentiment, kind: ordinal, labels: [bad, good]}\n",
    )
    write(tmp_path / "guests.csv", "text,stay,sentiment\nLovely,short,good\n")
    sources = f"root: {tmp_path}\nsources: {{guests: {{path: guests.csv}}}}\n"
    return write(tmp_path / "data.yaml", f"tasks: {tasks}\n{sources}")


def test_the_tasks_of_data_are_those_asked_for_or_its_own(hotel: Path, tmp_path: Path) -> None:
    own = TaskSet.load(tmp_path / "hotel.yaml")
    assert tasks_named_by(hotel) == str(tmp_path / "hotel.yaml")
    assert choose_tasks(hotel) == own
    assert load_dataset(hotel, choose_tasks(hotel)).labels["stay"].annotated.all()
    for without in ("sample", write(tmp_path / "a.yaml", "sources: {a: {path: a.csv}}")):
        assert choose_tasks(without) == TASKS
        assert choose_tasks(without, own) == own
    assert choose_tasks(hotel, str(tmp_path / "hotel.yaml")) == own
    assert choose_tasks(hotel, own.select(["stay"])) == own.select(["stay"])


def test_tasks_that_contradict_those_of_the_data_are_refused(hotel: Path) -> None:
    own = choose_tasks(hotel)
    with pytest.raises(ConfigError, match=r"data\.yaml.*\n  sentiment: is ordinal .*bad, good"):
        choose_tasks(hotel, "experience")
    with pytest.raises(ConfigError, match=r"has labels of stay, sentiment .* asked for are effort"):
        choose_tasks(hotel, TASKS.select(["effort"]))
    # Where labels have no order, none is contradicted.
    turned = own["stay"].model_copy(update={"labels": ("long", "short")})
    assert choose_tasks(hotel, TaskSet(tasks=(turned,))).names == ("stay",)
    turned = own["sentiment"].model_copy(update={"labels": ("good", "bad")})
    with pytest.raises(ConfigError, match="sentiment: is ordinal"):
        choose_tasks(hotel, TaskSet(tasks=(turned,)))
