"""Trains a model between and after prunings, with its teacher's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from xmpress.compression.distillation import DistillationLoss
from xmpress.compression.passes import Context
from xmpress.compression.targets import labelled_for, soft_targets
from xmpress.data import Dataset
from xmpress.modeling import LoadedModel, MultiTaskModel
from xmpress.provenance import digest
from xmpress.tasks import FloatArray
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.feed import Feed
from xmpress.training.loop import FitSettings, fit
from xmpress.training.losses import MultiTaskLoss
from xmpress.training.monitor import Monitor
from xmpress.training.train import evaluator, spread, training_splits


class Recover(BaseModel):
    """A training that gets back what pruning cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps in all, over all rounds; or give ``epochs``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the rows in all; 1 if neither is given."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """Peak."""
    distill: bool = True
    """Learn the teacher's scores, mixed with the labels; otherwise the labels alone."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """As in ``distill``."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    """As in ``distill``: the weight of the labels."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows, drawn evenly over languages and tasks; all if left out."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Padded tokens per batch."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self


@dataclass
class Trainer:
    """The rows of a pass, and trainings on them.

    Attributes:
        context: of the pass.
        settings: how to train.
        training: the labelled rows to train on.
        weights: per source, how often its rows are shown.
        validation: chooses the best step, and calibrates.
    """

    context: Context
    settings: Recover
    training: Dataset
    weights: Mapping[str, float]
    validation: Dataset
    _soft: dict[str, FloatArray] | None = None

    @classmethod
    def of(cls, context: Context, loaded: LoadedModel, settings: Recover) -> Self:
        """Divide the recipe's data as `distill` does."""
        # The teacher's own division of rows without a split, whatever the seed here.
        training, validation = training_splits(
            labelled_for(loaded.tasks, context), context.validation, seed=0
        )
        rows = training.where(tasks=loaded.tasks.names)
        if settings.max_rows is not None:
            rows = spread(rows, settings.max_rows, seed=context.seed)
        return cls(context, settings, rows, training.weights, validation)

    def loss(self, model: MultiTaskModel) -> nn.Module:
        """What is optimised; the teacher is asked once."""
        tasks = model.config.task_set
        settings = self.settings
        if not settings.distill:
            return MultiTaskLoss(tasks)
        if self._soft is None:
            self._soft = soft_targets(tasks, self.training, self.context)
        return DistillationLoss(
            tasks, self._soft, temperature=settings.temperature, alpha=settings.alpha
        )

    def feed(self, loaded: LoadedModel, rows: Dataset | None = None) -> Feed:
        """Batches of the rows, or of others."""
        return Feed(
            self.training if rows is None else rows,
            loaded.tokenizer,
            token_types=loaded.model.uses_token_types,
            budget=self.settings.batch_tokens,
            temperature=2.0,
            seed=self.context.seed,
            weights=self.weights,
        )

    def steps(self, loaded: LoadedModel, *, rounds: int) -> int:
        """Optimizer steps of each of some rounds."""
        if self.settings.steps is not None:
            return max(1, self.settings.steps // rounds)
        batches = len(self.feed(loaded).epoch(0))
        return max(1, int((self.settings.epochs or 1.0) * batches / rounds))

    def train(
        self,
        loaded: LoadedModel,
        objective: nn.Module,
        *,
        steps: int,
        name: str,
        keep_best: bool = True,
    ) -> float | None:
        """Train a model in place.

        Args:
            loaded: the model.
            objective: what to optimise.
            steps: how long.
            name: of the training; its checkpoints lie below the workspace by this name.
            keep_best: validate, and keep the best step; otherwise the last.

        Returns:
            The best validation metric; ``None`` if nothing was validated.
        """
        evaluate: Callable[[MultiTaskModel], float] | None = None
        if keep_best:
            rows = spread(self.validation, self.context.validation.rows, seed=0)
            evaluate = evaluator(rows, loaded.tokenizer)
        progress = fit(
            loaded.model,
            objective,
            self.feed(loaded),
            FitSettings(
                steps=steps,
                batch_tokens=self.settings.batch_tokens,
                learning_rate=self.settings.learning_rate,
                precision=self.settings.precision,
                seed=self.context.seed,
            ),
            checkpoints=Checkpoints(self._workspace(name)),
            fingerprint=digest(
                [
                    name,
                    steps,
                    self.settings.model_dump(mode="json"),
                    self.training.fingerprint,
                    self.context.artefact.fingerprint,
                    self.context.teacher.fingerprint,
                ]
            ),
            monitor=Monitor(f"prune: {name}", quiet=self.context.quiet),
            evaluate=evaluate,
            resume=True,
        )
        return progress.best_metric if progress.best_step else None

    def _workspace(self, name: str) -> Path:
        return self.context.workspace / name
