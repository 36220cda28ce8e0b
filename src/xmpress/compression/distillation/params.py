"""The parameters of ``distill``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xmpress.compression.passes import PassParams
from xmpress.training.loop import FitSettings
from xmpress.validation import expects, is_number

ObjectiveName = Literal["logits", "relations", "attention", "hidden", "mlm"]
PARTS = ("embedding", "layers", "encoder", "heads")

_BELONGS: dict[str, tuple[str, ...]] = {
    "temperature": ("logits", "mlm"),
    "alpha": ("logits",),
    "relation_heads": ("relations",),
    "teacher_layer": ("relations", "attention"),
    "layer_map": ("hidden",),
    "attention_maps": ("hidden",),
}
"""Parameters that only some objectives read."""


def _is_part(part: Any) -> bool:
    if isinstance(part, dict):
        return list(part) == ["layers"] and is_number(part["layers"], 1)
    return part in PARTS


def _are_models(teachers: Any) -> bool:
    if isinstance(teachers, dict):
        return bool(teachers) and all(isinstance(t, str) for pair in teachers.items() for t in pair)
    return _is_list(teachers) and all(isinstance(teacher, str) for teacher in teachers)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value)


class DistillParams(PassParams):
    """Parameters of ``distill``."""

    objective: ObjectiveName = "logits"
    """What the student imitates: the scores of every head (``logits``); or, knowing no tasks, the
    relations of the teacher's queries, keys and values (``relations``, MiniLMv2), its attention
    maps (``attention``, MiniLM), its hidden states (``hidden``, TinyBERT), its predictions of
    hidden tokens (``mlm``, DistilBERT)."""
    objectives: dict[ObjectiveName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Instead of one objective several, each with its weight: ``{logits: 1.0, hidden: 0.1}``."""
    teachers: Annotated[
        dict[str, str] | tuple[str, ...] | None,
        expects(
            "a list of models, or a model for each task",
            lambda teachers: teachers is None or _are_models(teachers),
        ),
    ] = None
    """Instead of the recipe's teacher: models whose answers are averaged (``[runs/a, runs/b]``), or
    one for each task (``{sentiment: runs/a, emotion: runs/b}``). Objectives that imitate states use
    the only one named, or the recipe's teacher."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Divides the scores of both; above 1 the teacher's unlikely labels say more."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Weight of the labels people gave, where there are any; the rest goes to the teacher."""
    relation_heads: Annotated[int, Field(ge=1)] | None = None
    """Into how many heads queries, keys and values are cut; if left out, heads of the teacher are
    16 wide, or wider if that does not divide both widths."""
    teacher_layer: int = -1
    """The layer of the teacher that the student's last one imitates, from 0, or from the end: -1.
    Of 24 layers the 21st (-4) is better than the last."""
    layer_map: Annotated[
        str | tuple[int | None, ...],
        expects(
            "'uniform', or a list with the teacher's layer, or null, for each of the student's",
            lambda layers: (
                layers == "uniform"
                or (_is_list(layers) and all(n is None or is_number(n, -1000) for n in layers))
            ),
        ),
    ] = "uniform"
    """Which layer of the teacher each layer of the student imitates, from 0, or from the end; null
    leaves one free. ``uniform``: the last of each of equal blocks."""
    attention_maps: bool = False
    """Compare the attention maps of these layers too; needs equal numbers of heads."""
    freeze: Annotated[
        tuple[str | dict[str, int], ...],
        expects(
            "a list of embedding, layers, 'layers: 4', encoder, heads",
            lambda parts: isinstance(parts, list | tuple) and all(map(_is_part, parts)),
        ),
    ] = ()
    """What is not trained: ``embedding``, ``layers`` (or ``layers: 4``, the lowest four),
    ``encoder`` (all but the heads), ``heads``."""
    transfer: str | None = None
    """Further text, which needs no labels: a file, folder or glob."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows, drawn evenly over languages and tasks, but as they come where rows
    without labels are used too (see ``sampling``); all if left out."""
    steps: Annotated[int, Field(gt=0)] | None = None
    """Optimizer steps; or give ``epochs``."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the rows. If neither is given 3, or as many as make 200 steps."""
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
    """Temperature of the sampling over language and tasks: 1 as in the data, larger more even. With
    ``transfer`` or without ``logits`` all texts are shown, labelled or not, in the data's own
    proportions."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Steps between validations, the best of which is kept; four in all if left out. Without
    ``logits`` nothing is validated, and the last step is kept."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    """Steps between checkpoints."""

    @model_validator(mode="after")
    def _goes_together(self) -> DistillParams:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        if self.objectives and "objective" in self.model_fields_set:
            raise ValueError("give objective or objectives, not both")
        for name, owners in _BELONGS.items():
            if name in self.model_fields_set and not set(owners) & set(self.weights):
                raise ValueError(
                    f"{name} is for the objective {' or '.join(owners)}, not for "
                    f"{', '.join(self.weights)}; leave it out"
                )
        return self

    @property
    def weights(self) -> dict[str, float]:
        """Every objective with its weight."""
        return {str(name): w for name, w in self.objectives.items()} or {self.objective: 1.0}

    def fit_settings(self, seed: int) -> FitSettings:
        """The part that the training loop reads."""
        shared = self.model_dump(include=set(FitSettings.model_fields) - {"temperature"})
        return FitSettings(**shared, temperature=self.sampling, seed=seed)
