"""The pass ``quantization_aware``: a model learns to be right when it is rounded.

While it trains, weights and activations of its linear layers are rounded exactly as the int8 graph
will round them, and gradients pass the rounding as if it were not there (the straight-through
estimator; Jacob et al., 2018). What it should say is said by the uncompressed model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmpress.compression.distillation import DistillationLoss
from xmpress.compression.passes import Context, Pass, PassParams
from xmpress.compression.quantization.dynamic import (
    LARGEST_ACTIVATION,
    LARGEST_WEIGHT,
    Activations,
)
from xmpress.compression.quantization.embeddings import EmbeddingMode
from xmpress.compression.quantization.graph import SMALLEST_EMBEDDING
from xmpress.compression.quantization.rounding import (
    LARGEST_INT4,
    SHRINK_INT4,
    SMALLEST_SCALE_INT4,
    largest_divisor,
)
from xmpress.compression.targets import labelled_for, soft_targets
from xmpress.modeling import load_model, save_model
from xmpress.modeling.model import MultiTaskModel
from xmpress.provenance import digest
from xmpress.training.card import model_card
from xmpress.training.checkpoint import Checkpoints
from xmpress.training.feed import Feed
from xmpress.training.loop import FitSettings, fit
from xmpress.training.monitor import Monitor
from xmpress.training.train import evaluator, finish, spread, training_splits

_TINY = 1e-12


class QuantizationAwareParams(PassParams):
    """Parameters of ``quantization_aware``; the first four as ``quantize`` will have them."""

    weight_bits: Literal[7, 8] = 7
    """Of the matrices, per output channel."""
    activations: Activations = "token"
    """One scale per ``token``, or one range per ``tensor``."""
    embedding: EmbeddingMode = "int8"
    """Of the embedding tables: ``int8``, ``int4``, or ``fp32``."""
    embedding_group: Annotated[int, Field(ge=1)] | None = 32
    """With ``int4``: at most so many weights of a row share a scale; null for the whole row."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Divides the logits of teacher and model."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Weight of the labels people gave, where there are any; the rest goes to the teacher."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows, drawn evenly over languages and tasks; all if left out."""
    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps; or give ``epochs``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the rows; 1 if neither is given."""
    batch_tokens: Annotated[int, Field(gt=0)] = 4096
    """Padded tokens per batch."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Batches per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5
    """Peak; small, for the model is trained already."""
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
    def _one_length(self) -> QuantizationAwareParams:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self

    def fit_settings(self, seed: int) -> FitSettings:
        """The part that the training loop reads."""
        shared = self.model_dump(include=set(FitSettings.model_fields) - {"temperature"})
        if self.steps is None and self.epochs is None:
            shared["epochs"] = 1.0
        return FitSettings(**shared, temperature=self.sampling, seed=seed)


