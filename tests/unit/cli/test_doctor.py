import tomllib
from pathlib import Path

import pytest

import xmpress
from xmpress import zoo
from xmpress.cli import extras
from xmpress.errors import MissingExtraError

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_report(run):
    report = run("doctor", "--json").json
    assert report["xmpress"] == xmpress.__version__
    assert report["machine"]["threads"] >= 1
    assert set(report["engines"]) == {"onnx", "openvino", "torch"}
    assert report["engines"]["onnx"]
    assert None not in report["base"].values()
    assert len(report["base"]) == len(PROJECT["dependencies"])


def test_shown(run):
    outcome = run("doctor")
    assert outcome.code == 0
    for part in ("xmpress", "python", "processor", "int8", "[train]", "engines", "zoo"):
        assert part in outcome.out


def test_the_engines_of_a_bundle_are_measured(run, tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("XMPRESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("xmpress.runtime.engines.selection.SECONDS", 0.01)
    speed = run("doctor", "-m", tiny_bundle, "--threads", 1, "--json").json["speed"]
    assert speed["taken"] == "onnx"
    assert speed["texts_per_second"]["onnx"] > 0
    shown = run("doctor", "-m", tiny_bundle, "--threads", 1).out
    assert "texts/s" in shown
    assert "taken" in shown


def test_what_is_missing_and_how_to_get_it(run, monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "ZOO", tmp_path)
    monkeypatch.setattr(
        extras,
        "extras",
        lambda: {"train": {"torch": None, "onnx": "1.2"}, "hub": {"datasets": "4"}},
    )
    advice = run("doctor", "--json").json["advice"]
    assert any("pip install 'xmpress[train]'" in a and "missing: torch" in a for a in advice)
    assert not any("xmpress[hub]" in a for a in advice)
    assert any("xmpress demo" in a for a in advice)


def test_extras_are_those_of_the_package():
    declared = set(PROJECT["optional-dependencies"]) - extras.NOT_FOR_USERS
    assert set(extras.extras()) == declared


def test_purposes_of_all_extras_are_known():
    from xmpress.cli.doctor import _PURPOSE

    assert set(_PURPOSE) == set(PROJECT["optional-dependencies"]) - extras.NOT_FOR_USERS


def test_need(monkeypatch):
    extras.need("train", "this")
    monkeypatch.setattr(extras, "extras", lambda: {"train": {"torch": None}})
    with pytest.raises(MissingExtraError, match=r"this needs the extra 'train'"):
        extras.need("train", "this")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "x.csv", "--encoder", "y", "-o", "z"),
        ("compress", "int8-only", "-o", "z"),
        ("export", "x", "-o", "z"),
        ("recipe", "validate", "int8-only"),
        ("demo",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_base_install_names_the_extra(fails, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extras, "extras", lambda: {"train": {"torch": None}})
    assert "pip install 'xmpress[train]'" in fails(*arguments).err
    assert list(tmp_path.iterdir()) == []
