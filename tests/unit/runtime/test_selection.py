import json
import time

import pytest

from xmpress.errors import EngineError
from xmpress.runtime.engines import open_engine, selection
from xmpress.runtime.engines.selection import cache_folder, fastest, measure_engines


class Paced:
    """An engine that takes its time."""

    outputs = ()

    def __init__(self, seconds):
        self.seconds, self.runs = seconds, 0

    def run(self, inputs):
        self.runs += 1
        time.sleep(self.seconds)
        return {}


@pytest.fixture
def engines(monkeypatch, tmp_path):
    """Two engines of known speed in place of the real ones."""
    monkeypatch.setenv("XMPRESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(selection, "SECONDS", 0.05)
    known = {"onnx": Paced(0.004), "openvino": Paced(0.001)}

    def opened(bundle, name, **options):
        if isinstance(known[name], Exception):
            raise known[name]
        return known[name]

    monkeypatch.setattr(selection, "open_named", opened)
    monkeypatch.setattr(selection, "version", lambda package: "1")
    return known


def choose(bundle, threads=1):
    return fastest(bundle, ["onnx", "openvino"], threads=threads, streams=1, variant=None)


def test_the_fastest_is_taken_and_remembered(engines, tiny_bundle):
    assert choose(tiny_bundle) == "openvino"
    runs = engines["onnx"].runs
    engines["openvino"].seconds = 1.0
    assert choose(tiny_bundle) == "openvino"
    assert engines["onnx"].runs == runs


def test_other_settings_and_versions_are_measured_again(engines, tiny_bundle, monkeypatch):
    choose(tiny_bundle)
    runs = engines["onnx"].runs
    choose(tiny_bundle, threads=2)
    assert engines["onnx"].runs > runs
    runs = engines["onnx"].runs
    monkeypatch.setattr(selection, "version", lambda package: "2")
    choose(tiny_bundle)
    assert engines["onnx"].runs > runs


def test_measured_anew_when_asked(engines, tiny_bundle):
    options = {"threads": 1, "streams": 1}
    first = measure_engines(tiny_bundle, ["onnx", "openvino"], **options)
    assert not first.remembered
    assert measure_engines(tiny_bundle, ["onnx", "openvino"], **options).remembered
    assert not measure_engines(tiny_bundle, ["onnx", "openvino"], **options, anew=True).remembered


def test_one_that_fails_is_not_taken(engines, tiny_bundle):
    engines["openvino"] = EngineError("not on this processor")
    found = measure_engines(tiny_bundle, ["onnx", "openvino"], threads=1)
    assert found.fastest == "onnx"
    assert found.failed == {"openvino": "not on this processor"}


def test_if_all_fail_the_first_is_left_to_say_why(engines, tiny_bundle):
    engines["onnx"] = engines["openvino"] = EngineError("no")
    assert choose(tiny_bundle) == "onnx"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seconds": 3}'])
def test_a_damaged_note_is_measured_again(engines, tiny_bundle, content):
    choose(tiny_bundle)
    (note,) = (cache_folder() / "engines").iterdir()
    assert json.loads(note.read_text())["seconds"]
    note.write_text(content)
    assert choose(tiny_bundle) == "openvino"


def test_without_a_folder_to_write_to(engines, tiny_bundle, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XMPRESS_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert choose(tiny_bundle) == "openvino"


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "xmpress"),
        ("win32", "LOCALAPPDATA", "xmpress"),
    ],
)
def test_where_caches_are(monkeypatch, tmp_path, system, variable, expected):
    monkeypatch.delenv("XMPRESS_CACHE_DIR", raising=False)
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / expected


def test_the_real_ones(bundle_of_all_engines, monkeypatch, tmp_path):
    monkeypatch.setenv("XMPRESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(selection, "SECONDS", 0.01)
    engine = open_engine(bundle_of_all_engines, threads=1)
    (note,) = (tmp_path / "engines").iterdir()
    seconds = json.loads(note.read_text())["seconds"]
    assert engine.name == min(seconds, key=seconds.get)
    assert {"onnx", "torch"} <= set(seconds)
