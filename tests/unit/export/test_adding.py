import shutil

import numpy as np
import onnx
import pytest

from xmpress.errors import BundleError, ExportError, UsageError
from xmpress.export import add_openvino
from xmpress.export.adding import INT8_TOLERANCE
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest

pytest.importorskip("openvino")
TEXTS = ["great staff", "trop d'attente au guichet", "最高の接客でした", "slow " * 80]


@pytest.fixture(scope="module")
def both(tiny_bundle, tmp_path_factory):
    return add_openvino(tiny_bundle, tmp_path_factory.mktemp("both") / "bundle")


def test_the_old_engine_stays_and_the_new_one_agrees(both, tiny_bundle):
    old, new = Bundle.open(tiny_bundle).manifest, Bundle.open(both).manifest
    assert set(new.files) - set(old.files) == {"openvino/model.xml", "openvino/model.bin"}
    assert (new.name, new.version, new.calibration) == (old.name, old.version, old.calibration)
    assert set(new.checked_on["openvino_difference"]) == set(old.task_set.names)
    expected = Analyzer(both, engine="onnx", threads=1).logits(TEXTS)
    found = Analyzer(both, engine="openvino", threads=1).logits(TEXTS)
    for task in expected:
        np.testing.assert_allclose(found[task], expected[task], atol=1e-3)


def test_again_replaces_it(both, tmp_path):
    again = Bundle.open(add_openvino(both, tmp_path / "again")).manifest
    assert set(again.files) == set(Bundle.open(both).manifest.files)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_int8_too(tiny_bundle, tmp_path, mode):
    from xmpress.compression.quantization.calibration import calibration_batches
    from xmpress.compression.quantization.dynamic import quantize_graph
    from xmpress.compression.quantization.static import calibrate_graph, quantize_static

    bundle = Bundle.open(tiny_bundle)
    int8 = shutil.copytree(tiny_bundle, tmp_path / "int8")
    model = onnx.load(int8 / "onnx/model.onnx")
    if mode == "dynamic":
        quantize_graph(model)
    else:
        batches = calibration_batches(bundle, TEXTS, [None] * 4)
        calibrated = calibrate_graph(model, batches, method="minmax", smoothing=None)
        model, _ = quantize_static(calibrated)
    onnx.save(model, int8 / "onnx/model.onnx")
    write_manifest(int8, bundle.manifest.model_copy(update={"quantization": {"mode": mode}}))
    both = add_openvino(int8, tmp_path / "both")
    expected = Analyzer(both, engine="onnx", threads=1).logits(TEXTS)
    found = Analyzer(both, engine="openvino", threads=1).logits(TEXTS)
    assert max(abs(found[t] - expected[t]).max() for t in expected) < INT8_TOLERANCE


def test_another_model_is_refused(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("xmpress.export.adding.TOLERANCE", 0.0)
    with pytest.raises(ExportError, match="something else than ONNX Runtime's: sentiment by"):
        add_openvino(tiny_bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_used(tiny_bundle, tiny_model_dir, tmp_path):
    with pytest.raises(BundleError, match="is a model directory"):
        add_openvino(tiny_model_dir, tmp_path / "out")
    with pytest.raises(UsageError, match="where the old one is"):
        add_openvino(tiny_bundle, tiny_bundle, overwrite=True)
    without = shutil.copytree(tiny_bundle, tmp_path / "without")
    shutil.rmtree(without / "onnx")
    write_manifest(without, Bundle.open(tiny_bundle).manifest)
    with pytest.raises(UsageError, match="has no ONNX graph"):
        add_openvino(without, tmp_path / "out")
