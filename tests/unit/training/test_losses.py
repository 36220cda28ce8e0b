import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmpress.modeling import MultiTaskOutput
from xmpress.tasks import Task, TaskSet
from xmpress.training.losses import MultiTaskLoss, row_losses

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "poor", "fair", "good"))
TOPIC = Task(name="topic", kind="single_label", labels=("price", "staff", "other"))
TAGS = Task(name="tags", kind="multi_label", labels=("anger", "joy", "trust"))
TASKS = TaskSet(tasks=(MOOD, TOPIC, TAGS))


def tensors(task, values, scopes=None):
    labels = task.encode(values, scopes)
    return torch.from_numpy(labels.targets), torch.from_numpy(labels.choice)


def random_logits(rows, labels, seed=0):
    return torch.randn(rows, labels, generator=torch.Generator().manual_seed(seed)) * 3


def test_a_full_label_costs_its_cross_entropy():
    logits = random_logits(4, 4)
    losses = row_losses(MOOD, logits, *tensors(MOOD, ["bad", "poor", "fair", "good"]))
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(4), reduction="none")
    torch.testing.assert_close(losses, expected)


@given(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4))
def test_a_coarse_label_costs_minus_log_of_its_summed_probability(scores):
    logits = torch.tensor([scores])
    (loss,) = row_losses(MOOD, logits, *tensors(MOOD, ["bad|poor"])).tolist()
    probabilities = logits.double().softmax(dim=1)[0]
    assert loss == pytest.approx(-math.log(probabilities[0] + probabilities[1]), abs=1e-4)


def test_a_label_not_on_offer_has_no_part_in_the_loss():
    scope = ["bad|poor", "good"]
    targets, choice = tensors(MOOD, ["good"], [scope])
    logits = random_logits(1, 4).requires_grad_()
    row_losses(MOOD, logits, targets, choice).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert (logits.grad[0, [0, 1, 3]] != 0).all()


def test_a_multi_label_row_costs_the_binary_cross_entropy_of_its_scope():
    targets, choice = tensors(TAGS, [["joy"]], [["anger", "joy"]])
    logits = torch.tensor([[0.5, -1.0, 7.0]])
    expected = math.log1p(math.exp(0.5)) + math.log1p(math.exp(1.0))
    assert row_losses(TAGS, logits, targets, choice).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_unlabelled_row_costs_nothing_and_gives_no_gradient(task):
    logits = random_logits(2, len(task)).requires_grad_()
    losses = row_losses(task, logits, *tensors(task, [None, None]))
    losses.sum().backward()
    assert losses.tolist() == [0.0, 0.0]
    assert logits.grad is not None
    assert not logits.grad.any()


labels = st.fixed_dictionaries(
    {
        "mood": st.sampled_from([None, "bad", "good", "bad|poor"]),
        "topic": st.sampled_from([None, "price", "other"]),
        "tags": st.sampled_from([None, [], ["joy"], ["anger", "trust"]]),
    }
)


@given(st.lists(labels, min_size=1, max_size=6), st.integers(0, 1000))
def test_the_masked_loss_is_the_sum_of_per_task_losses_on_labelled_rows(rows, seed):
    logits = {task.name: random_logits(len(rows), len(task), seed) for task in TASKS}
    batch = SimpleNamespace(
        labels={task.name: tensors(task, [row[task.name] for row in rows]) for task in TASKS}
    )
    total, _ = MultiTaskLoss(TASKS)(MultiTaskOutput(logits=logits), batch)

    expected = 0.0
    for task in TASKS:
        labelled = [i for i, row in enumerate(rows) if row[task.name] is not None]
        if labelled:
            alone = tensors(task, [rows[i][task.name] for i in labelled])
            expected += row_losses(task, logits[task.name][labelled], *alone).mean().item()
    assert total.item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_fixed_weights_scale_the_tasks():
    loss = MultiTaskLoss(TASKS, {"mood": 2.0, "tags": 0.0})
    parts = {"mood": torch.tensor(1.0), "topic": torch.tensor(3.0), "tags": torch.tensor(50.0)}
    assert loss.combine(parts).item() == pytest.approx(5.0)


def test_uncertainty_weights_are_learned_and_prefer_the_certain_task():
    loss = MultiTaskLoss(TASKS, "uncertainty")
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    parts = {"mood": torch.tensor(0.1), "topic": torch.tensor(1.0), "tags": torch.tensor(4.0)}
    for _ in range(300):
        optimizer.zero_grad()
        loss.combine(parts).backward()
        optimizer.step()
    assert loss.log_variance is not None
    # The optimum of loss * exp(-s) + s / 2 is at s = log(2 * loss).
    learned = [loss.log_variance[name].item() for name in TASKS.names]
    np.testing.assert_allclose(learned, np.log([0.2, 2.0, 8.0]), atol=0.05)
