"""Model directories: written whole or not at all, checked when read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from xmpress.data.files import atomic_dir
from xmpress.errors import ModelError
from xmpress.modeling.config import MultiTaskConfig
from xmpress.modeling.model import MultiTaskModel
from xmpress.runtime.batching import INPUTS, pad, token_budget_batches
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import Calibration, FloatArray, TaskSet

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
REQUIRED = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass
class LoadedModel:
    """A model directory in memory; a `Predictor` for evaluation.

    Attributes:
        path: where it was read from.
        model: in evaluation mode.
        tokenizer: the same class the runtime uses.
    """

    path: Path
    model: MultiTaskModel
    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.resolve().name

    @property
    def tasks(self) -> TaskSet:
        """What it predicts."""
        tasks: TaskSet = self.model.config.task_set
        return tasks

    @property
    def calibration(self) -> dict[str, Calibration]:
        """How its scores become labels."""
        calibration: dict[str, Calibration] = self.model.config.calibrations()
        return calibration

    def logits(
        self, texts: Sequence[str], contexts: Sequence[str | None] | None = None
    ) -> dict[str, FloatArray]:
        """Per task float32 [n, L], in the order of the texts."""
        return predict(self.model, self.tokenizer, texts, contexts)


def read_config(path: str | Path) -> MultiTaskConfig:
    """Read the configuration of a model directory: its tasks and calibration, without the weights.

    Raises:
        ModelError: if it is not a model directory, or incomplete.
    """
    path = Path(path)
    if not path.is_dir():
        raise ModelError(f"there is no model directory {path}")
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise ModelError(
            f"{path} is not a complete model directory: {', '.join(missing)} missing. "
            "Copy or download it again."
        )
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path / 'config.json'} cannot be read: {error}") from error
    if not isinstance(config, MultiTaskConfig):
        raise ModelError(
            f"{path} holds a '{config.model_type}' encoder without task heads; "
            f"train it first: xmpress train --encoder {path} ..."
        )
    return config


def load_model(path: str | Path) -> LoadedModel:
    """Read a model directory.

    Raises:
        ModelError: if it is not one, incomplete, damaged, or its weights do not fit its config.
    """
    path = Path(path)
    config = read_config(path)
    tokenizer = Tokenizer.from_file(path / "tokenizer.json", max_length=config.max_length)
    transformers_logging.disable_progress_bar()
    try:
        loaded: Any = MultiTaskModel.from_pretrained(
            path, config=config, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{path / 'model.safetensors'} cannot be loaded: {error}") from error
    model, info = loaded
    wrong = [*info["missing_keys"], *info["mismatched_keys"], *info["unexpected_keys"]]
    if wrong:
        raise ModelError(f"the weights of {path} do not fit its config.json: {sorted(wrong)[:5]}")
    return LoadedModel(path, model.eval(), tokenizer)


def save_model(
    path: Path,
    model: MultiTaskModel,
    tokenizer_files: Path,
    *,
    texts: dict[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model directory, under its final name only when complete.

    Args:
        path: the directory to make.
        model: saved with its configuration, calibration included.
        tokenizer_files: a directory that holds ``tokenizer.json`` (and its configuration).
        texts: further files by name: the model card, the lock file, the history.
        overwrite: replace an existing directory.
    """
    transformers_logging.disable_progress_bar()
    with atomic_dir(path, overwrite=overwrite) as target:
        model.save_pretrained(target)
        copy_tokenizer(tokenizer_files, target)
        for name, content in (texts or {}).items():
            (target / name).write_text(content, encoding="utf-8")
    return path


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files from one model directory to another."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


@torch.inference_mode()
def predict(
    model: MultiTaskModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    contexts: Sequence[str | None] | None = None,
    *,
    budget: int | None = None,
) -> dict[str, FloatArray]:
    """Score texts in batches of like length: per task float32 [n, L], in the order given.

    Args:
        model: set to evaluation mode meanwhile.
        tokenizer: the model's.
        texts: the texts, n of them.
        contexts: per text its second segment, or ``None``.
        budget: padded tokens per batch; by default what suits the device.
    """
    if budget is None:
        # Batches that fit into a CPU's cache are a third faster there; a GPU wants large ones.
        budget = 1024 if model.device.type == "cpu" else 16_384
    encoded = tokenizer.encode(texts, contexts)
    logits = {
        task.name: np.zeros((len(texts), len(task)), np.float32) for task in model.config.task_set
    }
    inputs = INPUTS if model.uses_token_types else INPUTS[:2]
    training = model.training
    model.eval()
    for rows in token_budget_batches(encoded.lengths, budget=budget):
        batch = pad(encoded, rows, tokenizer.pad_id, inputs=inputs)
        output = model(**{k: torch.from_numpy(v).to(model.device) for k, v in batch.items()})
        for name, values in output.logits.items():
            logits[name][rows] = values.float().cpu().numpy()
    model.train(training)
    return logits
