"""Two studies side by side: the same models by name, and which settings differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmpress.evaluation.render import MEAN, Entry, Grid
from xmpress.settings import read_yaml
from xmpress.study.figures import Figure, number, size, spread, threads_text
from xmpress.study.report.markdown import code, plain
from xmpress.study.results import StudyResults
from xmpress.study.view import Group, View, shown

SETTINGS = "study.yaml"
ABSENT = "(not set)"


@dataclass(frozen=True)
class Delta:
    """One number in both studies.

    Attributes:
        before: in the first.
        after: in the second.
    """

    before: Figure
    after: Figure

    @property
    def change(self) -> float:
        """The second minus the first."""
        return self.after.value - self.before.value

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "before": self.before.value,
            "after": self.after.value,
            "change": self.change,
            "std": [self.before.std, self.after.std],
            "seeds": [self.before.seeds, self.after.seeds],
        }


@dataclass(frozen=True)
class ModelDelta:
    """One model in both studies; numbers that only one study has are left out.

    Attributes:
        name: of the model.
        tasks: macro-F1 times 100 by task, and `MEAN` over those that both studies have.
        languages: the same by language, mean over the tasks.
        degradation: average degradation in %.
        speedup: times as fast; of one measurement each.
        bytes: of the directory.
    """

    name: str
    tasks: dict[str, Delta]
    languages: dict[str, Delta]
    degradation: Delta | None
    speedup: Delta | None
    bytes: Delta | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        single = {
            name: None if value is None else value.to_dict()
            for name, value in (
                ("degradation", self.degradation), ("speedup", self.speedup), ("bytes", self.bytes),
            )
        }  # fmt: skip
        return {
            "name": self.name,
            "tasks": {name: delta.to_dict() for name, delta in self.tasks.items()},
            "languages": {name: delta.to_dict() for name, delta in self.languages.items()},
            **single,
        }


@dataclass(frozen=True)
class StudyComparison:
    """Two studies side by side.

    Attributes:
        names: what to call them.
        same_data: whether both were made and tested on the same rows.
        settings: of the study files, by path: the values that differ.
        models: in both.
        only: in one of them.
    """

    names: tuple[str, str]
    same_data: bool
    settings: dict[str, tuple[str, str]]
    models: tuple[ModelDelta, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def caution(self) -> str:
        """What a difference can and cannot mean."""
        if self.same_data:
            return (
                "Both studies have the same data. Differences are between means over seeds, "
                "without an interval: hold them against the standard deviations."
            )
        return (
            "The studies have different data: differences of macro-F1 may come from the rows that "
            "were tested as well as from the models. Degradations and speedups are less touched."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "studies": list(self.names),
            "same_data": self.same_data,
            "settings": {key: list(values) for key, values in self.settings.items()},
            "models": [model.to_dict() for model in self.models],
            "only_in": [list(names) for names in self.only],
        }


def compare(first: str | Path, second: str | Path) -> StudyComparison:
    """Put two study directories side by side.

    Models are the same if they have the same name; a name that stands for several models in one
    study is told apart as in its report.

    Raises:
        DataError: if one holds no results, or they are damaged.
    """
    directories = Path(first), Path(second)
    views = [View(StudyResults.read(directory)) for directory in directories]
    groups = [{group.label: group for group in view.groups} for view in views]
    shared = [name for name in groups[0] if name in groups[1]]
    settings = [_settings(directory) for directory in directories]
    keys = dict.fromkeys([*settings[0], *settings[1]])
    values = {key: (settings[0].get(key, ABSENT), settings[1].get(key, ABSENT)) for key in keys}
    facts = [_facts(view.results) for view in views]
    values = {**{key: (facts[0][key], facts[1][key]) for key in facts[0]}, **values}
    return StudyComparison(
        _names(directories, views),
        views[0].results.data.fingerprint == views[1].results.data.fingerprint,
        {key: pair for key, pair in values.items() if pair[0] != pair[1]},
        tuple(_model(name, views, (groups[0][name], groups[1][name])) for name in shared),
        (
            tuple(name for name in groups[0] if name not in groups[1]),
            tuple(name for name in groups[1] if name not in groups[0]),
        ),
    )


def grids(found: StudyComparison) -> list[Grid]:
    """The tables of a comparison."""
    one, other = found.names
    tables = []
    if found.settings:
        rows = tuple(
            (shown(key), (Entry(shown(a)), Entry(shown(b))))
            for key, (a, b) in found.settings.items()
        )
        tables.append(Grid("What differs", "setting", (one, other), rows))
    if not found.models:
        return tables
    tasks = list(dict.fromkeys(task for m in found.models for task in m.tasks if task != MEAN))
    langs = list(dict.fromkeys(lang for m in found.models for lang in m.languages))
    note = f"{other} minus {one}; below, the two values with ± over the seeds."
    columns = [*tasks, MEAN] if len(tasks) > 1 else tasks
    tables.append(
        _deltas(
            "Macro-F1 by task, points", columns, [(m.name, m.tasks) for m in found.models], note
        )
    )
    tables.append(
        _deltas(
            "Macro-F1 by language, mean over the tasks, points",
            langs,
            [(m.name, m.languages) for m in found.models],
            note,
        )
    )
    measured = tuple(
        (
            m.name,
            (_delta(m.degradation), _delta(m.speedup, "x"), _sizes(m.bytes)),
        )
        for m in found.models
        if m.degradation or m.speedup or m.bytes
    )
    if measured:
        heads = ("degradation, %", "speedup", "size")
        tables.append(Grid("Degradation, speed and size", "model", heads, measured, (note,)))
    return tables


def to_markdown(found: StudyComparison) -> str:
    """The comparison as a page of Markdown."""
    return "\n\n".join(_parts(found)) + "\n"


def _parts(found: StudyComparison) -> Iterator[str]:
    yield f"# {plain(found.names[0])} and {plain(found.names[1])}"
    yield found.caution
    if not found.models:
        yield "No model of one has the name of a model of the other."
    for grid in grids(found):
        yield plain(grid.to_markdown()).rstrip()
    for name, only in zip(found.names, found.only, strict=True):
        if only:
            yield f"Only in {plain(name)}: {', '.join(code(label) for label in only)}."


def _names(directories: tuple[Path, Path], views: list[View]) -> tuple[str, str]:
    """The studies' names, or their directories' where they have the same."""
    found = [shown(view.results.name, 40) for view in views]
    if found[0] == found[1]:
        found = [shown(directory.resolve().name, 40) for directory in directories]
    if found[0] == found[1]:
        found = [shown(str(directory), 60) for directory in directories]
    return found[0], found[1]


def _facts(results: StudyResults) -> dict[str, str]:
    """What differs beside the settings."""
    speed, measured = results.speed, ABSENT
    if speed is not None:
        cpu = speed.machine.get("cpu", "unknown")
        measured = f"{cpu}, {threads_text(speed.threads)}, {speed.texts:,} texts"
    return {
        "(data fingerprint)": results.data.fingerprint[:16],
        "(xmpress)": results.version,
        "(machine)": str(results.machine.get("cpu", "unknown")),
        "(speed measured on)": measured,
        "(complete)": "yes" if results.complete else "no",
    }


def _settings(directory: Path) -> dict[str, str]:
    """The study file's values by path, empty where there is none."""
    path = directory / SETTINGS
    return dict(_flat(read_yaml(path, what="study file"))) if path.is_file() else {}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for n, item in enumerate(value):
            yield from _flat(item, f"{path}[{n}]")
    else:
        yield path, str(value)


