from pathlib import Path

import pytest

from xmpress.data.config import DataConfig
from xmpress.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]


def load(tmp_path: Path, text: str, name: str = "data.yaml") -> DataConfig:
    (tmp_path / name).write_text(text)
    return DataConfig.load(tmp_path / name)


def test_defaults_are_merged_key_by_key(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        defaults:
          path: "{name}.csv"
          columns: {text: body}
          tasks:
            emotion: {map: {fear: worry}, scope: {column: scope}}
            sentiment: {column: stars}
        sources:
          a:
          b:
            columns: {lang: language}
            tasks: {emotion: {map: {happy: joy}, scope: null}, sentiment: null}
        """,
    )
    a, b = config.selected()
    assert (a.name, b.name) == ("a", "b")
    assert a.columns.text == b.columns.text == "body"
    assert b.columns.lang == "language"
    assert a.tasks["sentiment"] is not None and a.tasks["sentiment"].column == ["stars"]
    assert b.tasks["sentiment"] is None
    emotion = b.tasks["emotion"]
    assert emotion is not None and emotion.map == {"fear": "worry", "happy": "joy"}
    assert emotion.scope is None


def test_sources_can_be_chosen(tmp_path: Path) -> None:
    sources = "sources: {a: {path: a}, b: {path: b}, c: {path: c}}\n"
    assert [s.name for s in load(tmp_path, sources + "include: [c, a]").selected()] == ["a", "c"]
    assert [s.name for s in load(tmp_path, sources + "exclude: [b]").selected()] == ["a", "c"]
    with pytest.raises(ConfigError, match="no source is left"):
        load(tmp_path, sources + "include: []")


def test_a_config_may_extend_another(tmp_path: Path) -> None:
    load(tmp_path, "root: /data\nsources: {a: {path: a}, b: {path: b, weight: 2}}", "base.yaml")
    config = load(tmp_path, "extends: base.yaml\nexclude: [a]\nsources: {b: {lang: fr}}")
    (source,) = config.selected()
    assert (source.path, source.weight, source.lang) == ("b", 2, "fr")
    assert config.folder() == Path("/data")
    (tmp_path / "base.yaml").write_text("extends: data.yaml\nsources: {}")
    with pytest.raises(ConfigError, match="extends itself"):
        DataConfig.load(tmp_path / "data.yaml")


def test_the_root_may_name_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMPRESS_DATA", raising=False)
    config = load(tmp_path, "root: ${XMPRESS_DATA:-../data}/x\nsources: {a: {path: a}}")
    assert config.folder() == Path("../data/x")
    monkeypatch.setenv("XMPRESS_DATA", "/mnt")
    assert config.folder() == Path("/mnt/x")
    monkeypatch.delenv("XMPRESS_DATA")
    with pytest.raises(ConfigError, match="needs the environment variable XMPRESS_DATA"):
        _ = load(tmp_path, "root: ${XMPRESS_DATA}\nsources: {a: {path: a}}").folder()


def test_every_problem_is_listed_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """
            tasks: experience
            include: [aa, b]
            sources:
              a:
              b:
                tasks:
                  sentimant: {}
                  sentiment: {map: {1: negativ}, scope: [negative|bad]}
                  emotion: {map: {fear: ~worri, sad: [sadness, zzz]}}
                  effort: {scope: {column: s, choices: {3: [hard|eassy]}}}
            """,
        )
    assert [(p.where, p.what.split(" (")[0]) for p in caught.value.problems] == [
        ("include", "there is no source 'aa'; did you mean 'a'?"),
        ("sources.b", "has no path; give one here or in defaults"),
        ("sources.b.tasks.sentimant", "there is no such task; did you mean 'sentiment'?"),
        (
            "sources.b.tasks.sentiment.map.1",
            "'negativ' is not a label; did you mean 'negative'?",
        ),
        ("sources.b.tasks.sentiment.scope", "'bad' is not a label"),
        ("sources.b.tasks.emotion.map.fear", "'worri' is not a label; did you mean 'worry'?"),
        ("sources.b.tasks.emotion.map.sad", "'zzz' is not a label"),
        (
            "sources.b.tasks.effort.scope.choices.3",
            "'eassy' is not a label; did you mean 'easy'?",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: {a: {pth: a}}", r"sources\.a\.pth: unknown key; did you mean 'path'"),
        ("sources: {a: {path: a, weight: 0}}", r"sources\.a\.weight"),
        ("sources: {a: {path: a, validation: 1}}", r"sources\.a\.validation"),
        ("sources: {a: {path: a}, a: {path: b}}", "key 'a' is there twice"),
        ("sources: [", "not valid YAML"),
        ("just text", "is not a mapping"),
        ("root: x", "sources"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_missing_config_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        DataConfig.load(tmp_path / "no.yaml")


@pytest.mark.parametrize(("name", "sources"), [("public", 39), ("permissive", 14), ("zoo", 16)])
def test_the_configs_of_the_studies_are_valid(name: str, sources: int) -> None:
    selected = DataConfig.load(REPOSITORY / "studies" / "data" / f"{name}.yaml").selected()
    assert len(selected) == sources
    assert all(source.license for source in selected)
    gold = {s.name: s for s in selected}["gold"]
    assert gold.validation == 0.1
    assert all(
        spec is not None and spec.scope is None
        for spec in (gold.tasks["sentiment"], gold.tasks["emotion"])
    )
