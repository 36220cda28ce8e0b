from pathlib import Path

import numpy as np
import pytest
import torch

from xmpress.compression.distillation import Distill, DistillationLoss, DistillParams, soft_losses
from xmpress.errors import ModelError
from xmpress.modeling import MultiTaskOutput
from xmpress.tasks import Task, TaskSet
from xmpress.training.feed import Batch
from xmpress.training.losses import MultiTaskLoss

MOOD = Task(name="mood", kind="ordinal", labels=("bad", "ok", "good"))
TOPICS = Task(name="topics", kind="multi_label", labels=("price", "staff", "place", "speed"))
TASKS = TaskSet(tasks=(MOOD, TOPICS))


def random_logits(task: Task, rows: int = 6, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng([seed, len(task)]).normal(scale=2, size=(rows, len(task)))
    return values.astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_loss_of_a_single_label_is_the_divergence_of_the_distributions(
    temperature: float,
) -> None:
    student, teacher = (random_logits(MOOD, seed=s).astype(np.float64) for s in (1, 2))
    p, q = (np.exp(x / temperature) for x in (teacher, student))
    p, q = (x / x.sum(axis=1, keepdims=True) for x in (p, q))
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1)
    found = soft_losses(MOOD, torch.tensor(student), torch.tensor(teacher), temperature=temperature)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_loss_of_multi_label_is_the_sum_of_each_labels_own(temperature: float) -> None:
    student, teacher = (random_logits(TOPICS, seed=s).astype(np.float64) for s in (1, 2))
    p, q = (sigmoid(x / temperature) for x in (teacher, student))
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    found = soft_losses(
        TOPICS, torch.tensor(student), torch.tensor(teacher), temperature=temperature
    )
    np.testing.assert_allclose(found.numpy(), temperature**2 * expected.sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_soft_loss_is_zero_for_the_teachers_answers_even_extreme_ones(task: Task) -> None:
    logits = torch.tensor(random_logits(task)) * 100
    loss = soft_losses(task, logits, logits.clone(), temperature=2.0)
    torch.testing.assert_close(loss, torch.zeros_like(loss))
    assert (soft_losses(task, -logits, logits, temperature=2.0) >= 0).all()


def labelled_batch(rows: list[int]) -> Batch:
    moods = MOOD.encode(["good", None, "bad"])
    topics = TOPICS.encode([None, ["price"], []])
    return Batch(
        torch.tensor(rows),
        {},
        {
            name: (torch.from_numpy(labels.targets), torch.from_numpy(labels.choice))
            for name, labels in (("mood", moods), ("topics", topics))
        },
    )


def output(seed: int) -> MultiTaskOutput:
    return MultiTaskOutput(
        logits={task.name: torch.tensor(random_logits(task, 3, seed)) for task in TASKS}
    )


def test_alpha_mixes_labels_and_teacher_and_rows_are_looked_up_by_number() -> None:
    soft = {task.name: random_logits(task, seed=9) for task in TASKS}
    batch, given = labelled_batch([5, 0, 3]), output(1)
    losses = {
        alpha: DistillationLoss(TASKS, soft, temperature=2.0, alpha=alpha)(given, batch)[0]
        for alpha in (0.0, 0.25, 1.0)
    }
    by_hand = sum(
        soft_losses(
            task,
            given.logits[task.name],  # type: ignore[index]
            torch.tensor(soft[task.name][[5, 0, 3]]),
            temperature=2.0,
        ).mean()
        for task in TASKS
    )
    torch.testing.assert_close(losses[0.0], by_hand)
    torch.testing.assert_close(losses[1.0], MultiTaskLoss(TASKS)(given, batch)[0])
    torch.testing.assert_close(losses[0.25], 0.75 * losses[0.0] + 0.25 * losses[1.0])


def test_the_teachers_scores_are_no_part_of_a_checkpoint() -> None:
    soft = {task.name: random_logits(task) for task in TASKS}
    loss = DistillationLoss(TASKS, soft, temperature=2.0, alpha=0.5)
    assert not loss.state_dict()


def test_a_teacher_must_predict_the_students_tasks() -> None:
    with pytest.raises(ModelError, match="does not predict topics"):
        DistillationLoss(TASKS, {"mood": random_logits(MOOD)}, temperature=2.0, alpha=0.5)


def test_steps_or_epochs_not_both() -> None:
    with pytest.raises(ValueError, match="not both"):
        DistillParams(steps=1, epochs=1)


def test_parameters_reach_the_training_loop() -> None:
    params = DistillParams(steps=7, learning_rate=0.01, sampling=3.0, temperature=4.0)
    settings = params.fit_settings(seed=5)
    assert (settings.steps, settings.learning_rate, settings.seed) == (7, 0.01, 5)
    assert settings.temperature == 3.0  # the loop's temperature is that of its sampling


def test_transfer_text_is_added_without_labels_and_without_held_out_rows(
    labelled_data: Path, tmp_path: Path
) -> None:
    from xmpress.data import load_dataset

    tasks = TaskSet.load("experience")
    training = load_dataset(labelled_data, tasks, split="train")
    transfer = tmp_path / "more.csv"
    transfer.write_text("text,split,sentiment\nnew one,,positive\nheld out,test,positive\n")
    rows = Distill(DistillParams(transfer=str(transfer)))._rows(training, tasks, seed=0)
    assert len(rows) == len(training) + 1
    assert rows.texts[-1] == "new one"
    assert not any(labels.annotated[-1] for labels in rows.labels.values())
    limited = Distill(DistillParams(transfer=str(transfer), max_rows=50))._rows(training, tasks, 0)
    assert len(limited) == 50
