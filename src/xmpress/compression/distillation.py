"""The pass ``distill``: a smaller student learns to give the teacher's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmpress.compression.outputs import cached_logits
from xmpress.compression.passes import Context, Pass, PassParams
from xmpress.compression.students import Student, make_student
from xmpress.data import Dataset, load_dataset
from xmpress.errors import ModelError
from xmpress.modeling import MultiTaskOutput, load_model, save_model
from xmpress.provenance import digest
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import FloatArray, Labels, Task, TaskSet
from xmpress.training.card import model_card
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.config import ValidationSettings
from xmpress.training.feed import Batch, Feed
from xmpress.training.loop import FitSettings, fit
from xmpress.training.losses import MultiTaskLoss
from xmpress.training.monitor import Monitor
from xmpress.training.train import evaluator, finish, spread, training_splits

TRANSFER = "transfer"
"""Source name of unlabelled text."""


class DistillParams(PassParams):
    """Parameters of ``distill``."""

    objective: Literal["logits"] = "logits"
    """What the student imitates: the scores of every head."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Divides the logits of both; above 1 the teacher's unlikely labels say more."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Weight of the labels people gave, where there are any; the rest goes to the teacher."""
    transfer: str | None = None
    """Further text, which needs no labels: a file, folder or glob."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows, drawn evenly over languages and tasks; all if left out."""
    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps; or give ``epochs``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the rows; 3 if neither is given."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Padded tokens per batch."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Batches per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Peak."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.06
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW; not on biases and norms."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    sampling: Annotated[float, Field(ge=1)] = 2.0
    """Temperature of the sampling over language and tasks: 1 as in the data, larger more even."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Steps between validations, the best of which is kept; four in all if left out."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    """Steps between checkpoints."""

    @model_validator(mode="after")
    def _one_length(self) -> DistillParams:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self

    def fit_settings(self, seed: int) -> FitSettings:
        """The part that the training loop reads."""
        shared = self.model_dump(include=set(FitSettings.model_fields) - {"temperature"})
        return FitSettings(**shared, temperature=self.sampling, seed=seed)


class Distill(Pass[DistillParams]):
    """Model directory in, model directory out.

    The first ``distill`` of a chain makes the recipe's student; a later one, or one in a recipe
    without a student, trains on what it is given. The teacher, which may also be a bundle, scores
    all texts first, and is out of memory when the student trains (Hinton et al., 2015).
    """

    Params: ClassVar[type[PassParams]] = DistillParams
    needs_data: ClassVar[bool] = True
    makes_student: ClassVar[bool] = True

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Score the texts with the teacher, train the student, calibrate it, write it."""
        params = self.params
        torch.manual_seed(context.seed)
        student = self._student(context)
        model = student.model
        tokenizer = Tokenizer.from_file(
            student.tokenizer_files / "tokenizer.json", max_length=model.config.max_length
        )
        tasks = model.config.task_set
        validation_settings = ValidationSettings()
        # The teacher's own division of rows without a split, whatever the seed here.
        training, validation = training_splits(context.dataset(), validation_settings, seed=0)
        rows = self._rows(training, tasks, context.seed)
        context.say(f"distill: {len(rows):,} texts")
        soft = cached_logits(
            context.teacher, rows.texts, rows.contexts, context.cache, say=context.say
        )
        settings = params.fit_settings(context.seed)
        progress = fit(
            model,
            DistillationLoss(tasks, soft, temperature=params.temperature, alpha=params.alpha),
            Feed(
                rows,
                tokenizer,
                token_types=model.uses_token_types,
                budget=params.batch_tokens,
                temperature=params.sampling,
                seed=context.seed,
                weights=training.weights,
                unlabelled=params.transfer is not None,
            ),
            settings,
            checkpoints=Checkpoints(context.workspace / "checkpoints"),
            fingerprint=digest(
                [params.model_dump(mode="json"), rows.fingerprint, context.teacher.fingerprint]
            ),
            monitor=Monitor("distill", quiet=context.quiet),
            evaluate=evaluator(spread(validation, validation_settings.rows, seed=0), tokenizer),
            resume=True,
        )
        calibration_rows = spread(validation, validation_settings.calibration_rows, seed=0)
        scorecard = finish(model, tokenizer, calibration_rows)
        card = model_card(
            context.name, model, {"data": context.data_name}, scorecard, context.dataset()
        )
        save_model(
            target, model, student.tokenizer_files, texts={"README.md": card}, overwrite=True
        )
        return {
            "parameters_copied": round(student.copied, 4),
            "texts": len(rows),
            "steps": progress.step,
            "best_step": progress.best_step,
            "validation": scorecard.summary,
            "history": progress.history,
        }

    def _student(self, context: Context) -> Student:
        given = load_model(context.artefact.path)
        if context.student is None:
            return Student(given.model, given.path, 1.0)
        return make_student(context.student, given, context.workspace)

    def _rows(self, training: Dataset, tasks: TaskSet, seed: int) -> Dataset:
        rows = training.where(tasks=tasks.names)
        if self.params.transfer is not None:
            further = _without_labels(load_dataset(self.params.transfer, tasks))
            rows = Dataset.concat([rows, further])
        limit = self.params.max_rows
        if limit is None or len(rows) <= limit:
            return rows
        if self.params.transfer is None:
            return spread(rows, limit, seed=seed)
        drawn = np.random.default_rng(seed).choice(len(rows), size=limit, replace=False)
        return rows.take(np.sort(drawn))