def _model(name: str, views: list[View], groups: tuple[Group, Group]) -> ModelDelta:
    tasks = {}
    for task in views[0].tasks:
        delta = _pair(groups[0].quality(task), groups[1].quality(task))
        if delta is not None:
            tasks[task] = delta
    languages = {}
    for lang in views[0].languages:
        delta = _pair(*(_in_language(group, lang, list(tasks)) for group in groups))
        if delta is not None:
            languages[lang] = delta
    if len(tasks) > 1:
        means = [_over_tasks(group, list(tasks)) for group in groups]
        mean = _pair(means[0], means[1])
        if mean is not None:
            tasks[MEAN] = mean
    speeds = [view.speed(group) for view, group in zip(views, groups, strict=True)]
    return ModelDelta(
        name,
        tasks,
        languages,
        _pair(groups[0].average, groups[1].average),
        _pair(*(Figure(row.speedup) if row and row.speedup else None for row in speeds)),
        _pair(*(Figure(group.bytes) if group.bytes else None for group in groups)),
    )


def _pair(before: Figure | None, after: Figure | None) -> Delta | None:
    return None if before is None or after is None else Delta(before, after)


def _over_tasks(group: Group, tasks: list[str]) -> Figure | None:
    """Macro-F1 times 100, mean over the tasks that both studies have."""
    return Figure.of(
        [
            100 * sum(card.task(task) for task in tasks) / len(tasks)
            for card in group.cards
            if set(tasks) <= set(card.tasks)
        ]
    )


def _in_language(group: Group, lang: str, tasks: list[str]) -> Figure | None:
    values = []
    for card in group.cards:
        cells = [cell for task in tasks if (cell := card.cell(task, lang))]
        if cells:
            values.append(100 * sum(cell.macro_f1 for cell in cells) / len(cells))
    return Figure.of(values)


def _deltas(
    title: str, columns: list[str], rows: list[tuple[str, dict[str, Delta]]], note: str
) -> Grid:
    return Grid(
        title,
        "model",
        tuple(columns),
        tuple((name, tuple(_delta(found.get(column)) for column in columns))
              for name, found in rows),
        (note,),
    )  # fmt: skip


def _delta(delta: Delta | None, unit: str = "") -> Entry:
    if delta is None:
        return Entry("–")
    return Entry(
        _signed(delta.change, unit),
        (f"{spread(delta.before)}{unit}", f"{spread(delta.after)}{unit}"),
    )


def _signed(value: float, unit: str = "") -> str:
    text = number(value)
    return f"{'+' if value > 0 and text != '0.0' else ''}{text}{unit}"


def _sizes(delta: Delta | None) -> Entry:
    if delta is None:
        return Entry("–")
    change = 100 * (delta.after.value / delta.before.value - 1)
    return Entry(f"{_signed(change)} %", (size(delta.before.value), size(delta.after.value)))
