"""The pass ``prune``: heads, feed-forward units, layers and hidden dimensions are removed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from accelerate import PartialState
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from xmpress.compression.passes import Context, Pass, PassParams
from xmpress.compression.pruning.choice import choose
from xmpress.compression.pruning.importance import Scores, by_magnitude, by_taylor
from xmpress.compression.pruning.movement import Movement
from xmpress.compression.pruning.recovery import Recover, Trainer
from xmpress.compression.pruning.structure import (
    Kind,
    describe,
    keep_layers,
    multiple_of,
    units,
)
from xmpress.compression.rewriting import save_changed
from xmpress.modeling import LoadedModel, MultiTaskModel, load_model, save_model
from xmpress.modeling.model import count_parameters
from xmpress.modeling.shapes import layer_parts, pruned_shapes
from xmpress.training.losses import MultiTaskLoss
from xmpress.training.train import finish, spread

Share = Annotated[float, Field(gt=0, le=1)]
ORDER: tuple[Kind, ...] = ("layers", "heads", "ffn", "hidden")
"""In which kinds are removed: a layer first, since its heads need no choice then."""


class Schedule(BaseModel):
    """In how many rounds units are scored, removed, and the rest trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Annotated[int, Field(ge=1)] = 1
    """Rounds; each removes the same share of what is left, and gets its part of ``recover``."""


class PruneParams(PassParams):
    """Parameters of ``prune``."""

    what: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("heads", "ffn")
    """What is removed: attention ``heads``, feed-forward units (``ffn``), whole ``layers``,
    ``hidden`` dimensions."""
    keep: Share | dict[Kind, Share] = 0.7
    """The share that stays, over all layers together; or one for each kind of ``what``."""
    importance: Literal["magnitude", "taylor", "movement"] = "taylor"
    """What is removed first: units whose weights are small; whose loss would change least, to first
    order, on the recipe's data; or that a training with masks turns away from (heads and ffn)."""
    rows: Annotated[int, Field(ge=1)] = 2048
    """Texts on which ``taylor`` looks, spread over languages and tasks."""
    schedule: Schedule = Schedule()
    """Rounds, for magnitude and taylor."""
    recover: Recover | None = None
    """A training after each round, with the teacher's scores; for ``movement`` also the training
    that learns the masks, once more as long."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if len(set(self.what)) < len(self.what):
            raise ValueError("what names a kind twice")
        if isinstance(self.keep, dict) and set(self.keep) != set(self.what):
            raise ValueError(
                f"keep must have a share for each of {', '.join(self.what)}, and no other "
                f"(found {', '.join(self.keep)})"
            )
        if self.importance == "movement":
            if not set(self.what) <= {"heads", "ffn"}:
                raise ValueError("movement prunes heads and ffn; for others use taylor")
            if self.recover is None:
                raise ValueError("movement learns while training: give recover, e.g. {epochs: 1}")
            if self.schedule.steps != 1:
                raise ValueError("movement has a schedule of its own; leave schedule out")
        return self

    @property
    def shares(self) -> dict[Kind, float]:
        """What stays of each kind, in the order in which kinds are removed."""
        keep = self.keep if isinstance(self.keep, dict) else dict.fromkeys(self.what, self.keep)
        return {kind: keep[kind] for kind in ORDER if kind in keep}


class Prune(Pass[PruneParams]):
    """Model directory in, model directory out.

    What is removed is gone from the weights, and layers may come to differ in size; the
    configuration says how (`xmpress.modeling.shapes`), so that the result loads like any other.
    At least one head, and some feed-forward units, stay in each layer.
    """

    Params: ClassVar[type[PassParams]] = PruneParams

    @property
    def needs_data(self) -> bool:  # type: ignore[override]
        """To score and to train."""
        return self.params.importance != "magnitude" or self.params.recover is not None

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Score, remove, train, as often as asked; calibrate and write."""
        params = self.params
        torch.manual_seed(context.seed)
        loaded = load_model(context.artefact.path)
        before = sizes(loaded.model)
        trainer = None
        if self.needs_data:
            trainer = Trainer.of(context, loaded, params.recover or Recover())
        validated = []
        if params.importance == "movement" and trainer is not None:
            validated.append(self._by_movement(loaded, trainer))
        else:
            loaded, validated = self._in_rounds(loaded, trainer, before, context)
        details: dict[str, Any] = {"before": before, "after": sizes(loaded.model)}
        _move(loaded.model, torch.device("cpu"))
        if trainer is not None:
            rows = spread(trainer.validation, context.validation.calibration_rows, seed=0)
            details["validation"] = finish(loaded.model, loaded.tokenizer, rows).summary
            details["validated"] = validated
        what = ", ".join(f"{kind} to {100 * share:.0f} %" for kind, share in params.shares.items())
        save_changed(target, loaded, f"Pruned by {params.importance}: {what}.")
        return details

    def _in_rounds(
        self,
        loaded: LoadedModel,
        trainer: Trainer | None,
        before: dict[str, Any],
        context: Context,
    ) -> tuple[LoadedModel, list[float | None]]:
        """Score, remove and train; a round that was finished before an interruption is kept."""
        rounds = self.params.schedule.steps
        source, validated = loaded.path, list[float | None]()
        for number in range(1, rounds + 1):
            done = context.workspace / f"round-{number}"
            if done.is_dir():
                loaded = LoadedModel(source, load_model(done).model, loaded.tokenizer)
                validated.append(None)
                continue
            wanted = {
                kind: max(1, round(total(before, kind) * share ** (number / rounds)))
                for kind, share in self._shares_of_all().items()
            }
            prune(loaded.model, self._score(loaded, trainer), wanted)
            context.say(f"prune: round {number} of {rounds}, {sizes(loaded.model)}")
            if trainer is not None and self.params.recover is not None:
                steps = trainer.steps(loaded, rounds=rounds)
                objective = trainer.loss(loaded.model)
                name = f"recover-{number}"
                validated.append(trainer.train(loaded, objective, steps=steps, name=name))
                if number < rounds:
                    _move(loaded.model, torch.device("cpu"))
                    save_model(done, loaded.model, source)
        return loaded, validated

    def _shares_of_all(self) -> dict[Kind, float]:
        """What stays of the units there are now: shares are of the layers that stay."""
        shares = self.params.shares
        layers = shares.get("layers", 1.0)
        within = {"heads", "ffn"}
        return {k: share * layers if k in within else share for k, share in shares.items()}

    def _score(self, loaded: LoadedModel, trainer: Trainer | None) -> Scores:
        kinds = tuple(self.params.shares)
        if self.params.importance == "magnitude" or trainer is None:
            return by_magnitude(loaded.model, kinds)
        rows = spread(trainer.training, self.params.rows, seed=trainer.context.seed)
        feed = trainer.feed(loaded, rows)
        _move(loaded.model, PartialState().device)
        batches = (feed.batch(numbers) for numbers in feed.epoch(0))
        return by_taylor(loaded.model, kinds, batches, MultiTaskLoss(loaded.tasks))

    def _by_movement(self, loaded: LoadedModel, trainer: Trainer) -> float | None:
        steps = trainer.steps(loaded, rounds=1)
        keep = {str(kind): share for kind, share in self.params.shares.items()}
        movement = Movement(loaded.model, trainer.loss(loaded.model), keep, steps=steps)
        with movement.applied(loaded.model):
            # The best step would be one with fewer masks than asked for.
            trainer.train(loaded, movement, steps=steps, name="movement", keep_best=False)
        for kind in self.params.shares:
            for group, kept in zip(
                units(loaded.model, kind), movement.kept(kind, keep[kind]), strict=True
            ):
                group.keep(kept)
        _settle(loaded.model)
        return trainer.train(loaded, trainer.loss(loaded.model), steps=steps, name="recover")


