"""The pass itself: teachers, student, rows, training, and the model directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from xmpress.compression.distillation.building import Setting, build
from xmpress.compression.distillation.freezing import freeze
from xmpress.compression.distillation.objectives import Distillation
from xmpress.compression.distillation.params import DistillParams
from xmpress.compression.distillation.teachers import (
    Panel,
    StateTeacher,
    locate,
    open_state_teacher,
    panel,
)
from xmpress.compression.passes import Artefact, Context, Pass, PassParams
from xmpress.compression.students import Student, as_deep, make_student
from xmpress.compression.targets import labelled_for
from xmpress.data import Dataset, load_dataset
from xmpress.data.files import sha256
from xmpress.data.readers import find_files
from xmpress.modeling import load_model, save_model
from xmpress.provenance import digest
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import Labels, TaskSet
from xmpress.training.card import model_card
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.feed import Feed
from xmpress.training.loop import fit
from xmpress.training.masking import Masking
from xmpress.training.monitor import Monitor
from xmpress.training.pretraining.corpus import NO_LABELS
from xmpress.training.train import evaluator, finish, spread, training_splits

TRANSFER = "transfer"
"""Source name of unlabelled text."""


class Distill(Pass[DistillParams]):
    """Model directory in, model directory out.

    The first ``distill`` of a chain makes the recipe's student; a later one, or one in a recipe
    without a student, trains on what it is given. Teachers of ``logits``, which may also be
    bundles, score all texts first, and are out of memory when the student trains (Hinton et al.,
    2015). A teacher whose states are imitated runs beside the student.
    """

    Params: ClassVar[type[PassParams]] = DistillParams
    revision: ClassVar[int] = 2
    needs_data: ClassVar[bool] = True
    makes_student: ClassVar[bool] = True

    def inputs(self) -> dict[str, str]:
        """Fingerprints of the further teachers and of the transfer text."""
        named = self.params.teachers or ()
        models = named.values() if isinstance(named, dict) else named
        found = {model: Artefact(locate(model)).fingerprint for model in models}
        transfer = self.params.transfer
        if transfer is None or transfer.startswith(("hf:", "sample")):
            return found
        if transfer.endswith((".yaml", ".yml")):
            # A data config: what counts is in the files that it names.
            return found | {transfer: load_dataset(transfer, NO_LABELS).fingerprint}
        return found | {str(path): sha256(path) for path in find_files([transfer])}

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Ask the teachers, train the student, calibrate it, write it."""
        params = self.params
        torch.manual_seed(context.seed)
        student, teachers = self._student(context)
        model, tasks = student.model, student.model.config.task_set
        tokenizer_file = student.tokenizer_files / "tokenizer.json"
        tokenizer = Tokenizer.from_file(tokenizer_file, max_length=model.config.max_length)
        dataset = labelled_for(tasks, context)
        # The teacher's own division of rows without a split, whatever the seed here.
        training, validation = training_splits(dataset, context.validation, seed=0)
        rows = self._rows(training, tasks, context.seed)
        context.say(f"distill: {len(rows):,} texts")
        beside = self._beside(context, tokenizer_file, model.config.max_length)
        objective = self._objective(student, rows, teachers, beside, context)
        parts = freeze(model, params.freeze)
        knows_tasks = "logits" in params.weights
        progress = fit(
            model,
            objective,
            Feed(
                rows,
                tokenizer,
                token_types=model.uses_token_types
                or (beside is not None and beside.uses_token_types),
                budget=params.batch_tokens,
                temperature=params.sampling,
                seed=context.seed,
                weights=training.weights,
                unlabelled=self._unlabelled,
            ),
            params.fit_settings(context.seed),
            checkpoints=Checkpoints(context.workspace / "checkpoints"),
            fingerprint=digest(
                [
                    params.model_dump(mode="json"),
                    rows.fingerprint,
                    context.teacher.fingerprint,
                    self.inputs(),
                ]
            ),
            monitor=Monitor("distill", quiet=context.quiet),
            evaluate=evaluator(spread(validation, context.validation.rows, seed=0), tokenizer)
            if knows_tasks
            else None,
            resume=True,
        )
        calibration_rows = spread(validation, context.validation.calibration_rows, seed=0)
        scorecard = finish(model, tokenizer, calibration_rows)
        card = model_card(context.name, model, {"data": context.data_name}, scorecard, dataset)
        save_model(
            target, model, student.tokenizer_files, texts={"README.md": card}, overwrite=True
        )
        return {
            "objectives": params.weights,
            "parameters_copied": round(student.copied, 4),
            "parameters_trained": sum(p.numel() for p in parts),
            "texts": len(rows),
            "steps": progress.step,
            "best_step": progress.best_step,
            "validation": scorecard.summary,
            "losses": {name: round(value, 5) for name, value in progress.losses.items()},
            "history": progress.history,
        }

    def _student(self, context: Context) -> tuple[Student, Panel]:
        """The model to train, and whose answers it learns."""
        teachers = self.params.teachers if "logits" in self.params.weights else None
        if context.student is None:
            given = load_model(context.artefact.path)
            voices = panel(context.teacher, teachers, only=given.tasks)
            return Student(given.model, given.path, 1.0), voices
        voices = panel(context.teacher, teachers)
        if warning := as_deep(context.student, context.artefact.path):
            context.say(warning)
        student = make_student(
            context.student, context.artefact.path, context.workspace, tasks=voices.tasks
        )
        return student, voices

    def _beside(
        self, context: Context, tokenizer_file: Path, max_length: int
    ) -> StateTeacher | None:
        """The teacher that runs beside the student, if an objective needs one."""
        imitating = [name for name in self.params.weights if name != "logits"]
        if not imitating:
            return None
        named = self.params.teachers
        model = next(iter(named)) if isinstance(named, tuple) and len(named) == 1 else None
        return open_state_teacher(
            model or context.teacher.path,
            tokenizer_file,
            names=", ".join(imitating),
            max_length=max_length,
        )

    def _objective(
        self,
        student: Student,
        rows: Dataset,
        teachers: Panel,
        beside: StateTeacher | None,
        context: Context,
    ) -> Distillation:
        params, soft, masking = self.params, {}, None
        if "logits" in params.weights:
            soft = teachers.scores(
                rows.texts, rows.contexts, context, temperature=params.temperature
            )
        if "mlm" in params.weights:
            masking = Masking.from_file(student.tokenizer_files / "tokenizer.json")
        return build(Setting(params, student.model, beside, soft), masking)

    @property
    def _unlabelled(self) -> bool:
        """Whether rows without any label are shown."""
        return self.params.transfer is not None or "logits" not in self.params.weights

    def _rows(self, training: Dataset, tasks: TaskSet, seed: int) -> Dataset:
        # What knows no tasks learns from every text.
        rows = training.where(tasks=tasks.names) if "logits" in self.params.weights else training
        if self.params.transfer is not None:
            further = _without_labels(load_dataset(self.params.transfer, training.tasks))
            rows = Dataset.concat([rows, further])
        limit = self.params.max_rows
        if limit is None or len(rows) <= limit:
            return rows
        if not self._unlabelled:
            return spread(rows, limit, seed=seed)
        drawn = np.random.default_rng(seed).choice(len(rows), size=limit, replace=False)
        return rows.take(np.sort(drawn))


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
