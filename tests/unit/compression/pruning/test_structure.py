"""What is removed computes as little as what is masked."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from xmpress.compression.pruning.movement import masked
from xmpress.compression.pruning.prune import prune, sizes
from xmpress.compression.pruning.structure import units
from xmpress.errors import ModelError
from xmpress.modeling import load_model, save_model
from xmpress.modeling.shapes import layer_parts, layer_stack

KINDS = ("bert", "xlm-roberta", "distilbert")
IDS = torch.arange(24).reshape(2, 12) + 4
MASK = torch.ones_like(IDS)
MASK[1, 7:] = 0


def outputs(model):
    with torch.inference_mode():
        found = model.eval()(IDS, MASK)
    return torch.cat([found.pooled, *found.logits.values()], dim=1)


def random_scores(model, kinds):
    torch.manual_seed(3)
    return {
        kind: [torch.rand(len(layer_stack(model.encoder)))]
        if kind == "layers"
        else [torch.rand(len(group)) for group in units(model, kind)]
        for kind in kinds
    }


def mask_of(scores, number, multiple):
    """Ones for the units that `choose` keeps, by its rule told otherwise."""
    counts = [multiple] * len(scores)
    ranked = [group.sort(descending=True).values for group in scores]
    while sum(counts) < number:
        best = max(range(len(scores)), key=lambda g: [*ranked[g].tolist(), -1.0][counts[g]])
        counts[best] += 1
    masks = []
    for group, values, count in zip(scores, ranked, counts, strict=True):
        kept = min(len(group), multiple * round(count / multiple))
        masks.append((group >= values[kept - 1]).float())
    return masks


@pytest.mark.parametrize("kind", KINDS)
def test_without_heads_and_units_the_output_is_that_of_the_masked_model(make, kind):
    model = make(kind).model
    scores = random_scores(model, ["heads", "ffn"])
    masks = {"heads": mask_of(scores["heads"], 6, 1), "ffn": mask_of(scores["ffn"], 72, 8)}
    before = outputs(model)
    with masked(model, masks):
        expected = outputs(model)
    assert (before - expected).abs().max() > 0.1
    prune(model, scores, {"heads": 6, "ffn": 72})
    torch.testing.assert_close(outputs(model), expected, atol=1e-5, rtol=1e-5)
    found = sizes(model)
    assert found["heads"] == [int(m.sum()) for m in masks["heads"]]
    assert found["ffn"] == [int(m.sum()) for m in masks["ffn"]]
    assert len(set(found["heads"])) > 1, "the layers should differ in size"


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_gone_passes_on_what_it_got(make, kind):
    model = make(kind).model
    scores = {"layers": [torch.tensor([2.0, 1.0, 3.0])]}

    def pass_on(module, inputs, keywords, output):
        given = inputs[0] if inputs else keywords["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    handle = layer_stack(model.encoder)[1].register_forward_hook(pass_on, with_kwargs=True)
    expected = outputs(model)
    handle.remove()
    prune(model, scores, {"layers": 2})
    torch.testing.assert_close(outputs(model), expected)
    assert model.config.encoder_config.num_hidden_layers == 2


@contextlib.contextmanager
def hidden_masked(model, kept):
    """Zeros in the other hidden dimensions, which norms leave out (CoFi; Xia et al., 2022)."""
    mask = torch.zeros(32)
    mask[kept] = 1.0

    def normalise(module, inputs, output):
        values = inputs[0][..., kept]
        normal = nn.functional.layer_norm(
            values, (len(kept),), module.weight[kept], module.bias[kept], module.eps
        )
        full = torch.zeros_like(inputs[0])
        full[..., kept] = normal
        return full

    with contextlib.ExitStack() as stack:
        for module in model.encoder.modules():
            if isinstance(module, nn.LayerNorm):
                stack.callback(module.register_forward_hook(normalise).remove)
            elif isinstance(module, nn.Embedding):
                hook = module.register_forward_hook(lambda m, i, output: output * mask)
                stack.callback(hook.remove)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_without_hidden_dimensions_the_output_is_that_of_the_masked_model(make, kind):
    model = make(kind).model
    (scores,) = random_scores(model, ["hidden"])["hidden"]
    kept = scores.topk(24).indices.sort().values
    with hidden_masked(model, kept):
        expected = outputs(model)
    expected = torch.cat([expected[:, kept], expected[:, 32:]], dim=1)
    prune(model, {"hidden": [scores]}, {"hidden": 24})
    torch.testing.assert_close(outputs(model), expected, atol=1e-5, rtol=1e-5)


WANTED = {"layers": 2, "heads": 5, "ffn": 56, "hidden": 16}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_model_is_saved_and_loaded(make, kind, tmp_path):
    loaded = make(kind)
    before = sizes(loaded.model)
    prune(loaded.model, random_scores(loaded.model, WANTED), WANTED)
    save_model(tmp_path / "out", loaded.model, loaded.path)
    again = load_model(tmp_path / "out").model
    torch.testing.assert_close(outputs(again), outputs(loaded.model), atol=0, rtol=0)
    after = sizes(again)
    assert after == sizes(loaded.model)
    assert (after["layers"], after["hidden"]) == (2, 16)
    assert after["parameters"] < 0.5 * before["parameters"]
    stored = sum(p.numel() for p in again.parameters()) * 4
    on_disk = (tmp_path / "out/model.safetensors").stat().st_size
    assert stored < on_disk < stored + 20_000


def test_a_clean_process_computes_the_same(make, tmp_path):
    loaded = make("xlm-roberta")
    prune(loaded.model, random_scores(loaded.model, WANTED), WANTED)
    save_model(tmp_path / "out", loaded.model, loaded.path)
    np.save(tmp_path / "ids.npy", IDS.numpy())
    code = (
        "import sys, xmpress, torch, numpy as np\n"
        "from transformers import AutoModel\n"
        "model = AutoModel.from_pretrained(sys.argv[1] + '/out')\n"
        "ids = torch.from_numpy(np.load(sys.argv[1] + '/ids.npy'))\n"
        "with torch.inference_mode():\n"
        "    np.save(sys.argv[1] + '/found.npy', model(ids, torch.ones_like(ids)).pooled)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    with torch.inference_mode():
        expected = loaded.model(IDS, torch.ones_like(IDS)).pooled.numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)


def test_even_shapes_need_no_key_of_ours(make):
    model = make("bert").model
    prune(model, {"ffn": [torch.arange(48.0)] * 3}, {"ffn": 72})
    config = model.config.encoder_config
    assert config.intermediate_size == 24
    assert not hasattr(config, "pruned_shapes")


def test_every_layer_keeps_a_head(make):
    model = make("bert").model
    scores = [torch.full((4,), 0.1), torch.full((4,), 0.9), torch.arange(4.0)]
    prune(model, {"heads": scores}, {"heads": 4})
    assert sizes(model)["heads"] == [1, 1, 2]


def test_sizes_are_told_to_modules(make):
    model = make("bert").model
    prune(model, random_scores(model, WANTED), WANTED)
    for part, heads in zip(layer_parts(model.encoder), sizes(model)["heads"], strict=True):
        assert part.attention.num_attention_heads == heads
        assert (part.query.in_features, part.query.out_features) == (16, 8 * heads)
        assert part.out.in_features == 8 * heads
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    assert {norm.normalized_shape for norm in norms} == {(16,)}


def test_other_architectures_are_refused(make):
    model = make("modernbert").model
    with pytest.raises(ModelError, match="'modernbert' encoder cannot be pruned"):
        units(model, "heads")


def test_a_configuration_that_contradicts_itself_is_refused(make, tmp_path):
    loaded = make("bert")
    prune(loaded.model, random_scores(loaded.model, ["heads"]), {"heads": 5})
    loaded.model.config.encoder_config.num_hidden_layers = 2
    save_model(tmp_path / "out", loaded.model, loaded.path)
    with pytest.raises(ModelError, match="3 numbers of heads"):
        load_model(tmp_path / "out")
