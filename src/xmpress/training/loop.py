"""The training loop: readable from top to bottom, the same result after any interruption."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Annotated, Any, Literal

import torch
from accelerate import Accelerator
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from xmpress.errors import TrainingError
from xmpress.modeling.model import MultiTaskModel
from xmpress.training.checkpoint import Checkpoints, Progress
from xmpress.training.feed import Batch, Feed
from xmpress.training.monitor import Monitor
from xmpress.training.sampling import Rows

Evaluate = Callable[[MultiTaskModel], float]


class FitSettings(BaseModel):
    """How long and how to optimise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps; or give ``epochs``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over as many rows as there are; 3 if neither is given."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Padded tokens per batch and process."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Batches per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """Peak; reached after the warm-up, then linear to 0. About 5e-4 for random weights."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.06
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW; not on biases and norms."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    temperature: Annotated[float, Field(ge=1)] = 2.0
    """Sampling over language and tasks: 1 as in the data, larger is more even."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Steps between validations; four times per training if not given."""
    patience: Annotated[int, Field(gt=0)] | None = None
    """Stop after this many validations without a better one."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    """Steps between checkpoints."""
    seed: int = 0
    """Of initial weights, sampling, dropout."""

    @model_validator(mode="after")
    def _one_length(self) -> FitSettings:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self


class _Step(nn.Module):
    """Model and objective as one module, so that objectives may have parameters of their own."""

    def __init__(self, model: MultiTaskModel, objective: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if getattr(self.objective, "runs_model", False):
            found: tuple[Tensor, dict[str, Tensor]] = self.objective(self.model, batch)
            return found
        wanted: dict[str, Any] = getattr(self.objective, "wanted", {})
        loss: tuple[Tensor, dict[str, Tensor]] = self.objective(
            self.model(**batch.inputs, **wanted), batch
        )
        return loss


def fit(
    model: MultiTaskModel,
    objective: nn.Module,
    feed: Feed,
    settings: FitSettings,
    *,
    checkpoints: Checkpoints,
    fingerprint: str,
    monitor: Monitor,
    evaluate: Evaluate | None = None,
    resume: bool = False,
) -> Progress:
    """Optimise a model; on return it holds the best weights (the last if nothing was evaluated).

    Args:
        model: trained in place.
        objective: called with the model's output and the batch; returns the loss and, for the
            display, its parts by name. Its attribute ``wanted``, if any, goes to the model's
            forward (``{"output_hidden_states": True}``). One whose attribute ``runs_model`` is
            true is called with the model itself and the batch.
        feed: the batches.
        settings: how long and how.
        checkpoints: where the training's state is kept while it runs.
        fingerprint: of everything the result depends on.
        monitor: shows what happens.
        evaluate: validation metric of a model, higher is better.
        resume: go on from the latest checkpoint, if there is one.

    Raises:
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is written.
        TrainingError: if the loss is not a number, or the checkpoint is of another training.
    """
    accelerator = Accelerator(mixed_precision=settings.precision)
    device = accelerator.device
    per_step = settings.accumulate * accelerator.num_processes
    total = settings.steps or max(
        1, int((settings.epochs or 3.0) * (len(feed.epoch(0)) // per_step or 1))
    )
    torch.manual_seed(settings.seed)
    module = _Step(model, objective)
    optimizer = torch.optim.AdamW(
        _parameter_groups(module, settings), lr=settings.learning_rate, fused=True
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(total, settings.warmup))
    prepared, optimizer = accelerator.prepare(module.to(device), optimizer)
    parts = {"module": module, "optimizer": optimizer, "scheduler": scheduler}
    if accelerator.scaler is not None:
        parts["scaler"] = accelerator.scaler

    progress = Progress(fingerprint)
    if resume:
        progress = checkpoints.resume(parts, fingerprint) or progress
    evaluate_every = settings.evaluate_every or max(1, total // 4)
    worse = 0
    with _Interruption() as interruption, monitor.training(total, progress.step):
        for epoch, position, micro_batches in _steps(feed, per_step, progress):
            if progress.step >= total:
                break
            # One seed per step and process: nothing random depends on what ran before.
            torch.manual_seed(settings.seed + 1_000_003 * progress.step + accelerator.process_index)
            started, texts, losses = time.perf_counter(), 0, {}
            prepared.train()
            mine = micro_batches[accelerator.process_index :: accelerator.num_processes]
            for number, rows in enumerate(mine, start=1):
                batch = feed.batch(rows).to(device)
                last = number == len(mine)
                with contextlib.nullcontext() if last else accelerator.no_sync(prepared):
                    with accelerator.autocast():
                        loss, losses = prepared(batch)
                    accelerator.backward(loss / len(mine))
                texts += len(batch)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} at step {progress.step}; "
                    "a smaller fit.learning_rate or fit.precision=no usually helps"
                )
            accelerator.clip_grad_norm_(prepared.parameters(), settings.clip)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            progress.epoch, progress.position = epoch, position + 1
            monitor.step(
                progress.step,
                loss=loss.item(),
                parts={name: value.item() for name, value in losses.items()},
                learning_rate=float(scheduler.get_last_lr()[0]),
                texts=texts * accelerator.num_processes,
                seconds=time.perf_counter() - started,
            )
            finished = progress.step == total
            if evaluate and (finished or progress.step % evaluate_every == 0):
                metric = evaluate(model)
                worse = 0 if metric > progress.best_metric else worse + 1
                entry = {"step": progress.step, "metric": metric, "loss": loss.item()}
                progress.history.append(entry)
                monitor.evaluated(progress.step, metric)
                if not worse:
                    progress.best_step, progress.best_metric = progress.step, metric
                    if accelerator.is_main_process:
                        checkpoints.save_best(model, progress)
                if settings.patience and worse >= settings.patience:
                    break
            if interruption.asked or progress.step % settings.checkpoint_every == 0:
                checkpoints.save(accelerator, parts, progress)
            if interruption.asked:
                raise KeyboardInterrupt
    accelerator.wait_for_everyone()
    checkpoints.load_best(model, progress)
    return progress


def _steps(feed: Feed, per_step: int, progress: Progress) -> Iterator[tuple[int, int, list[Rows]]]:
    """Epoch, step within it, and the batches of that step, from where the training stands, on."""
    epoch, position = progress.epoch, progress.position
    while True:
        batches = feed.epoch(epoch)
        while len(batches) < per_step:
            batches += batches
        for start in range(position, len(batches) // per_step):
            yield epoch, start, batches[start * per_step : (start + 1) * per_step]
        epoch, position = epoch + 1, 0


def _parameter_groups(module: nn.Module, settings: FitSettings) -> list[dict[str, Any]]:
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _schedule(total: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, int(total * warmup))
    return lambda step: min((step + 1) / rising, max(0.0, (total - step) / max(1, total - rising)))


class _Interruption:
    """Turns SIGINT and SIGTERM into a wish granted after the running step; the second kills."""

    asked = False

    def __enter__(self) -> _Interruption:
        self._previous: dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            # Signals can only be handled in the main thread.
            with contextlib.suppress(ValueError):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