def prune(model: MultiTaskModel, scores: Scores, wanted: Mapping[Kind, int]) -> None:
    """Remove all but the most important units of each kind, in place.

    Args:
        model: the model; its configuration changes too.
        scores: of the units it has.
        wanted: per kind how many stay in all.

    Raises:
        ModelError: if the architecture is not known.
    """
    groups = {kind: units(model, kind) for kind in wanted if kind != "layers"}
    kept_layers = None
    for kind in ORDER:
        if kind not in wanted:
            continue
        if kind == "layers":
            (kept_layers,) = choose(scores[kind], wanted[kind])
            continue
        staying = list(zip(groups[kind], scores[kind], strict=True))
        if kept_layers is not None and kind != "hidden":
            staying = [staying[int(number)] for number in kept_layers]
        kept = choose(
            [importance for _, importance in staying],
            wanted[kind],
            multiple=multiple_of(model, kind),
        )
        for (group, _), numbers in zip(staying, kept, strict=True):
            group.keep(numbers)
    if kept_layers is not None:
        keep_layers(model, kept_layers)
    _settle(model)


def sizes(model: MultiTaskModel) -> dict[str, Any]:
    """Layers, heads, feed-forward units, hidden dimensions and parameters of a model."""
    shapes = pruned_shapes(model.encoder)
    return {
        "layers": len(shapes.heads),
        "heads": shapes.heads,
        "ffn": shapes.ffn,
        "hidden": model.config.encoder_config.hidden_size,
        "parameters": count_parameters(model),
    }


def total(found: Mapping[str, Any], kind: Kind) -> int:
    """How many units of a kind `sizes` tells of."""
    value = found[kind]
    return int(sum(value) if isinstance(value, list) else value)


def _move(model: nn.Module, device: torch.device) -> None:
    model.to(device)


def _settle(model: MultiTaskModel) -> None:
    """Make modules and configuration agree with the weights that are left."""
    for part in layer_parts(model.encoder):
        part.tell_heads(part.head_size)
    describe(model)