class QuantizationAware(Pass[QuantizationAwareParams]):
    """Model directory in, model directory out; to be followed by ``quantize``."""

    Params: ClassVar[type[PassParams]] = QuantizationAwareParams
    needs_data: ClassVar[bool] = True

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Train with rounding, tune thresholds and temperatures with it, write without it."""
        params = self.params
        loaded = load_model(context.artefact.path)
        model, tokenizer = loaded.model, loaded.tokenizer
        # The teacher's own division of rows without a split, whatever the seed here.
        dataset = labelled_for(loaded.tasks, context)
        training, validation = training_splits(dataset, context.validation, seed=0)
        rows = training.where(tasks=loaded.tasks.names)
        if params.max_rows is not None:
            rows = spread(rows, params.max_rows, seed=context.seed)
        soft = soft_targets(loaded.tasks, rows, context)
        torch.manual_seed(context.seed)
        with rounded(
            model,
            weight_bits=params.weight_bits,
            activations=params.activations,
            embedding=params.embedding,
            embedding_group=params.embedding_group,
        ) as layers:
            progress = fit(
                model,
                DistillationLoss(
                    loaded.tasks, soft, temperature=params.temperature, alpha=params.alpha
                ),
                Feed(
                    rows,
                    tokenizer,
                    token_types=model.uses_token_types,
                    budget=params.batch_tokens,
                    temperature=params.sampling,
                    seed=context.seed,
                    weights=training.weights,
                ),
                params.fit_settings(context.seed),
                checkpoints=Checkpoints(context.workspace / "checkpoints"),
                fingerprint=digest(
                    [params.model_dump(mode="json"), rows.fingerprint, context.teacher.fingerprint]
                ),
                monitor=Monitor("quantization-aware", quiet=context.quiet),
                evaluate=evaluator(spread(validation, context.validation.rows, seed=0), tokenizer),
                resume=True,
            )
            scorecard = finish(
                model, tokenizer, spread(validation, context.validation.calibration_rows, seed=0)
            )
        card = model_card(context.name, model, {"data": context.data_name}, scorecard, dataset)
        save_model(target, model, loaded.path, texts={"README.md": card}, overwrite=True)
        return {
            "layers_rounded": layers,
            "texts": len(rows),
            "steps": progress.step,
            "best_step": progress.best_step,
            "validation": scorecard.summary,
            "history": progress.history,
        }


@contextmanager
def rounded(
    model: MultiTaskModel,
    *,
    weight_bits: Literal[7, 8] = 7,
    activations: Activations = "token",
    embedding: EmbeddingMode = "int8",
    embedding_group: int | None = None,
) -> Iterator[int]:
    """Let the linear layers and embeddings of an encoder round as their int8 graph does.

    The weights themselves stay as they are, and so do their names.

    Args:
        model: changed within the ``with`` block only.
        weight_bits: of the matrices.
        activations: a scale per token or a range per tensor.
        embedding: what the tables of at least `SMALLEST_EMBEDDING` rows will be.
        embedding_group: with ``int4``, so many weights of a row share a scale.

    Yields:
        The number of layers that round.
    """
    largest = LARGEST_WEIGHT[weight_bits]
    changed: list[nn.Module] = []
    for module in model.encoder.modules():
        if type(module) is nn.Linear:
            module.forward = partial(_linear, module, largest, activations)  # type: ignore[method-assign]
        elif (
            type(module) is nn.Embedding
            and embedding != "fp32"
            and module.num_embeddings >= SMALLEST_EMBEDDING
        ):
            module.forward = partial(_lookup, module, embedding, embedding_group)  # type: ignore[method-assign]
        else:
            continue
        changed.append(module)
    try:
        yield len(changed)
    finally:
        for module in changed:
            del module.forward


def _linear(layer: nn.Linear, largest: int, activations: Activations, values: Tensor) -> Tensor:
    weight = _straight_through(layer.weight, _symmetric(layer.weight.detach(), largest))
    detached = values.detach()
    by_token = activations == "token"
    rounded_values = _symmetric(detached, LARGEST_ACTIVATION) if by_token else _range(detached)
    return nn.functional.linear(_straight_through(values, rounded_values), weight, layer.bias)


def _lookup(table: nn.Embedding, mode: EmbeddingMode, group: int | None, ids: Tensor) -> Tensor:
    rows = nn.functional.embedding(ids, table.weight, table.padding_idx)
    detached = rows.detach()
    return _straight_through(
        rows, _symmetric(detached, 127) if mode == "int8" else _four_bits(detached, group)
    )


def _straight_through(values: Tensor, rounded_values: Tensor) -> Tensor:
    """The rounded values, with the gradient of those that were not."""
    return values + (rounded_values - values).detach()


def _symmetric(values: Tensor, largest: int) -> Tensor:
    """Rounded with a scale per row of the last axis."""
    scale = values.abs().amax(dim=-1, keepdim=True).clamp(min=_TINY) / largest
    return (values / scale).round() * scale


def _range(values: Tensor) -> Tensor:
    """Rounded to 256 steps from the least to the largest value, 0 among them."""
    low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
    scale = (high - low).clamp(min=_TINY) / 255
    zero = (-low / scale).round()
    return (((values / scale).round() + zero).clamp(0, 255) - zero) * scale


def _four_bits(values: Tensor, group: int | None) -> Tensor:
    """As `quantize_int4` rounds rows [..., c]."""
    width = values.shape[-1]
    size = largest_divisor(width, group or width)
    parts = values.unflatten(-1, (width // size, size))
    widest = parts.abs().amax(dim=-1, keepdim=True) / LARGEST_INT4
    best, error = parts, torch.full_like(widest, torch.inf)
    for shrink in SHRINK_INT4:
        scale = (widest * float(shrink)).clamp(min=SMALLEST_SCALE_INT4).half().to(parts.dtype)
        tried = (parts / scale).round().clamp(-LARGEST_INT4, LARGEST_INT4) * scale
        lost = (tried - parts).square().sum(dim=-1, keepdim=True)
        best, error = torch.where(lost < error, tried, best), torch.minimum(lost, error)
    table: Tensor = best.flatten(-2)
    return table
