"""Importance against loops over single units."""

import pytest
import torch

from xmpress.compression.pruning.choice import choose
from xmpress.compression.pruning.importance import by_magnitude, by_taylor
from xmpress.data import load_dataset
from xmpress.modeling.shapes import layer_parts
from xmpress.training.feed import Feed
from xmpress.training.losses import MultiTaskLoss

KINDS = ("heads", "ffn", "layers", "hidden")


def reference(model, of):
    """Sums over the weights of units, written out for BERT; heads are 8 wide."""
    found = {"heads": [], "ffn": [], "layers": [], "hidden": []}
    for part in layer_parts(model.encoder):
        found["heads"].append(
            [
                sum(of(m.weight)[8 * h : 8 * h + 8].sum() + of(m.bias)[8 * h : 8 * h + 8].sum()
                    for m in (part.query, part.key, part.value))
                + of(part.out.weight)[:, 8 * h : 8 * h + 8].sum()
                for h in range(4)
            ]
        )  # fmt: skip
        found["ffn"].append(
            [
                of(part.up.weight)[u].sum() + of(part.up.bias)[u] + of(part.down.weight)[:, u].sum()
                for u in range(48)
            ]
        )
        found["layers"].append(sum(of(p).sum() for p in part.layer.parameters()))
    for d in range(32):
        total = torch.zeros(())
        for name, p in model.named_parameters():
            if "embeddings" in name and p.ndim == 2:
                total = total + of(p)[:, d].sum()
            elif "LayerNorm" in name or name.endswith("output.dense.bias"):
                total = total + of(p)[d]
            elif name.endswith("output.dense.weight"):
                total = total + of(p)[d].sum()
            elif p.ndim == 2:
                total = total + of(p)[:, d].sum()
        found["hidden"].append(total)
    return {
        "heads": torch.tensor(found["heads"]),
        "ffn": torch.tensor(found["ffn"]),
        "layers": torch.tensor([found["layers"]]),
        "hidden": torch.tensor([found["hidden"]]),
    }


def compare(found, expected):
    assert set(found) == set(KINDS)
    for kind in KINDS:
        torch.testing.assert_close(
            torch.stack(found[kind]).float(), expected[kind].float(), rtol=1e-4, atol=1e-6
        )


def test_magnitude_is_the_norm_of_all_weights_of_a_unit(make):
    model = make("bert").model
    expected = reference(model, lambda p: p.detach() ** 2)
    compare(by_magnitude(model, KINDS), {k: v.sqrt() for k, v in expected.items()})


def test_taylor_adds_up_weights_times_gradients(make, labelled_data):
    loaded = make("bert")
    model, data = loaded.model, load_dataset(labelled_data, loaded.tasks).take(slice(0, 24))
    feed = Feed(data, loaded.tokenizer, token_types=True, budget=128, temperature=1.0, seed=0)
    batches = [feed.batch(rows) for rows in feed.epoch(0)]
    assert len(batches) > 2
    loss = MultiTaskLoss(loaded.tasks)
    found = by_taylor(model, KINDS, batches, loss)
    total = None
    for batch in batches:
        model.eval().zero_grad()
        loss(model(**batch.inputs), batch)[0].backward()

        def change(parameter):
            grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            return (parameter * grad).abs().detach()

        once = reference(model, change)
        total = once if total is None else {k: total[k] + once[k] for k in KINDS}
    model.zero_grad()
    compare(found, {kind: values / len(batches) for kind, values in total.items()})
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_head_that_changes_nothing_has_no_importance(make, labelled_data):
    loaded = make("bert")
    part = layer_parts(loaded.model.encoder)[1]
    with torch.no_grad():
        part.out.weight[:, 8:16] = 0.0
    data = load_dataset(labelled_data, loaded.tasks).take(slice(0, 16))
    feed = Feed(data, loaded.tokenizer, token_types=True, budget=512, temperature=1.0, seed=0)
    batches = [feed.batch(rows) for rows in feed.epoch(0)]
    scores = by_taylor(loaded.model, ["heads"], batches, MultiTaskLoss(loaded.tasks))["heads"]
    assert scores[1][1] == 0
    assert sum(int((s == 0).sum()) for s in scores) == 1


@pytest.mark.parametrize(
    ("number", "multiple", "expected"),
    [
        (4, 1, [[0, 1, 3], [2]]),
        (1, 1, [[0], [2]]),
        (8, 1, [[0, 1, 2, 3], [0, 1, 2, 3]]),
        (4, 2, [[0, 3], [1, 2]]),
    ],
)
def test_the_best_of_all_groups_stay_and_some_of_each(number, multiple, expected):
    scores = [torch.tensor([9.0, 7.0, 5.0, 8.0]), torch.tensor([0.0, 1.0, 6.5, 0.5])]
    kept = choose(scores, number, multiple=multiple)
    assert [group.tolist() for group in kept] == expected
