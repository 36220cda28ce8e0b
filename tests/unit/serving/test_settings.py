import pytest

from xmpress.errors import ModelError, UsageError
from xmpress.serving.models import check_distinct, names_of
from xmpress.serving.settings import ModelSpec, ServeSettings


def test_a_bundle_alone(tiny_bundle):
    assert ModelSpec.parse(str(tiny_bundle)) == ModelSpec(tiny_bundle)


def test_signs_in_a_folder_name_are_its_own(tmp_path):
    folder = tmp_path / "a=b@c"
    folder.mkdir()
    assert ModelSpec.parse(str(folder)) == ModelSpec(folder)
    assert ModelSpec.parse(f"{folder}@2") == ModelSpec(folder, None, "2")


@pytest.mark.parametrize("name", ["a/b", "..", "", "a b"])
def test_names_that_cannot_stand_in_an_address(name, tmp_path):
    with pytest.raises(UsageError, match="the name"):
        ModelSpec.parse(f"{name}={tmp_path}")


def test_what_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="there is no model"):
        ModelSpec.parse(f"a={tmp_path}/none@2")


def test_names_come_from_the_bundle_unless_given(tiny_bundle):
    from xmpress.runtime.bundle import Bundle

    bundle = Bundle.open(tiny_bundle)
    assert names_of(ModelSpec(tiny_bundle), bundle) == ("tiny", "7")
    assert names_of(ModelSpec(tiny_bundle, "a", "b"), bundle) == ("a", "b")


def test_the_same_name_and_version_twice():
    check_distinct([("a", "1"), ("a", "2"), ("b", "1")])
    with pytest.raises(UsageError, match="'a' version '1' is there twice"):
        check_distinct([("a", "1"), ("a", "1")])


def test_threads_are_divided_among_workers():
    assert ServeSettings(workers=4, threads=10).threads_each == 2
    assert ServeSettings(workers=4, threads=2).threads_each == 1
