import pytest

from xmpress.errors import EngineError
from xmpress.machine import Machine
from xmpress.runtime.engines import variants
from xmpress.runtime.engines.variants import choose_graph, saturates


def machine(*sets, architecture="x86_64"):
    return Machine("Test CPU", architecture, sets, 2, None, "Linux")


MACHINES = {
    "plain": machine("avx2", "avx512f"),
    "vnni": machine("avx2", "avx512_vnni"),
    "unknown": machine(architecture="AMD64"),
    "arm": machine("neon", architecture="aarch64"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "onnx").mkdir()
    return tmp_path / "onnx"


def on(name, monkeypatch):
    monkeypatch.setattr(variants, "this_machine", lambda: MACHINES[name])


@pytest.mark.parametrize(
    ("name", "expected"), [("plain", True), ("vnni", False), ("unknown", True), ("arm", False)]
)
def test_x86_without_vnni_saturates(name, expected):
    assert saturates(MACHINES[name]) is expected


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("plain", "model.onnx"), ("vnni", "model.vnni.onnx"), ("arm", "model.vnni.onnx")],
)
def test_the_processor_chooses(folder, monkeypatch, name, chosen):
    on(name, monkeypatch)
    for file in ("model.onnx", "model.vnni.onnx"):
        (folder / file).touch()
    assert choose_graph(folder, ".onnx").name == chosen


def test_one_that_would_be_wrong_is_refused_with_the_remedy(folder, monkeypatch):
    on("plain", monkeypatch)
    (folder / "model.vnni.onnx").touch()
    with pytest.raises(EngineError, match=r"Test CPU.*weight_bits: 7.*XMPRESS_VARIANT=vnni"):
        choose_graph(folder, ".onnx")
    monkeypatch.setenv("XMPRESS_VARIANT", "vnni")
    assert choose_graph(folder, ".onnx").name == "model.vnni.onnx"


def test_a_safe_graph_alone_is_opened_everywhere(folder, monkeypatch):
    (folder / "model.xml").touch()
    for name in MACHINES:
        on(name, monkeypatch)
        assert choose_graph(folder, ".xml").name == "model.xml"


def test_what_is_asked_for_and_missing_is_told(folder, monkeypatch):
    (folder / "model.onnx").touch()
    assert choose_graph(folder, ".onnx", "safe").name == "model.onnx"
    with pytest.raises(EngineError, match="no variant 'vnni'"):
        choose_graph(folder, ".onnx", "vnni")
    monkeypatch.setenv("XMPRESS_VARIANT", "fast")
    with pytest.raises(EngineError, match=r"there is no variant 'fast'.*XMPRESS_VARIANT"):
        choose_graph(folder, ".onnx")
