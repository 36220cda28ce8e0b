"""What is predicted: tasks, their labels, and what a label means in training and in scoring.

Nothing else in the package decides how a label is read, trained, decoded or scored. The central
idea is that an annotator chose among *choices*. Each choice is a set of labels:

- a fully labelled row was annotated with every label as a choice of its own;
- a *coarse* row was annotated with larger choices: a three-class source offered
  ``{very_negative, negative}``, ``{neutral}`` and ``{positive, very_positive}``;
- a row annotated for part of a task (its *scope*) was offered only some of the labels.

All of these become the same two small arrays (`Labels`), so that losses, metrics and label
decoding need no special cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xmpress.errors import Problem, TaskError
from xmpress.validation import problems_of

FloatArray = NDArray[np.float32]
Bools = NDArray[np.bool_]
Choices = tuple[frozenset[str], ...]
"""What an annotator could choose from: disjoint sets of labels."""

COARSE_SEPARATOR = "|"
"""Joins the labels of a coarse label in text form: ``very_negative|negative``."""


class TaskKind(StrEnum):
    """How the labels of a task relate to one another."""

    SINGLE_LABEL = "single_label"
    ORDINAL = "ordinal"
    MULTI_LABEL = "multi_label"


@dataclass(frozen=True)
class Labels:
    """The labels of one task for n rows, as training and scoring read them.

    Attributes:
        targets: bool [n, L]. Single-label and ordinal: the labels that are right (several if the
            row is coarse). Multi-label: the labels that apply.
        choice: int8 [n, L]. The number (from 1) of the choice a label belonged to when the row was
            annotated; 0 where the label was not on offer. A row of zeros is not annotated.
    """

    targets: Bools
    choice: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def annotated(self) -> Bools:
        """Bool [n]: which rows carry a label of this task."""
        return np.asarray(self.choice.any(axis=1))

    def take(self, rows: Any) -> Labels:
        """The same for some rows (an index array, mask or slice)."""
        return Labels(self.targets[rows], self.choice[rows])

    @classmethod
    def concat(cls, parts: Sequence[Labels]) -> Labels:
        """One after the other."""
        return cls(
            np.concatenate([p.targets for p in parts]), np.concatenate([p.choice for p in parts])
        )


class Calibration(BaseModel):
    """How raw scores of one task become probabilities and labels; tuned on validation data only.

    Attributes:
        temperature: divides the logits (temperature scaling, Guo et al., 2017).
        thresholds: multi-label only: a label applies from this probability on, one per label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(gt=0)] = 1.0
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None


