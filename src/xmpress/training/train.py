"""From labelled data to a model directory: data, encoder, loop, calibration, artefact."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from xmpress.data import Dataset, assign_splits, choose_tasks, load_dataset
from xmpress.data.splits import ValidationSettings
from xmpress.errors import TrainingError, UsageError
from xmpress.evaluation import Scorecard, calibrate, score
from xmpress.modeling.artefact import predict, save_model
from xmpress.modeling.encoders import make_model, open_encoder
from xmpress.modeling.model import MultiTaskModel
from xmpress.provenance import LOCK_FILE, digest, lock_text
from xmpress.runtime.tokenization import Tokenizer
from xmpress.training.card import model_card
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.config import TrainConfig
from xmpress.training.feed import Feed
from xmpress.training.loop import fit
from xmpress.training.losses import MultiTaskLoss
from xmpress.training.monitor import Monitor
from xmpress.training.sampling import draw_epoch, strata

CORPUS_ROWS = 60_000
"""Texts a tokenizer is learned from; more change little and take minutes."""


@dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        path: the model directory.
        scorecard: on the validation rows.
        steps: optimizer steps done.
        best_step: the step whose weights were kept.
    """

    path: Path
    scorecard: Scorecard
    steps: int
    best_step: int


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> TrainResult:
    """Train a multi-task model and write its model directory.

    While it runs, its state lies in ``<out>.checkpoints``; after an interruption ``resume`` goes on
    from there to the same result.

    Args:
        config: what to train on, and how.
        out: the model directory to write.
        resume: go on from the latest checkpoint.
        overwrite: replace an existing model directory, and drop the checkpoints of another run.
        quiet: no progress bar.

    Raises:
        UsageError: if ``out`` exists, or there are checkpoints and neither flag is given.
        TrainingError: if there is nothing to train on, or the loss diverges.
        ConfigError: if the tasks contradict those of the data config.
        KeyboardInterrupt: once a checkpoint is written.
    """
    out = Path(out)
    checkpoints = Checkpoints(out.with_name(out.name + ".checkpoints"))
    processes = PartialState()
    if processes.is_main_process:
        check_place(out, checkpoints, resume=resume, overwrite=overwrite)
    config = config.with_tasks()
    tasks = choose_tasks(config.data, config.task_set())
    dataset = _of_languages(
        load_dataset(config.data, tasks, columns=config.columns), config.only_languages
    )
    training, validation = training_splits(dataset, config.validation, seed=config.fit.seed)
    settings = config.model_dump(mode="json")
    fingerprint = digest({"settings": settings, "data": dataset.fingerprint})
    torch.manual_seed(config.fit.seed)
    with processes.main_process_first():
        source = open_encoder(
            config.encoder,
            # Named by the fingerprint: a resumed training must find its own tokenizer again.
            workspace=checkpoints.directory / f"tokenizer-{fingerprint[:12]}",
            tokenizer=config.tokenizer,
            vocab_size=config.vocab_size,
            texts=_corpus(training, config),
        )
    model = make_model(
        source,
        tasks,
        pooling=config.pooling,
        head_dropout=config.head_dropout,
        max_length=config.max_length,
        languages=sorted(set(training.langs)),
    )
    tokenizer = Tokenizer.from_file(
        source.tokenizer_files / "tokenizer.json", max_length=config.max_length
    )
    feed = Feed(
        training,
        tokenizer,
        token_types=model.uses_token_types,
        budget=config.fit.batch_tokens,
        temperature=config.fit.temperature,
        seed=config.fit.seed,
        weights=_source_weights(training, config),
    )
    progress = fit(
        model,
        MultiTaskLoss(tasks, config.loss_weights),
        feed,
        config.fit,
        checkpoints=checkpoints,
        fingerprint=fingerprint,
        monitor=Monitor(
            quiet=quiet or not processes.is_main_process, tensorboard=_events(out, config)
        ),
        evaluate=evaluator(
            spread(validation, config.validation.rows, seed=config.fit.seed), tokenizer
        ),
        resume=resume,
    )
    scorecard = finish(
        model, tokenizer, spread(validation, config.validation.calibration_rows, seed=0)
    )
    if processes.is_main_process:
        save_model(
            out,
            model,
            source.tokenizer_files,
            texts={
                "README.md": model_card(out.name, model, settings, scorecard, dataset),
                LOCK_FILE: lock_text(
                    {"train": settings},
                    seeds=[config.fit.seed],
                    data={config.data: dataset.fingerprint},
                ),
                "training.json": json.dumps(
                    {"history": progress.history, "validation": scorecard.to_dict()}, indent=1
                ),
            },
            overwrite=overwrite,
        )
        checkpoints.remove()
    processes.wait_for_everyone()
    return TrainResult(out, scorecard, progress.step, progress.best_step)


