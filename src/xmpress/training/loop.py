"""The training loop: readable from top to bottom, the same result after any interruption."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Annotated, Any, Literal, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from xmpress.errors import TrainingError
from xmpress.training.checkpoint import Checkpoints, Progress
from xmpress.training.feed import Batch, Batches
from xmpress.training.monitor import Monitor

Model = TypeVar("Model", bound=nn.Module)

SMOOTHING = 0.98
"""Of the losses that `Progress` keeps."""
FEWEST_STEPS = 200
"""Of a training whose length nobody chose."""


class FitSettings(BaseModel):
    """How long and how to optimise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps; or give ``epochs`` or ``minutes``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over as many rows as there are. If no length is given 3, or as many as make 200 steps:
    a few hundred labels are seen often enough to be learned."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Time in the loop, interruptions left out; the learning rate follows the clock, so that a
    second run gives another result."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Padded tokens per batch and process."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Batches per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak; reached after the warm-up, then linear to 0. If left out 5e-5 for an encoder 768 wide,
    2e-4 for one of 384, and so on. About 5e-4 for random weights."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.06
    """Share of the training."""
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
        if sum(length is not None for length in (self.steps, self.epochs, self.minutes)) > 1:
            raise ValueError("give one of steps, epochs and minutes")
        return self


class _Step(nn.Module):
    """Model and objective as one module, so that objectives may have parameters of their own."""

    def __init__(self, model: nn.Module, objective: nn.Module) -> None:
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
    model: Model,
    objective: nn.Module,
    feed: Batches,
    settings: FitSettings,
    *,
    checkpoints: Checkpoints,
    fingerprint: str,
    monitor: Monitor,
    evaluate: Callable[[Model], float] | None = None,
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
    # An earlier training of this process may have been of another precision.
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=settings.precision)
    device = accelerator.device
    per_step = settings.accumulate * accelerator.num_processes
    budget = _Budget(settings, feed, per_step, accelerator)
    torch.manual_seed(settings.seed)
    module = _Step(model, objective)
    peak = settings.learning_rate or default_learning_rate(model)
    optimizer = torch.optim.AdamW(_parameter_groups(module, settings), lr=peak, fused=True)
    prepared, optimizer = accelerator.prepare(module.to(device), optimizer)
    parts = {"module": module, "optimizer": optimizer}
    if accelerator.scaler is not None:
        parts["scaler"] = accelerator.scaler

    progress = Progress(fingerprint)
    if resume:
        progress = checkpoints.resume(parts, fingerprint) or progress
    worse = 0
    budget.start(progress)
    with _Interruption() as interruption, monitor.training(*budget.display(progress)):
        for epoch, position, micro_batches in _steps(feed, per_step, progress):
            if budget.spent(progress):
                break
            learning_rate = peak * budget.rate(progress)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
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
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            progress.epoch, progress.position = epoch, position + 1
            numbers = {name: value.item() for name, value in losses.items()}
            for name, value in {"loss": loss.item(), **numbers}.items():
                old = progress.losses.get(name, value)
                progress.losses[name] = SMOOTHING * old + (1 - SMOOTHING) * value
            due = budget.advance(progress)
            monitor.step(
                progress.step,
                loss=loss.item(),
                parts=numbers,
                learning_rate=learning_rate,
                texts=texts * accelerator.num_processes,
                seconds=time.perf_counter() - started,
                completed=budget.display(progress)[1],
            )
            if evaluate and due:
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


def default_learning_rate(model: nn.Module) -> float:
    """For fine-tuning pretrained weights: the narrower the encoder, the larger.

    5e-5 is customary at 768 (Devlin et al., 2019); from there it falls with the square of the
    width, and is 5e-4 at most.
    """
    config: Any = getattr(model, "config", None)
    width = getattr(getattr(config, "encoder_config", config), "hidden_size", None) or 768
    return min(5e-4, 5e-5 * (768 / float(width)) ** 2)


class _Budget:
    """How much of a training is done: by its steps, or by the time spent in the loop."""

    def __init__(
        self, settings: FitSettings, feed: Batches, per_step: int, accelerator: Accelerator
    ) -> None:
        self.minutes, self.warmup = settings.minutes, settings.warmup
        self.accelerator = accelerator
        self.total = 0
        if self.minutes is None:
            per_epoch = len(feed.epoch(0)) // per_step or 1
            if settings.steps:
                self.total = settings.steps
            elif settings.epochs:
                self.total = max(1, int(settings.epochs * per_epoch))
            else:
                self.total = max(FEWEST_STEPS, 3 * per_epoch)
        self.every = settings.evaluate_every or self.total // 4 or (0 if self.minutes else 1)

    def start(self, progress: Progress) -> None:
        """Start the clock, where an interrupted training stopped it."""
        self._began = time.perf_counter() - progress.seconds

    def done(self, progress: Progress) -> float:
        """The share that is done; may exceed 1."""
        if self.minutes is None:
            return progress.step / self.total
        return progress.seconds / (60 * self.minutes)

    def spent(self, progress: Progress) -> bool:
        """Whether the training has reached its end."""
        return self.done(progress) >= 1

    def rate(self, progress: Progress) -> float:
        """The factor of the learning rate in the next step: rises to 1, then falls to 0."""
        if self.minutes is None:
            total, step = self.total, progress.step
            rising = max(1, int(total * self.warmup))
            return min((step + 1) / rising, (total - step) / max(1, total - rising))
        done = self.done(progress)
        return min(done / max(self.warmup, 1e-9), (1 - done) / (1 - self.warmup))

    def advance(self, progress: Progress) -> bool:
        """Look at the clock after a step; whether the model is due for a validation."""
        before = self.done(progress)
        seconds = time.perf_counter() - self._began
        if self.accelerator.num_processes > 1:
            # All processes must stop at the same step.
            clock = torch.tensor(seconds, dtype=torch.float64, device=self.accelerator.device)
            seconds = broadcast(clock).item()
        progress.seconds = seconds
        if self.spent(progress):
            return True
        if self.every:
            return progress.step % self.every == 0
        return int(4 * before) < int(4 * self.done(progress))

    def display(self, progress: Progress) -> tuple[int, int]:
        """Length and position of a progress bar, in steps or seconds."""
        if self.minutes is None:
            return self.total, progress.step
        return round(60 * self.minutes), int(progress.seconds)


def _steps(
    feed: Batches, per_step: int, progress: Progress
) -> Iterator[tuple[int, int, list[Any]]]:
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
