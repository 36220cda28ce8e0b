import pytest

from xmpress.errors import ExportError, ModelError, UsageError
from xmpress.export import export_bundle
from xmpress.modeling import load_model
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle


@pytest.fixture
def quick(monkeypatch, tiny_bundle):
    """Takes the graph that was exported already: these tests look at what surrounds it."""
    graph = (tiny_bundle / "onnx/model.onnx").read_bytes()

    def export(model, path, *, opset):
        path.write_bytes(graph)
        return ["input_ids", "attention_mask", "token_type_ids"]

    monkeypatch.setattr("xmpress.export.bundle.export_onnx", export)


def test_a_bundle_tells_where_it_comes_from(tiny_bundle):
    manifest = Bundle.open(tiny_bundle).manifest
    assert manifest.name == "tiny"
    assert manifest.opset == 20
    assert manifest.quantization is None
    assert manifest.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert manifest.checked_on["cpu"]
    differences = manifest.checked_on["largest_difference"]
    assert set(differences) == set(manifest.task_set.names)
    assert 0 < max(differences.values()) <= manifest.checked_on["tolerance"] == 1e-4
    assert manifest.provenance["encoder"] == "bert"
    assert len(manifest.provenance["weights_sha256"]) == 64
    assert "torch" in manifest.provenance["versions"]


def test_labels_and_calibration_are_carried(tiny_bundle, tiny_model_dir):
    bundle, model = Bundle.open(tiny_bundle).manifest, load_model(tiny_model_dir)
    assert bundle.task_set == model.tasks
    assert bundle.calibrations() == model.calibration
    assert bundle.calibration["sentiment"].temperature == 2.0
    assert bundle.calibration["emotion"].thresholds is not None


def test_what_is_said_about_it(quick, tiny_model_dir, tmp_path):
    (lock := tiny_model_dir / "recipe.lock.yaml").write_text("name: x\n")
    try:
        out = export_bundle(
            tiny_model_dir,
            tmp_path / "deep" / "bundle",
            name="mine",
            version="2026.1",
            scorecard={"average": 0.7},
            provenance={"recipe_hash": "abc"},
        )
    finally:
        lock.unlink()
    manifest = Bundle.open(out).manifest
    assert (manifest.name, manifest.version) == ("mine", "2026.1")
    assert manifest.scorecard == {"average": 0.7}
    assert manifest.provenance["recipe_hash"] == "abc"
    assert "recipe.lock.yaml" in manifest.files


def test_unknown_target(tiny_model_dir, tmp_path):
    with pytest.raises(UsageError, match="cannot export to 'tflite'; expected one of onnx"):
        export_bundle(tiny_model_dir, tmp_path / "bundle", to="tflite")


def test_several_engines(quick, tiny_model_dir, tmp_path):
    pytest.importorskip("openvino")
    engines = ["onnx", "openvino", "torch"]
    bundle = Bundle.open(export_bundle(tiny_model_dir, tmp_path / "bundle", to=engines))
    assert {name.split("/")[0] for name in bundle.manifest.files if "/" in name} == set(engines)
    assert 0 < max(bundle.manifest.checked_on["largest_difference"].values()) <= 1e-4
    analyses = [Analyzer(bundle, engine=e, threads=1).analyze("great staff")[0] for e in engines]
    assert len({str(analysis) for analysis in analyses}) == 1


def test_torch_alone_needs_no_graph(tiny_model_dir, tmp_path):
    bundle = Bundle.open(export_bundle(tiny_model_dir, tmp_path / "bundle", to="torch"))
    assert {name for name in bundle.manifest.files if "/" in name} == {
        "torch/config.json",
        "torch/model.safetensors",
        "torch/tokenizer.json",
    }
    assert bundle.manifest.checked_on["largest_difference"] == {}
    expected = load_model(tiny_model_dir).logits(["great", "trop d'attente"])
    found = Analyzer(bundle, threads=1).logits(["great", "trop d'attente"])
    for task in expected:
        assert abs(found[task] - expected[task]).max() < 1e-5


def test_an_existing_directory_is_kept_unless_told(quick, tiny_model_dir, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not empty"):
        export_bundle(tiny_model_dir, tmp_path / "bundle")
    assert (tmp_path / "bundle/notes.txt").read_text() == "mine"
    export_bundle(tiny_model_dir, tmp_path / "bundle", overwrite=True)
    assert not (tmp_path / "bundle/notes.txt").exists()


@pytest.mark.parametrize("where", [".", ".."])
def test_the_model_itself_is_never_replaced(quick, tiny_model_dir, where):
    with pytest.raises(UsageError, match="where the model itself is"):
        export_bundle(tiny_model_dir, tiny_model_dir / where, overwrite=True)
    assert (tiny_model_dir / "model.safetensors").is_file()


def test_an_incomplete_model_directory(tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(ModelError, match="not a complete model directory"):
        export_bundle(tmp_path / "half", tmp_path / "bundle")


def test_nothing_is_left_of_a_graph_that_computes_something_else(quick, tiny_model_dir, tmp_path):
    model = load_model(tiny_model_dir)
    model.model.heads["effort"].weight.data[0, 0] += 0.5
    with pytest.raises(ExportError, match=r"something else than the model: effort by [\d.e-]+ "):
        export_bundle(model, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
