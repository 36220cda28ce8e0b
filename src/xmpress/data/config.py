"""The data config: a YAML file that joins several sources into one labelled data set.

Each source says where its rows lie, what its columns are called, and how its labels become ours::

    tasks: experience
    root: ${XMPRESS_DATA:-../shared/data}      # relative to the working directory
    defaults:                                   # every source starts from these
      path: "public/{name}.parquet"
      tasks:
        emotion: {map: {fear: worry, anticipation: null}, scope: {column: emotion_scope}}
    sources:
      tweets: {license: CC BY 4.0, weight: 0.5}
      hotels: {path: h.csv, lang: fr, tasks: {sentiment: {column: stars, map: {5: very_positive}}}}

The rules of label maps are those of `TaskColumn`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from xmpress.errors import ConfigError, Problem
from xmpress.settings import merge, read_yaml
from xmpress.tasks import COARSE_SEPARATOR, Task, TaskKind, TaskSet
from xmpress.validation import nearest, problems_of

DOUBT = "~"
"""Marks a label in a map that may or may not apply."""


def cell_text(value: Any) -> str:
    """A scalar cell as text: ``3.0`` and ``3`` are ``"3"``, ``True`` is ``"true"``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _text_keys(value: Any) -> Any:
    return {cell_text(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


TextList = Annotated[list[str], BeforeValidator(_listed)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Settings):
    """What the columns of a file are called.

    A column that is named on purpose must be there; of the defaults only ``text`` must.
    """

    text: str = "text"
    """The feedback itself."""
    lang: str = "lang"
    """Language (BCP 47; only the primary subtag is kept)."""
    context: str = "context"
    """The question that was answered."""
    id: str = "id"
    """The row's identifier."""
    split: str = "split"
    """``train``, ``validation`` or ``test``."""
    source: str | None = None
    """Where the row comes from; by default the name of the source or file."""
    tasks: dict[str, str] = {}
    """Task to column, where the column is not called as the task."""


class Scope(_Settings):
    """The column that tells what the annotators of a row could choose from."""

    column: str
    """Holds a list of choices (or choices joined by ``;``), or a key of ``choices``."""
    choices: Annotated[dict[str, list[str] | Literal["all"]], BeforeValidator(_text_keys)] = {}
    """Value of the column to the choices it means; ``all`` means every label by itself."""
    optional: bool = False
    """Whether a row without a value was annotated with every label (otherwise it is a bad row)."""


class TaskColumn(_Settings):
    """How a source's labels become a task's labels.

    A value of the column that ``map`` knows becomes what the map says; any other value must be a
    label of the task. A label within a coarse choice of the scope stands for that choice.
    """

    column: TextList = []
    """The column, or several (multi-label: their labels are joined); by default the task's name."""
    map: Annotated[dict[str, str | list[str] | None], BeforeValidator(_text_keys)] = {}
    """Source value to label. ``null`` drops the value; ``a|b`` is a coarse label; a list is several
    labels of a multi-label task. There, ``~joy`` means that the value may or may not be joy: the
    label is then taken out of the row's scope, unless another value of the same column says it."""
    others: Literal["error", "drop"] = "error"
    """What to do with a value that is neither in the map nor a label."""
    scope: list[str] | Scope | None = None
    """What the annotators could choose from: a list of labels or coarse labels, or a column."""


class SourceSettings(_Settings):
    """One source, or the defaults of all."""

    root: str | None = None
    """Folder of the path, where it is not the config's ``root``."""
    path: str | None = None
    """File, folder or glob below ``root``; ``{name}`` is the source's name."""
    columns: Columns = Columns()
    """Names of the columns."""
    tasks: dict[str, TaskColumn | None] = {}
    """How labels become ours; ``null`` leaves a task of the source out."""
    lang: str | None = None
    """The language of every row, for sources without such a column."""
    filter: dict[str, Any] = {}
    """Only rows whose column has this value (or one of these values)."""
    validation: Share = 0.0
    """Share of the train rows that becomes the validation split, chosen by a hash of the text."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often training draws from the source, relative to its size."""
    license: str = ""
    """Terms of use of the source, for people."""
    encoding: str = "utf-8"
    """Encoding of text files."""


class Source(SourceSettings):
    """A source with the defaults filled in."""

    name: str


class DataConfig(_Settings):
    """A data config; read one with `DataConfig.load`."""

    tasks: str | None = None
    """The task set that the maps are written for, a packaged one or a file: what is read where no
    tasks are asked for."""
    extends: str | None = None
    """Another data config (relative to this one) that this one overrides key by key."""
    root: str = "."
    """Folder of all paths; ``${NAME}`` and ``${NAME:-default}`` stand for environment variables."""
    defaults: SourceSettings = SourceSettings()
    """What every source starts from."""
    sources: dict[str, SourceSettings | None]
    """The sources by name."""
    include: list[str] | None = None
    """Only these sources."""
    exclude: list[str] = []
    """All but these sources."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a data config.

        Raises:
            ConfigError: listing everything wrong with the file.
        """
        content = _merged_content(Path(path), seen=())
        try:
            config = cls.model_validate(content)
            problems = config._problems()
        except ValidationError as error:
            problems = problems_of(error, cls)
        if problems:
            raise ConfigError(f"{path} is not a valid data config", problems)
        return config

    def folder(self, source: Source | None = None) -> Path:
        """The root, of a source if it has its own, with environment variables filled in."""
        own = source.root if source else None
        return Path(_expand(self.root if own is None else own))

    def selected(self) -> list[Source]:
        """The sources that are included, with defaults filled in, in order."""
        base = self.defaults.model_dump(exclude_unset=True)
        return [
            Source.model_validate(
                merge(base, settings.model_dump(exclude_unset=True) if settings else {})
                | {"name": name}
            )
            for name, settings in self.sources.items()
            if name not in self.exclude and (self.include is None or name in self.include)
        ]

    def require_agreement(self, tasks: TaskSet, *, where: str) -> None:
        """Refuse tasks that the maps are not written for.

        Raises:
            ConfigError: if none of the tasks is one of the config's own, or a task of the same name
                has another kind or other labels.
        """
        if self.tasks is None:
            return
        own = TaskSet.load(self.tasks)
        remedy = "ask for these, or correct 'tasks' in the data config"
        shared = [task for task in tasks if task.name in own]
        if not shared:
            raise ConfigError(
                f"{where} has labels of {', '.join(own.names)} (tasks: {self.tasks}), but the "
                f"tasks asked for are {', '.join(tasks.names)}; {remedy}"
            )
        problems = [
            Problem(task.name, f"is {_meaning(task)} here, but {_meaning(own[task.name])} there")
            for task in shared
            if _meaning(task) != _meaning(own[task.name])
        ]
        if problems:
            raise ConfigError(
                f"the tasks asked for contradict those of {where} (tasks: {self.tasks}); {remedy}",
                problems,
            )

    def _problems(self) -> list[Problem]:
        problems = [
            Problem(key, f"there is no source '{name}'{_suggestion(name, self.sources)}")
            for key, names in {"include": self.include or [], "exclude": self.exclude}.items()
            for name in names
            if name not in self.sources
        ]
        selected = self.selected()
        if not selected:
            problems.append(Problem("sources", "no source is left; give at least one"))
        problems += [
            Problem(f"sources.{source.name}", "has no path; give one here or in defaults")
            for source in selected
            if source.path is None
        ]
        if self.tasks:
            tasks = TaskSet.load(self.tasks)
            problems += _label_problems("defaults", self.defaults, tasks)
            for name, settings in self.sources.items():
                problems += _label_problems(f"sources.{name}", settings, tasks)
        return problems


def _meaning(task: Task) -> str:
    """What labels of a task say; their order counts where it means something."""
    ordered = task.labels if task.kind is TaskKind.ORDINAL else sorted(task.labels)
    return f"{task.kind.value} ({', '.join(ordered)})"


def _label_problems(
    place: str, settings: SourceSettings | None, tasks: TaskSet
) -> Iterator[Problem]:
    """Maps and scopes that speak of tasks or labels there are not."""
    for name, spec in (settings.tasks if settings else {}).items():
        where = f"{place}.tasks.{name}"
        if name not in tasks:
            what = f"there is no such task{_suggestion(name, tasks.names)}"
            yield Problem(where, what)
            continue
        labels = tasks[name].labels
        for key, label in _labels_in(spec) if spec else ():
            if label not in labels:
                what = f"'{label}' is not a label{_suggestion(label, labels)}"
                yield Problem(f"{where}.{key}", f"{what} (labels: {', '.join(labels)})")


def _labels_in(spec: TaskColumn) -> Iterator[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    for value, target in spec.map.items():
        targets = [target] if isinstance(target, str) else target or []
        said += [(f"map.{value}", label.removeprefix(DOUBT)) for label in targets]
    if isinstance(spec.scope, list):
        said += [("scope", choice) for choice in spec.scope]
    elif spec.scope is not None:
        for value, choices in spec.scope.choices.items():
            listed = choices if isinstance(choices, list) else []
            said += [(f"scope.choices.{value}", choice) for choice in listed]
    for key, choice in said:
        for label in choice.split(COARSE_SEPARATOR):
            yield key, label


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = nearest(word, list(known))
    return f"; did you mean '{close}'?" if close else ""


def _merged_content(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    content = read_yaml(path, what="data config")
    if not isinstance(content.get("extends"), str):
        return content
    base = (path.parent / content["extends"]).resolve()
    seen = (*seen, path.resolve())
    if base in seen:
        raise ConfigError(f"data config {path} extends itself by way of {base}")
    merged: dict[str, Any] = merge(_merged_content(base, seen), content)
    return merged


def _expand(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise ConfigError(f"'{text}' needs the environment variable {match['name']}; set it")
        return found

    return re.sub(r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*))?\}", value, text)
