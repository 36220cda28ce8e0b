"""Every way to run the tiny model answers, counts the same tokens and tells its work."""

import numpy as np
import pytest
from safetensors.torch import load_file

from xmpress.benchmark.candidates import PEERS, open_runner
from xmpress.errors import ModelError, UsageError
from xmpress.modeling import load_model, save_model
from xmpress.peers.collect import Wishes, collect
from xmpress.peers.runners import TorchRunner
from xmpress.peers.stock import write_stock_classifier

TEXTS = ["the service was great", "waiting far too long, nobody answered", "最高の接客でした"]
WORK = 2.0 * 2 * (4 * 32**2 + 2 * 32 * 64)


@pytest.mark.parametrize("peer", [name for name in PEERS if PEERS[name].serves == "model"])
def test_peers_of_a_model_directory(peer, tiny_model_dir, tmp_path):
    if not PEERS[peer].installed:
        pytest.skip(f"{peer} is not installed")
    found = collect(Wishes([str(tiny_model_dir)], peers=[peer]), tmp_path)
    assert found.failures == []
    runner = open_runner(found.candidates[-1], threads=1)
    runner.run(TEXTS)
    runner.run(TEXTS[:1])
    expected = load_model(tiny_model_dir).tokenizer.encode(TEXTS).lengths
    np.testing.assert_array_equal(runner.lengths(TEXTS), expected)
    assert runner.work() in {None, WORK}


@pytest.mark.parametrize("peer", [name for name in PEERS if PEERS[name].serves == "bundle"])
def test_peers_of_a_bundle(peer, tiny_bundle, tmp_path):
    if not PEERS[peer].installed:
        pytest.skip(f"{peer} is not installed")
    found = collect(Wishes([str(tiny_bundle)], peers=[peer]), tmp_path)
    ours, bare = (open_runner(candidate, threads=1) for candidate in found.candidates)
    for runner in (ours, bare):
        runner.run(TEXTS)
        assert runner.work() == WORK
        assert runner.precision == "fp32"
    np.testing.assert_array_equal(bare.lengths(TEXTS), ours.lengths(TEXTS))


def test_the_stock_classifier_has_the_encoder_and_all_labels(tiny_model_dir, tmp_path):
    stock = load_file(write_stock_classifier(tiny_model_dir, tmp_path / "s") / "model.safetensors")
    ours = load_file(tiny_model_dir / "model.safetensors")
    shared = [name for name in ours if name.startswith("encoder.")]
    assert shared
    for name in shared:
        assert (stock["bert." + name.removeprefix("encoder.")] == ours[name]).all()
    labels = sum(len(task) for task in load_model(tiny_model_dir).tasks)
    assert stock["classifier.weight"].shape[0] == labels


def test_shapes_that_stock_does_not_know(tiny_model_dir, tmp_path):
    loaded = load_model(tiny_model_dir)
    loaded.model.config.encoder_config.pruned_shapes = {
        "head_size": 8,
        "heads": [4, 4],
        "ffn": [64, 64],
    }
    path = save_model(tmp_path / "pruned", loaded.model, tiny_model_dir)
    with pytest.raises(ModelError, match="pruned_shapes"):
        write_stock_classifier(path, tmp_path / "stock")
    # A peer that cannot serve it is reported, the others are measured.
    found = collect(Wishes([str(path)], peers=["transformers"]), tmp_path / "w")
    assert [c.name for c in found.candidates] == ["pruned, torch fp32"]
    assert "pruned_shapes" in found.failures[0].reason


def test_precisions_and_devices(tiny_model_dir):
    runner = TorchRunner(tiny_model_dir, 1, precision="bf16", device="auto")
    runner.run(TEXTS)
    assert runner.precision == "bf16"
    assert runner.work() == WORK


def test_a_gpu_that_is_not_there(tiny_model_dir, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        TorchRunner(tiny_model_dir, 1, device="cuda")
