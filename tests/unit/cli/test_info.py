import json
import shutil

import pytest
from safetensors.numpy import load_file

from xmpress.cli.info import describe


def test_bundle(run, tiny_bundle):
    outcome = run("info", tiny_bundle)
    assert outcome.code == 0
    for part in ("bundle", "tiny, version 7", "onnx", "en, fr, ja", "64 tokens", "none (fp32)"):
        assert part in outcome.out
    assert "multi-label: anger, frustration" in outcome.out
    assert "thresholds 0.30 0.40" in outcome.out
    report = run("info", tiny_bundle, "--json").json
    assert report["kind"] == "bundle"
    assert report["engines"] == ["onnx"]
    assert report["tasks"][0]["name"] == "sentiment"
    assert report["bytes"] == sum(f.stat().st_size for f in tiny_bundle.rglob("*") if f.is_file())


def test_bundle_with_a_first_stage(run, cascade_bundle):
    path = cascade_bundle(0.75)
    outcome = run("info", path)
    assert "first stage" in outcome.out
    assert "certainty (sentiment 0.75" in outcome.out
    report = run("info", path, "--json").json
    assert report["engines"] == ["onnx"]
    assert report["cascade"]["temperature"]["effort"] == 0.5


def test_model_directory(run, tiny_model_dir):
    report = run("info", tiny_model_dir, "--json").json
    weights = load_file(tiny_model_dir / "model.safetensors")
    assert report["kind"] == "model directory"
    assert report["parameters"] == sum(tensor.size for tensor in weights.values())
    assert report["encoder"]["num_hidden_layers"] == 2
    assert report["calibration"]["sentiment"]["temperature"] == 2.0
    assert report["scorecard"] is None
    shown = run("info", tiny_model_dir).out
    assert f"{report['parameters']:,}" in shown


def test_quality_and_origin_of_a_trained_model(tiny_model_dir, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    card = {"tasks": {"sentiment": 0.5}, "average": 0.5}
    (model / "training.json").write_text(json.dumps({"history": [], "validation": card}))
    (model / "recipe.lock.yaml").write_text("hash: abc\nseeds: [3]\n")
    report = describe(model)
    assert report["scorecard"] == {"split": "validation", "sentiment": 0.5, "average": 0.5}
    assert report["provenance"] == {"hash": "abc", "seeds": [3]}


@pytest.mark.parametrize(
    ("name", "message"),
    [("model.safetensors", "model.safetensors is missing or damaged"), ("config.json", "neither")],
)
def test_incomplete_model_directory(fails, tiny_model_dir, tmp_path, name, message):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    (model / name).unlink()
    assert message in fails("info", model).err


def test_half_downloaded_weights(fails, tiny_model_dir, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "missing or damaged" in fails("info", model).err


def test_an_encoder_without_heads(fails, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "holds a 'bert' encoder without task heads" in fails("info", tmp_path).err


def test_no_model(fails):
    assert "there is no model 'nonsense'" in fails("info", "nonsense").err
