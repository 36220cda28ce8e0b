import pytest

from xmpress.errors import UsageError
from xmpress.serving.keys import Keys


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def test_without_keys_everybody_is_let_in():
    assert not Keys().required
    assert Keys().admit({})


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer two"}, {"authorization": "bearer  two "}, {"x-api-key": "two"}],
)
def test_any_of_several_keys(headers):
    assert Keys(["one", "two"]).admit(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {}, bearer(""), bearer("three"), bearer("on"), {"authorization": "two"},
        {"authorization": "Basic two"}, {"x-api-key": ""}, {"x-api-key": "é\udcff"},
        {"authorization": "Bearer"},
    ],
)  # fmt: skip
def test_everybody_else_is_not(headers):
    assert not Keys(["one", "two"]).admit(headers)


def test_a_file_is_read_again_when_it_changes(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# for the dashboard\nold\n\n")
    keys = Keys(["fixed"], file)
    assert keys.admit(bearer("old"))
    assert not keys.admit(bearer("# for the dashboard"))
    (tmp_path / "next").write_text("new\n")
    (tmp_path / "next").replace(file)
    assert keys.admit(bearer("new"))
    assert keys.admit(bearer("fixed"))
    assert not keys.admit(bearer("old"))


def test_an_empty_file_lets_nobody_in(tmp_path):
    file = tmp_path / "keys"
    file.write_text("")
    keys = Keys((), file)
    assert keys.required
    assert not keys.admit({})
    assert not keys.admit(bearer(""))


def test_a_file_that_is_gone_keeps_its_last_keys(tmp_path):
    file = tmp_path / "keys"
    file.write_text("old")
    keys = Keys((), file)
    file.unlink()
    assert keys.admit(bearer("old"))
    assert not keys.admit(bearer("new"))
    file.write_text("new")
    assert keys.admit(bearer("new"))


def test_a_missing_file_is_an_error_at_the_start(tmp_path):
    with pytest.raises(UsageError, match="key file"):
        Keys((), tmp_path / "none")