class Task(BaseModel):
    """One thing to predict about a text.

    Example:
        >>> task = Task(name="mood", kind="ordinal", labels=["bad", "ok", "good"])
        >>> task.encode(["good", None, "bad|ok"]).targets.tolist()
        [[False, False, True], [False, False, False], [True, True, False]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Lower-case identifier; the column and output name."""
    kind: TaskKind
    """``single_label``, ``ordinal`` (labels in order, lowest first) or ``multi_label``."""
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=120)]
    """The labels, at least two, distinct; for ordinal tasks in their order."""
    description: str = ""
    """One sentence for people."""

    @model_validator(mode="after")
    def _labels_are_usable(self) -> Self:
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels {twice} appear more than once in task '{self.name}'")
        for label in self.labels:
            if not label.strip() or label != label.strip() or set(label) & {";", COARSE_SEPARATOR}:
                raise ValueError(
                    f"label {label!r} of task '{self.name}' must not be blank, padded, "
                    f"or contain ';' or '{COARSE_SEPARATOR}'"
                )
        return self

    @property
    def multi(self) -> bool:
        """Whether any number of labels may apply."""
        return self.kind is TaskKind.MULTI_LABEL

    def __len__(self) -> int:
        return len(self.labels)

    # ---- reading labels ---------------------------------------------------------------------

    def encode(
        self, values: Sequence[Any], scopes: Sequence[Sequence[str] | None] | None = None
    ) -> Labels:
        """Turn annotations into `Labels`.

        Args:
            values: per row ``None`` (not annotated), or for single-label and ordinal tasks a label,
                or a coarse label (``"a|b"`` or a list of labels); for multi-label tasks a list of
                labels, possibly empty.
            scopes: per row the choices the annotator had, each a label or a coarse label; ``None``
                means every label was on offer.

        Raises:
            TaskError: naming every row with an unknown label or a label outside its scope.
        """
        n, size = len(values), len(self.labels)
        targets = np.zeros((n, size), dtype=bool)
        choice = np.zeros((n, size), dtype=np.int8)
        known: dict[Any, tuple[Bools, NDArray[np.int8]]] = {}
        problems: list[Problem] = []
        for row, value in enumerate(values):
            if value is None:
                continue
            scope = scopes[row] if scopes is not None else None
            key = (_hashable(value), None if scope is None else tuple(scope))
            if key not in known:
                try:
                    known[key] = self._encode_one(value, scope)
                except ValueError as error:
                    problems.append(Problem(f"row {row}", str(error)))
                    continue
            targets[row], choice[row] = known[key]
        if problems:
            raise TaskError(f"labels of task '{self.name}' could not be read", problems)
        return Labels(targets, choice)

    def _encode_one(
        self, value: Any, scope: Sequence[str] | None
    ) -> tuple[Bools, NDArray[np.int8]]:
        positive = self._parse(value)
        if scope is not None:
            choices = self._choices(scope)
        elif self.multi or len(positive) == 1:
            choices = tuple(frozenset([label]) for label in self.labels)
        else:
            rest = (frozenset([label]) for label in self.labels if label not in positive)
            choices = (frozenset(positive), *rest)
        offered = frozenset().union(*choices)
        if not positive <= offered:
            raise ValueError(
                f"label {sorted(positive - offered)} is outside the scope {sorted(offered)}"
            )
        if not self.multi and frozenset(positive) not in choices:
            raise ValueError(
                f"label {COARSE_SEPARATOR.join(sorted(positive))!r} is not one of the choices "
                f"{sorted(COARSE_SEPARATOR.join(sorted(c)) for c in choices)}"
            )
        number = {label: i for i, c in enumerate(choices, start=1) for label in c}
        return (
            np.array([label in positive for label in self.labels]),
            np.array([number.get(label, 0) for label in self.labels], dtype=np.int8),
        )

    def _parse(self, value: Any) -> set[str]:
        if isinstance(value, str):
            parts = [value] if self.multi else value.split(COARSE_SEPARATOR)
        elif isinstance(value, Sequence | np.ndarray):
            parts = list(value)
        else:
            raise ValueError(f"{value!r} is not text; expected one of {list(self.labels)}")
        unknown = [p for p in parts if p not in self.labels]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a label; expected one of {list(self.labels)}")
        if not parts and not self.multi:
            raise ValueError("is empty; leave it out (null) where the row is not annotated")
        return set(parts)

    def _choices(self, scope: Sequence[str]) -> Choices:
        choices = tuple(frozenset(self._parse(s.split(COARSE_SEPARATOR))) for s in scope)
        if sum(map(len, choices)) != len(frozenset().union(*choices)):
            raise ValueError(f"the choices of scope {list(scope)} overlap")
        if self.multi and any(len(c) > 1 for c in choices):
            raise ValueError("the scope of a multi-label task is a list of single labels")
        return choices

    # ---- writing labels ---------------------------------------------------------------------

    def probabilities(self, logits: FloatArray, calibration: Calibration) -> FloatArray:
        """Logits [n, L] to probabilities [n, L]: sigmoid per label if multi-label, else softmax."""
        scaled = np.asarray(logits, dtype=np.float32) / np.float32(calibration.temperature)
        if self.multi:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)), dtype=np.float32)
        exp = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), dtype=np.float32)

    def decide(self, probabilities: FloatArray, calibration: Calibration) -> Bools:
        """Probabilities [n, L] to the labels predicted, bool [n, L].

        Multi-label: every label at or above its threshold (0.5 unless tuned). Otherwise exactly
        the most probable label.
        """
        if self.multi:
            thresholds = calibration.thresholds or (0.5,) * len(self.labels)
            return np.asarray(probabilities >= np.asarray(thresholds, dtype=np.float32))
        chosen = np.zeros(probabilities.shape, dtype=bool)
        chosen[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
        return chosen

    def names(self, decided: Bools) -> list[list[str]]:
        """Decided labels, bool [n, L], as lists of label names in the task's order."""
        return [
            [label for label, applies in zip(self.labels, row, strict=True) if applies]
            for row in decided.tolist()
        ]


class TaskSet(BaseModel):
    """The tasks of one model, in order.

    Example:
        >>> TaskSet.load("experience").names
        ('sentiment', 'emotion', 'intensity', 'effort', 'actionability')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [task.name for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"tasks {twice} are defined more than once")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks' names, in order."""
        return tuple(task.name for task in self.tasks)

    def __iter__(self) -> Iterator[Task]:  # type: ignore[override]  # a set of tasks, not of fields
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Task:
        for task in self.tasks:
            if task.name == name:
                return task
        raise TaskError(f"there is no task '{name}'; the tasks are {', '.join(self.names)}")

    def select(self, names: Sequence[str]) -> TaskSet:
        """Only these tasks, in the order of this set."""
        for name in names:
            self[name]
        return TaskSet(tasks=tuple(task for task in self.tasks if task.name in names))

    @classmethod
    def load(cls, source: str | Path) -> TaskSet:
        """Read a task file, or a packaged task set by name (``experience``).

        Raises:
            TaskError: listing everything wrong with the file.
        """
        path = Path(source)
        if path.suffix.lower() in {".yaml", ".yml"} or path.exists():
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise TaskError(f"task file {path} cannot be read: {error}") from error
            return cls.from_yaml(text, where=str(path))
        packaged = resources.files("xmpress") / "tasksets" / f"{source}.yaml"
        if not packaged.is_file():
            raise TaskError(
                f"'{source}' is neither a task file (.yaml) nor a packaged task set (experience)"
            )
        return cls.from_yaml(packaged.read_text(encoding="utf-8"), where=str(source))

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "tasks") -> TaskSet:
        """Read YAML of the form ``tasks: [{name:, kind:, labels:, description:}]``.

        Raises:
            TaskError: listing everything wrong, by path within the file.
        """
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise TaskError(f"{where} is not valid YAML: {error}") from error
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise TaskError(f"{where} is not a valid task file", problems_of(error, cls)) from error

    def to_yaml(self) -> str:
        """The inverse of `from_yaml`."""
        return yaml.safe_dump(
            self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
        )


def _hashable(value: Any) -> Any:
    if isinstance(value, str):
        return value
    try:
        return tuple(value)
    except TypeError:
        return repr(value)
