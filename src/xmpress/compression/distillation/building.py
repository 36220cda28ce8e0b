"""Makes the objectives that a recipe names, for a student and its teachers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xmpress.compression.distillation.hidden import Hidden, HiddenAndMaps, map_layers
from xmpress.compression.distillation.logits import DistillationLoss, Logits
from xmpress.compression.distillation.mlm import MaskedLanguageModel
from xmpress.compression.distillation.objectives import Distillation, Objective
from xmpress.compression.distillation.params import DistillParams
from xmpress.compression.distillation.relations import (
    Attention,
    Relations,
    layer_number,
    relation_heads,
)
from xmpress.compression.distillation.states import encoder_config, projection_widths, show_maps
from xmpress.compression.distillation.teachers import StateTeacher
from xmpress.errors import RecipeError
from xmpress.modeling import MultiTaskModel
from xmpress.tasks import FloatArray
from xmpress.training.masking import Masking


@dataclass(frozen=True)
class Setting:
    """What objectives are made for.

    Attributes:
        params: of the pass.
        student: the model to train.
        teacher: runs beside it; ``None`` if no objective imitates states.
        soft: the teachers' logits per task; empty without ``logits``.
    """

    params: DistillParams
    student: MultiTaskModel
    teacher: StateTeacher | None
    soft: Mapping[str, FloatArray]

    @property
    def beside(self) -> StateTeacher:
        """The teacher of an objective that imitates states."""
        if self.teacher is None:
            raise RecipeError("distill: these objectives need a teacher that runs")
        return self.teacher

    @property
    def widths(self) -> dict[str, int]:
        """Of the hidden states of both."""
        configs = {"student": encoder_config(self.student), "teacher": self.beside.config}
        return {name: config.hidden_size for name, config in configs.items()}

    @property
    def teacher_layer(self) -> int:
        """From 0."""
        return layer_number(self.params.teacher_layer, self.beside.config.num_hidden_layers)


def build(setting: Setting, masking: Masking | None) -> Distillation:
    """Every objective of the recipe, and their sum.

    Raises:
        RecipeError: if one does not go with student or teacher.
        ModelError: if the states of an architecture cannot be found.
    """
    weights = setting.params.weights
    objectives = {name: _MAKERS[name](setting) for name in weights}
    if any("maps" in objective.looks for objective in objectives.values()):
        for model in (setting.student, setting.beside.model):
            show_maps(model)
    return Distillation(objectives, weights, teacher=setting.teacher, masking=masking)


def _logits(setting: Setting) -> Objective:
    params, tasks = setting.params, setting.student.config.task_set
    loss = DistillationLoss(tasks, setting.soft, temperature=params.temperature, alpha=params.alpha)
    return Logits(loss)


def _relations(setting: Setting) -> Objective:
    heads = relation_heads(
        projection_widths(setting.student)[-1],
        projection_widths(setting.beside.model)[setting.teacher_layer],
        setting.params.relation_heads,
    )
    return Relations(setting.teacher_layer, heads)


def _attention(setting: Setting) -> Objective:
    return Attention(setting.teacher_layer)


def _hidden(setting: Setting) -> Objective:
    layers = map_layers(
        setting.params.layer_map,
        student=encoder_config(setting.student).num_hidden_layers,
        teacher=setting.beside.config.num_hidden_layers,
    )
    kind = HiddenAndMaps if setting.params.attention_maps else Hidden
    return kind(layers, **setting.widths)


def _mlm(setting: Setting) -> Objective:
    widths = setting.widths
    models: dict[str, Any] = {"student": setting.student}
    if not setting.beside.predicts_tokens:
        models["teacher"] = setting.beside.model
    for name, model in models.items():
        vector = model.get_input_embeddings()(setting.beside.vocabulary[:1] * 0)
        if vector.shape[-1] != widths[name]:
            raise RecipeError(
                f"distill: mlm needs token embeddings as wide as the hidden states; the {name}'s "
                f"are {vector.shape[-1]} and {widths[name]} wide"
            )
    return MaskedLanguageModel(
        **widths,
        vocabulary=setting.beside.vocabulary,
        temperature=setting.params.temperature,
    )


_MAKERS: dict[str, Callable[[Setting], Objective]] = {
    "logits": _logits,
    "relations": _relations,
    "attention": _attention,
    "hidden": _hidden,
    "mlm": _mlm,
}