class DistillationLoss(nn.Module):
    """Soft targets from a teacher, mixed with labels where there are any.

    Single-label and ordinal tasks: the Kullback-Leibler divergence of the student's distribution
    from the teacher's, both at a temperature T. Multi-label tasks: the sum over labels of the same
    for each label's own yes or no. Both times T squared, which keeps the size of the gradient
    (Hinton et al., 2015); zero if the student gives the teacher's answers.

    Args:
        tasks: the tasks of both.
        soft: the teacher's logits per task, float [n, L], by row number of the data set.
        temperature: T.
        alpha: weight of the labels; ``1 - alpha`` is the teacher's.
    """

    def __init__(
        self,
        tasks: TaskSet,
        soft: Mapping[str, FloatArray],
        *,
        temperature: float,
        alpha: float,
    ) -> None:
        super().__init__()
        missing = [name for name in tasks.names if name not in soft]
        if missing:
            raise ModelError(f"the teacher does not predict {', '.join(missing)}")
        self.tasks = tasks
        self.temperature = temperature
        self.alpha = alpha
        self.hard = MultiTaskLoss(tasks)
        for name in tasks.names:
            # Not part of a checkpoint: it is in the cache already.
            self.register_buffer(f"soft_{name}", torch.from_numpy(soft[name]), persistent=False)

    def forward(self, output: MultiTaskOutput, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weigh and add up.

        Returns:
            The total, and each task's loss from the teacher alone, mean over the batch.
        """
        logits = output.logits or {}
        per_task = {
            task.name: soft_losses(
                task,
                logits[task.name],
                self.get_buffer(f"soft_{task.name}")[batch.rows],
                temperature=self.temperature,
            ).mean()
            for task in self.tasks
        }
        loss = (1 - self.alpha) * torch.stack(list(per_task.values())).sum()
        if self.alpha:
            loss = loss + self.alpha * self.hard(output, batch)[0]
        return loss, per_task


def soft_losses(task: Task, logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """The divergence of a student's scores from its teacher's, in nats, times T squared.

    Args:
        task: decides the kind.
        logits: the student's, float [n, L].
        teacher: float [n, L].
        temperature: T.

    Returns:
        float [n], at least 0.
    """
    logits, teacher = logits.float() / temperature, teacher.float() / temperature
    if task.multi:
        # Each label as a distribution over yes and no.
        logits = torch.stack([logits, torch.zeros_like(logits)], dim=-1)
        teacher = torch.stack([teacher, torch.zeros_like(teacher)], dim=-1)
    divergence = nn.functional.kl_div(
        logits.log_softmax(dim=-1), teacher.log_softmax(dim=-1), reduction="none", log_target=True
    )
    return temperature**2 * divergence.flatten(start_dim=1).sum(dim=1)


def _without_labels(dataset: Dataset) -> Dataset:
    """The texts alone, but for those that are held out from training."""
    dataset = dataset.take([split in {None, "train"} for split in dataset.splits])
    labels = {
        name: Labels(np.zeros_like(value.targets), np.zeros_like(value.choice))
        for name, value in dataset.labels.items()
    }
    return replace(
        dataset,
        labels=labels,
        sources=[TRANSFER] * len(dataset),
        splits=["train"] * len(dataset),
    )
