import pytest

from xmpress.errors import ConfigError, RecipeError
from xmpress.settings import merge, override, parse_override, parse_yaml, read_yaml


def test_merge_goes_down_mappings_and_replaces_the_rest():
    base = {"fit": {"steps": 1, "seed": 0}, "list": [1, 2], "kept": True}
    over = {"fit": {"steps": 5}, "list": [3]}
    assert merge(base, over) == {"fit": {"steps": 5, "seed": 0}, "list": [3], "kept": True}
    assert base["fit"]["steps"] == 1


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("a=1", ["a"], 1),
        ("a.b=[x, y]", ["a", "b"], ["x", "y"]),
        ("a=", ["a"], None),
        ("a=b=c", ["a"], "b=c"),
    ],
)
def test_overrides_are_keys_and_yaml(text, keys, value):
    assert parse_override(text) == (keys, value)


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", "a=[", "a={b"])
def test_an_override_of_another_form_is_an_error(text):
    with pytest.raises(ConfigError):
        parse_override(text)


def test_an_override_makes_what_is_missing():
    assert override({}, "a.b.c=1") == {"a": {"b": {"c": 1}}}


def test_a_key_written_twice_is_not_lost_in_silence():
    with pytest.raises(ConfigError, match="'a' is there twice"):
        parse_yaml("a: 1\nb: 2\na: 3\n", where="here")


def test_what_cannot_be_read_is_an_error_of_the_kind_asked_for(tmp_path):
    with pytest.raises(RecipeError, match=r"recipe .*none\.yaml cannot be read"):
        read_yaml(tmp_path / "none.yaml", what="recipe", error=RecipeError)
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="not a mapping"):
        read_yaml(tmp_path / "list.yaml")
