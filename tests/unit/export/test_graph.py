import warnings

import onnx
import pytest
import torch

from xmpress.errors import DataError, ExportError
from xmpress.export import export_onnx
from xmpress.modeling import load_model


@pytest.fixture
def fails(monkeypatch):
    """Torch's exporter, failing."""

    def set_error(error):
        def export(*args, **kwargs):
            warnings.warn("said while exporting", UserWarning, stacklevel=1)
            if error is not None:
                raise error

        monkeypatch.setattr(torch.onnx, "export", export)

    return set_error


@pytest.mark.parametrize("error", [RuntimeError("no such operator\nlong trace"), ValueError()])
def test_what_torch_cannot_export_is_our_error(fails, tiny_model_dir, tmp_path, error):
    fails(error)
    with pytest.raises(ExportError, match=r"torch could not export .*\(bert\) to ONNX: \w+") as e:
        export_onnx(tiny_model_dir, tmp_path / "model.onnx")
    assert "long trace" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_no_program(fails, tiny_model_dir, tmp_path):
    fails(None)
    with pytest.raises(ExportError, match="returned no ONNX program"):
        export_onnx(tiny_model_dir, tmp_path / "model.onnx")


def test_a_large_model_has_its_weights_beside(tiny_model_dir, tmp_path, monkeypatch):
    from xmpress.runtime.engines import open_engine

    monkeypatch.setattr("xmpress.export.graph.LARGEST_FILE", 1000)
    (tmp_path / "onnx").mkdir()
    export_onnx(load_model(tiny_model_dir), tmp_path / "onnx/model.onnx")
    assert {f.name for f in (tmp_path / "onnx").iterdir()} == {"model.onnx", "model.onnx.data"}
    assert open_engine(tmp_path).outputs == load_model(tiny_model_dir).tasks.names


def test_a_folder_that_is_not_there(tiny_model_dir, tmp_path, monkeypatch):
    class Program:
        model_proto = onnx.ModelProto()

    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: Program())
    with pytest.raises(DataError, match="does not exist"):
        export_onnx(tiny_model_dir, tmp_path / "none/model.onnx")


def test_weights_are_named_and_nothing_of_this_machine_is_noted(tiny_bundle):
    file = tiny_bundle / "onnx/model.onnx"
    graph = onnx.load(file).graph
    names = {tensor.name for tensor in graph.initializer}
    assert "encoder.encoder.layer.1.attention.self.query.weight.T" in names
    assert not any(node.metadata_props for node in graph.node)
    assert b"site-packages" not in file.read_bytes()
    assert sum(len(t.raw_data) for t in graph.initializer) > 0.8 * file.stat().st_size
    assert "Gelu" in {node.op_type for node in graph.node}
