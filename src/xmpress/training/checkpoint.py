"""Checkpoints that survive a kill at any moment: complete ones bear their final name, only they."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn

from xmpress.data.files import atomic_dir, atomic_path
from xmpress.errors import TrainingError


@dataclass
class Progress:
    """Where a training stands; with the weights and the optimizer all there is to go on from.

    Attributes:
        fingerprint: of configuration and data; a checkpoint of another training is refused.
        step: optimizer steps done.
        epoch: the epoch of the next step.
        position: the number of the next step within its epoch.
        best_step: the step whose weights are kept, 0 if none was evaluated yet.
        best_metric: their validation metric.
        history: one entry per evaluation.
        seconds: spent in the loop.
        losses: of the training, by name, smoothed over some fifty steps.
    """

    fingerprint: str
    step: int = 0
    epoch: int = 0
    position: int = 0
    best_step: int = 0
    best_metric: float = float("-inf")
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, accelerator: Accelerator, parts: Mapping[str, Any], progress: Progress) -> None:
        """Write one, then remove what it replaces.

        Args:
            accelerator: of the training; only its main process writes.
            parts: whatever has a ``state_dict``: model, optimizer, gradient scaler.
            progress: where the training stands.
        """
        if accelerator.is_main_process:
            name = f"step-{progress.step:08d}"
            with atomic_dir(self.directory / name, overwrite=True) as target:
                states = {key: part.state_dict() for key, part in parts.items()}
                torch.save(states, target / "state.pt")
                (target / "progress.json").write_text(json.dumps(asdict(progress)))
            kept = {name, _best_name(progress.best_step)}
            for path in self.directory.iterdir():
                if path.name.startswith("step-") and path.name not in kept:
                    shutil.rmtree(path)
                elif path.name.startswith("best-") and path.name not in kept:
                    path.unlink()
        accelerator.wait_for_everyone()

    def save_best(self, model: nn.Module, progress: Progress) -> None:
        """Keep the weights of the best step so far."""
        self.directory.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        with atomic_path(self.directory / _best_name(progress.best_step)) as target:
            save_file(state, target)

    def load_best(self, model: nn.Module, progress: Progress) -> None:
        """Put the best weights back, if any step was evaluated."""
        if progress.best_step:
            model.load_state_dict(load_file(self.directory / _best_name(progress.best_step)))

    def resume(self, parts: Mapping[str, Any], fingerprint: str) -> Progress | None:
        """Load the latest complete checkpoint; ``None`` if there is none.

        Raises:
            TrainingError: if it belongs to another configuration or other data.
        """
        complete = sorted(self.directory.glob("step-*/progress.json"))
        if not complete:
            return None
        progress = Progress(**json.loads(complete[-1].read_text()))
        if progress.fingerprint != fingerprint:
            raise TrainingError(
                f"the checkpoint in {self.directory} was made with another configuration or other "
                "data; go on with the same ones, or remove it to start again"
            )
        states = torch.load(
            complete[-1].with_name("state.pt"), map_location="cpu", weights_only=True
        )
        for key, part in parts.items():
            part.load_state_dict(states[key])
        return progress

    def exist(self) -> bool:
        """Whether there is a complete one."""
        return any(self.directory.glob("step-*/progress.json"))

    def remove(self) -> None:
        """Delete them all, once the final artefact is written."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _best_name(step: int) -> str:
    return f"best-{step:08d}.safetensors"
