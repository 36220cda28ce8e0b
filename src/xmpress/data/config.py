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
      hotels: {path: hotels.csv, lang: fr, tasks: {sentiment: {column: stars, map: {5: joy}}}}

The rules of label maps are those of `TaskColumn`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from xmpress.errors import ConfigError, Problem
from xmpress.tasks import TaskSet
from xmpress.validation import nearest, problems_of


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
    """The task set the maps were written for: a packaged one or a file."""
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

    @property
    def folder(self) -> Path:
        """The root with environment variables filled in."""
        return Path(_expand(self.root))

    def selected(self) -> list[Source]:
        """The sources that are included, with defaults filled in, in order."""
        base = self.defaults.model_dump(exclude_unset=True)
        return [
            Source.model_validate(
                _merge(base, settings.model_dump(exclude_unset=True) if settings else {})
                | {"name": name}
            )
            for name, settings in self.sources.items()
            if name not in self.exclude and (self.include is None or name in self.include)
        ]

    def _problems(self) -> list[Problem]:
        problems = []
        for key, names in {"include": self.include or [], "exclude": self.exclude}.items():
            for name in names:
                if name not in self.sources:
                    close = nearest(name, list(self.sources))
                    hint = f"; did you mean '{close}'?" if close else ""
                    problems.append(Problem(key, f"there is no source '{name}'{hint}"))
        if not self.selected():
            problems.append(Problem("sources", "no source is left; give at least one"))
        tasks = TaskSet.load(self.tasks) if self.tasks else None
        for source in self.selected():
            if source.path is None:
                problems.append(Problem(f"sources.{source.name}", "has no path"))
            for name in source.tasks:
                if tasks is not None and name not in tasks:
                    problems.append(
                        Problem(
                            f"sources.{source.name}.tasks.{name}",
                            f"no such task; the tasks are {', '.join(tasks.names)}",
                        )
                    )
        return problems


def _merged_content(path: Path, seen: tuple[Path, ...]) -> Any:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data config {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("extends"), str):
        base = (path.parent / content["extends"]).resolve()
        if base in seen:
            raise ConfigError(f"{path} extends itself by way of {base}")
        content = _merge(_merged_content(base, (*seen, path.resolve())), content)
    return content


def _merge(base: Any, override: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(override, dict):
        return override
    merged = dict(base)
    for key, value in override.items():
        merged[key] = _merge(base[key], value) if key in base else value
    return merged


def _expand(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise ConfigError(f"'{text}' needs the environment variable {match['name']}; set it")
        return found

    return re.sub(r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*))?\}", value, text)


class _StrictLoader(yaml.SafeLoader):
    """YAML without the silent loss of keys that are written twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"key {twice[0]!r} is there twice"
            )
        return super().construct_mapping(node, deep=deep)
