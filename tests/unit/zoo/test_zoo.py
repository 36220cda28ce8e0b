import inspect
import shutil
from typing import get_type_hints

import pytest

import xmpress
from xmpress import zoo
from xmpress.errors import BundleError, ModelError
from xmpress.runtime.analyzer import Analyzer, AnalyzerOptions


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty zoo; the working directory is empty too."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "zoo"


def test_no_default_says_how_to_make_a_model(shelf):
    with pytest.raises(ModelError) as caught:
        xmpress.load()
    message = str(caught.value)
    assert "there is no model 'default'" in message
    assert "xmpress demo" in message
    assert "xmpress export" in message


def test_names_of_what_ships(shelf, tiny_bundle, tiny_model_dir):
    assert zoo.names() == []
    shutil.copytree(tiny_bundle, shelf / "default")
    shutil.copytree(tiny_model_dir, shelf / "small")
    (shelf / "__pycache__").mkdir()
    assert zoo.names() == ["default", "small"]
    assert zoo.resolve("small") == shelf / "small"
    assert xmpress.load(threads=1).bundle.path == shelf / "default"
    with pytest.raises(ModelError, match="the zoo has only default, small"):
        zoo.resolve("large")


def test_a_path(shelf, tiny_bundle):
    assert zoo.resolve(tiny_bundle) == tiny_bundle
    assert zoo.resolve(str(tiny_bundle)) == tiny_bundle
    assert xmpress.load(tiny_bundle, threads=1, cache=5).name == "tiny"


def test_the_options_are_those_of_the_analyzer():
    hints = get_type_hints(Analyzer.__init__)
    parameters = inspect.signature(Analyzer).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert get_type_hints(AnalyzerOptions) == {name: hints[name] for name in names}
    (options,) = inspect.get_annotations(zoo.load, eval_str=True)["options"].__args__
    assert options is AnalyzerOptions
    assert zoo.load.__doc__ is not None
    assert all(f"``{name}``" in zoo.load.__doc__ for name in names)


def test_a_folder_named_like_a_model_of_the_zoo(shelf, tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, shelf / "small")
    shutil.copytree(tiny_bundle, tmp_path / "work/small")
    assert zoo.resolve("small") == shelf / "small"
    assert zoo.resolve("./small").resolve() == tmp_path / "work/small"


def test_a_folder_named_default_is_not_taken_by_default(shelf, tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "work/default")
    with pytest.raises(ModelError, match="there is no model 'default'"):
        zoo.resolve()
    assert zoo.resolve("./default").is_dir()


def test_a_model_directory_cannot_be_loaded(shelf, tiny_model_dir):
    with pytest.raises(BundleError, match="xmpress export"):
        xmpress.load(tiny_model_dir)
