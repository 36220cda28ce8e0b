import shutil
from pathlib import Path

import pytest

from xmpress.benchmark.candidates import PEERS, Peer
from xmpress.errors import UsageError
from xmpress.peers import baselines
from xmpress.peers.collect import Wishes, collect

TINY = {
    "tiny-roberta": {
        "model_type": "xlm-roberta",
        "vocab_size": 1000,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 80,
        "type_vocab_size": 1,
    }
}


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    monkeypatch.setattr(baselines, "_table", lambda: TINY)


def test_the_published_sizes():
    from xmpress.settings import read_yaml

    table = read_yaml(Path(baselines.__file__).parents[1] / "benchmark" / "baselines.yaml")
    assert set(table) == {
        "xlm-roberta-base",
        "bert-base-multilingual-cased",
        "distilbert-base-multilingual-cased",
        "microsoft/Multilingual-MiniLM-L12-H384",
        "minilm-l6-h384",
    }
    assert (table["xlm-roberta-base"]["vocab_size"]) == 250_002


def test_a_bundle_and_its_peers(tiny_bundle, tmp_path):
    found = collect(Wishes([str(tiny_bundle)], peers=["onnxruntime", "transformers"]), tmp_path)
    assert [c.name for c in found.candidates] == ["tiny", "tiny in onnxruntime"]
    assert found.candidates[1].group == "peer"
    assert found.candidates[1].serves == "tiny"
    (failure,) = found.failures
    assert failure.name == "transformers"
    assert "model directory" in failure.reason
    assert found.subject.max_length == 64
    assert found.subject.languages == ("en", "fr", "ja")


def test_engines_are_candidates_of_their_own(tiny_bundle, tmp_path):
    found = collect(Wishes([str(tiny_bundle)], engines=["auto", "onnx"]), tmp_path)
    assert [c.name for c in found.candidates] == ["tiny, auto", "tiny, onnx"]


def test_a_missing_peer_is_named_with_its_remedy(tiny_bundle, tmp_path, monkeypatch):
    missing = Peer("infinity", "model", "no_such_module.inside", "pip install it", {}, "a peer")
    monkeypatch.setitem(PEERS, "infinity", missing)
    found = collect(Wishes([str(tiny_bundle)], peers=["infinity"]), tmp_path)
    (failure,) = found.failures
    assert (failure.name, failure.reason) == ("infinity", "not installed; pip install it")


def test_baselines_have_random_weights_and_say_so(tiny_bundle, tmp_path):
    found = collect(Wishes([str(tiny_bundle)], baselines=["tiny-roberta"]), tmp_path)
    assert [(c.name, c.kind, c.group) for c in found.candidates] == [
        ("tiny-roberta, pipeline", "transformers", "baseline"),
        ("tiny-roberta, torch fp32", "torch", "baseline"),
        ("tiny", "bundle", "model"),
    ]
    notes = " ".join(found.candidates[0].notes)
    assert "random weights; speed does not depend on the values" in notes
    assert "stands in for its own" in notes


def test_a_baseline_without_a_tokenizer(tmp_path):
    with pytest.raises(UsageError, match="--tokenizer"):
        collect(Wishes([], baselines=["tiny-roberta"]), tmp_path)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"models": []}, "name a model"),
        ({"peers": ["optimun"]}, "did you mean 'optimum'"),
        ({"baselines": ["tiny-robert"]}, "did you mean 'tiny-roberta'"),
    ],
)
def test_names_that_are_none(wishes, message, tiny_bundle, tmp_path):
    with pytest.raises(UsageError, match=message):
        collect(Wishes(**{"models": [str(tiny_bundle)], **wishes}), tmp_path)


def test_models_of_one_name_are_told_apart(tiny_bundle, tmp_path):
    paths = [tmp_path / "a" / "bundle", tmp_path / "b" / "bundle"]
    for path in paths:
        shutil.copytree(tiny_bundle, path)
    found = collect(Wishes(list(map(str, paths))), tmp_path / "w")
    assert [c.name for c in found.candidates] == ["a/bundle", "b/bundle"]