def _of_languages(dataset: Dataset, languages: list[str] | None) -> Dataset:
    """The rows of some languages; those that choose the best step are of these too."""
    if languages is None:
        return dataset
    held = set(dataset.langs)
    unknown = [lang for lang in languages if lang not in held]
    if unknown:
        raise TrainingError(
            f"only_languages: there are no rows of the language {', '.join(unknown)}; "
            f"the data has {', '.join(sorted(held))}"
        )
    return dataset.where(langs=languages)


def training_splits(
    dataset: Dataset, settings: ValidationSettings, *, seed: int
) -> tuple[Dataset, Dataset]:
    """The train and validation rows; rows without a split are divided, test rows left alone."""
    shares = {"train": 1 - settings.fraction, "validation": settings.fraction}
    dataset = assign_splits(dataset, shares, seed=seed)
    training, validation = dataset.where(split="train"), dataset.where(split="validation")
    if not len(validation) and len(training):
        divided = assign_splits(training.with_splits([None] * len(training)), shares, seed=seed)
        training, validation = divided.where(split="train"), divided.where(split="validation")
    if not len(training):
        raise TrainingError("there are no rows of the split 'train'")
    if not len(validation):
        raise TrainingError("there are too few rows to set any aside for validation")
    return training, validation


def evaluator(validation: Dataset, tokenizer: Tokenizer) -> Callable[[MultiTaskModel], float]:
    """A function that gives a model's mean task metric on validation rows."""

    def metric(model: MultiTaskModel) -> float:
        logits = predict(model, tokenizer, validation.texts, validation.contexts)
        tuned = calibrate(validation.tasks, logits, validation)
        return score("validation", logits, validation, tuned).average

    return metric


def finish(model: MultiTaskModel, tokenizer: Tokenizer, validation: Dataset) -> Scorecard:
    """Tune temperatures and thresholds on validation rows, store them, and score there."""
    logits = predict(model, tokenizer, validation.texts, validation.contexts)
    calibration = calibrate(validation.tasks, logits, validation)
    model.config.calibration = {k: v.model_dump(mode="json") for k, v in calibration.items()}
    return score("validation", logits, validation, calibration)


def spread(dataset: Dataset, rows: int, *, seed: int) -> Dataset:
    """At most so many rows, each once, drawn evenly over languages and tasks.

    A source that the data config gives a weight is drawn so much more often.
    """
    if len(dataset) <= rows:
        return dataset
    weights = [dataset.weights.get(source, 1.0) for source in dataset.sources]
    groups = strata(dataset.langs, dataset.labels, weights)
    drawn = draw_epoch(groups, temperature=3.0, seed=seed, epoch=0, size=rows)
    return dataset.take(np.unique(drawn))


def check_place(out: Path, checkpoints: Checkpoints, *, resume: bool, overwrite: bool) -> None:
    """Refuse to overwrite what nobody said may go; make place for a training.

    Raises:
        UsageError: if ``out`` exists, or there are checkpoints and neither flag is given.
    """
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise UsageError(f"{out} exists and is not empty; choose another place, or --overwrite")
    if checkpoints.exist() and not resume and not overwrite:
        raise UsageError(
            f"{checkpoints.directory} holds an interrupted training; go on with --resume, "
            "or start again with --overwrite"
        )
    if not resume:
        checkpoints.remove()


def _corpus(training: Dataset, config: TrainConfig) -> list[str]:
    """What a tokenizer is learned from: training texts, languages evened out."""
    return spread(training, CORPUS_ROWS, seed=config.fit.seed).texts


def _source_weights(training: Dataset, config: TrainConfig) -> dict[str, float]:
    return {
        source: training.weights.get(source, 1.0) * config.source_weights.get(source, 1.0)
        for source in sorted(set(training.sources))
    }


def _events(out: Path, config: TrainConfig) -> Path | None:
    return out.with_name(out.name + ".tensorboard") if config.tensorboard else None
