"""What a training is told: one YAML file, every key with its meaning and default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xmpress.data import Columns, tasks_named_by
from xmpress.data.splits import ValidationSettings
from xmpress.errors import ConfigError
from xmpress.settings import merge, override, read_yaml
from xmpress.tasks import Task, TaskSet
from xmpress.training.loop import FitSettings
from xmpress.validation import problems_of


class TrainConfig(BaseModel):
    """Everything `train` needs; read one with `TrainConfig.load`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    """A file, a folder, a data config (.yaml), or ``sample``."""
    tasks: str | list[Task] | None = None
    """A packaged task set, a task file, or the tasks themselves; if left out, those of the
    data config, else ``experience``."""
    only_tasks: list[str] | None = None
    """Train only these of the tasks; one gives a single-task model."""
    only_languages: list[str] | None = None
    """Train only on rows of these languages; the others are for testing how far it carries over."""
    encoder: str | dict[str, Any]
    """A hub name, a directory, a zoo name (``zoo:small``), a configuration file, or the
    configuration itself (``{model_type: bert, num_hidden_layers: 4, ...}``): random weights."""
    tokenizer: str | None = None
    """Directory with ``tokenizer.json``, or a zoo name (``zoo:default``), for an encoder with
    random weights; learned if absent."""
    vocab_size: Annotated[int, Field(ge=300)] = 32_000
    """Size of a tokenizer that is learned."""
    pooling: Literal["mean", "first"] = "mean"
    """How token states become one vector per text."""
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout before each head."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Tokens per text; longer ones are cut."""
    columns: Columns | None = None
    """Names of the columns, for plain files."""
    source_weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    """How much more often the rows of a source are shown, on top of the data config's weight."""
    loss_weights: Literal["uncertainty"] | dict[str, Annotated[float, Field(ge=0)]] = {}
    """A factor per task, or ``uncertainty`` to learn them (Kendall et al., 2018)."""
    validation: ValidationSettings = ValidationSettings()
    """Which rows choose the best step."""
    fit: FitSettings = FitSettings()
    """How long and how to optimise."""
    tensorboard: bool = False
    """Write TensorBoard event files beside the model."""

    @classmethod
    def load(cls, path: str | Path | None, overrides: Sequence[str] = (), **settings: Any) -> Self:
        """Read a file, put further settings on top, then overrides of the form ``a.b=value``.

        Raises:
            ConfigError: listing everything wrong, by path within the file.
        """
        content: dict[str, Any] = {} if path is None else read_yaml(path, what="training config")
        content = merge(content, {k: v for k, v in settings.items() if v is not None})
        for text in overrides:
            content = override(content, text)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            where = "the training settings" if path is None else f"training config {path}"
            raise ConfigError(f"{where} cannot be used", problems_of(error, cls)) from error

    def with_tasks(self) -> Self:
        """The same with the tasks named, where the data says which they are."""
        if self.tasks is not None:
            return self
        return self.model_copy(update={"tasks": tasks_named_by(self.data)})

    def task_set(self) -> TaskSet:
        """The tasks to train."""
        named = self.with_tasks().tasks
        tasks = TaskSet(tasks=tuple(named)) if isinstance(named, list) else TaskSet.load(str(named))
        return tasks if self.only_tasks is None else tasks.select(self.only_tasks)
