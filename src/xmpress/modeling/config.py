"""The configuration of a multi-task model, as it stands in ``config.json``."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from xmpress.tasks import Calibration, TaskSet

Pooling = Literal["mean", "first"]


@strict
class MultiTaskConfig(PreTrainedConfig):  # type: ignore[misc, unused-ignore]
    """Encoder, tasks and everything needed to read the model's outputs.

    Attributes:
        encoder_config: the encoder's own configuration, of any Hugging Face architecture.
        tasks: the task definitions, as `TaskSet` writes them.
        pooling: ``mean`` over the tokens of a text, or its ``first`` token.
        head_dropout: dropout on the pooled vector before each head.
        max_length: tokens per text, special tokens included; longer texts are cut.
        languages: BCP 47 primary subtags the model was trained on.
        calibration: per task, how scores become labels (`Calibration`), tuned on validation data.
    """

    model_type = "xmpress"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="bert"),
    }

    encoder_config: dict[str, Any] | PreTrainedConfig | None = None
    tasks: list[dict[str, Any]] | None = None
    pooling: str = "mean"
    head_dropout: float = 0.1
    max_length: int = 128
    languages: list[str] | None = None
    calibration: dict[str, Any] | None = None

    @property
    def task_set(self) -> TaskSet:
        """The tasks as objects."""
        return TaskSet.model_validate({"tasks": self.tasks or []})

    def calibrations(self) -> dict[str, Calibration]:
        """Per task; the identity where nothing was tuned."""
        stored = self.calibration or {}
        return {
            task.name: Calibration.model_validate(stored.get(task.name, {}))
            for task in self.task_set
        }
