"""Does one model for all tasks do as well as one per task?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from xmpress.evaluation.render import MEAN, Grid
from xmpress.study.charts import Lane, Mark, Series, Strip
from xmpress.study.figures import Figure, bracket, entry, mean_of
from xmpress.study.questions.base import (
    NO_DIFFERENCE,
    TOO_FEW,
    Answer,
    Table,
    cells_table,
    listed,
    runs,
    told,
    unanswered,
    with_remarks,
)
from xmpress.study.view import Group, View, shown

KEY: Final = "multi_task"
TITLE = "Does multi-task training help?"
READING = (
    "Each single-task model is compared with the multi-task model of the same encoder and seed, "
    "on the same rows. Figures are the relative drop of macro-F1 from multi-task to single-task: "
    "above 0 the multi-task model is better. Tasks share texts, so means over tasks average the "
    "ends of their intervals. Models of an encoder are trained by the same settings, unless "
    "the study file has others for single-task models: where all take equally many steps, the "
    "multi-task model sees each task less often than the task's own model does, which speaks "
    "against it. Among many cells, one in twenty excludes 0 "
    "by chance alone."
)


@dataclass(frozen=True)
class _Pair:
    """An encoder's multi-task model and its single-task models by task."""

    encoder: str
    multi: Group
    single: dict[str, Group]

    @property
    def tasks(self) -> dict[str, Figure]:
        """By task what single-task training loses."""
        found = {task: group.task(task) for task, group in self.single.items()}
        return {task: figure for task, figure in found.items() if figure is not None}

    @property
    def mean(self) -> Figure | None:
        """Over the tasks."""
        return mean_of(list(self.tasks.values()), independent=False)

    def language(self, name: str) -> Figure | None:
        """Over the tasks, in one language."""
        cells = [group.cell(task, name) for task, group in self.single.items()]
        return mean_of([cell for cell in cells if cell is not None], independent=False)

    @property
    def run(self) -> str:
        """Anchors of all models."""
        return runs([self.multi, *self.single.values()])


def answer(view: View) -> Answer:
    """The answer, with a table by task and one per encoder by language."""
    pairs = _pairs(view)
    if not pairs:
        why = "It takes a multi-task model and single-task models of the same encoder."
        if len(view.tasks) == 1:
            why = "There is one task, and nothing that it could be trained with."
        return unanswered(view, KEY, TITLE, why)
    finding = " ".join(_finding(pair) for pair in pairs)
    return Answer(
        KEY,
        TITLE,
        finding,
        _chart(view, pairs),
        (_by_task(view, pairs), *(_by_language(view, pair) for pair in pairs)),
        tuple(dict.fromkeys([*view.missing(KEY), *_without(view, pairs)])),
        READING,
        finding,
    )


def _pairs(view: View) -> list[_Pair]:
    found = []
    for multi in view.of_role("multi_task"):
        ids = {model.id for model in multi.models}
        single = {
            group.first.tasks[0]: group
            for group in view.of_role("single_task")
            if len(group.first.tasks) == 1 and group.first.reference in ids and group.comparisons
        }
        if single:
            ordered = {task: single[task] for task in view.tasks if task in single}
            name = multi.label.removesuffix(" multi-task")
            found.append(_Pair(shown(name, 30), multi, ordered))
    return found


def _without(view: View, pairs: list[_Pair]) -> list[str]:
    """Tasks that some encoder has no single-task model of."""
    yet = "" if view.results.complete else " yet"
    lacking = [(pair, [t for t in view.tasks if t not in pair.single]) for pair in pairs]
    return [
        f"{pair.encoder}: no single-task model for {listed(tasks)}{yet}."
        for pair, tasks in lacking
        if tasks
    ]


def _finding(pair: _Pair) -> str:
    mean, tasks = pair.mean, pair.tasks
    if mean is None:
        return f"{pair.encoder}: could not be judged."
    where = "on average" if len(tasks) > 1 else f"for {next(iter(tasks))}"
    if not mean.judged:
        return f"{pair.encoder}: {TOO_FEW} {where} ({bracket(mean, 1, ' %')})."
    said = f"{pair.encoder}: "
    if not mean.sure:
        said += f"{NO_DIFFERENCE} {where} ({bracket(mean, 1, ' %')})"
    else:
        up = mean.value > 0
        said += (
            f"single-task models score {'lower' if up else 'higher'} than the multi-task model by "
            f"{bracket(mean if up else mean.scaled(-1), 1, ' %')} {where}"
        )
    helps = [task for task, figure in tasks.items() if figure.sure and figure.value > 0]
    hurts = [task for task, figure in tasks.items() if figure.sure and figure.value < 0]
    parts = []
    if helps and len(tasks) > 1:
        parts.append(f"multi-task training helps {listed(helps)}")
    if hurts and len(tasks) > 1:
        parts.append(f"{'it' if helps else 'multi-task training'} hurts {listed(hurts)}")
    if len(tasks) > 1 and not parts:
        parts.append("nor for any single task" if not mean.sure else "for no single task by itself")
    rest = len(tasks) - len(helps) - len(hurts)
    if (helps or hurts) and rest:
        parts.append(f"{NO_DIFFERENCE} for the other {rest}")
    return f"{said}{'; ' if parts else ''}{', '.join(parts)}."


def _by_task(view: View, pairs: list[_Pair]) -> Table:
    rows, anchors = [], []
    for pair in pairs:
        prefix = f"{pair.encoder} · " if len(pairs) > 1 else ""
        for task, group in pair.single.items():
            before, after = group.paired(task)
            points = Figure.of([c.tasks[task].points for c in group.comparisons if task in c.tasks])
            rows.append(
                (
                    f"{prefix}{task}",
                    (
                        entry(before, interval=False, style=False),
                        entry(after, interval=False, style=False),
                        entry(points, interval=False, style=False),
                        entry(group.task(task)),
                    ),
                )
            )
            anchors.append(runs([pair.multi, group]))
        if len(pair.single) > 1:
            points = Figure.of([f.value for f in _mean_points(pair)])
            rows.append(
                (
                    f"{prefix}{MEAN}" if prefix else MEAN,
                    (
                        entry(_mean_quality(pair, multi=True), interval=False, style=False),
                        entry(_mean_quality(pair, multi=False), interval=False, style=False),
                        entry(points and Figure(points.value), interval=False, style=False),
                        entry(pair.mean),
                    ),
                )
            )
            anchors.append(pair.run)
    grid = Grid(
        "Macro-F1 by task, mean over the languages",
        "task",
        ("multi-task", "single-task", "points", "degradation %"),
        tuple(rows),
        view.means,
    )
    return Table(with_remarks(grid), tuple(anchors))


def _mean_points(pair: _Pair) -> list[Figure]:
    found = [
        Figure.of([c.tasks[task].points for c in group.comparisons if task in c.tasks])
        for task, group in pair.single.items()
    ]
    return [one for one in found if one is not None]


def _mean_quality(pair: _Pair, *, multi: bool) -> Figure | None:
    found = [group.paired(task)[0 if multi else 1] for task, group in pair.single.items()]
    known = [one.value for one in found if one is not None]
    mean = Figure.of(known)
    return None if mean is None else Figure(mean.value)


def _by_language(view: View, pair: _Pair) -> Table:
    tasks = list(pair.single)
    langs = view.languages
    table = cells_table(
        f"{pair.encoder}: what single-task training loses against multi-task, %",
        langs,
        tasks,
        {(task, lang): pair.single[task].cell(task, lang) for task in tasks for lang in langs},
        (
            {lang: pair.language(lang) for lang in langs} if len(tasks) > 1 else {},
            dict(pair.tasks),
            pair.mean,
        ),
        pair.run,
    )
    return replace(table, folded=True)


def _chart(view: View, pairs: list[_Pair]) -> Strip:
    lanes = []
    for task in view.tasks:
        marks = []
        for number, pair in enumerate(pairs):
            group = pair.single.get(task)
            figure = pair.tasks.get(task)
            if group is None or figure is None:
                continue
            run = runs([pair.multi, group])
            small = [
                Mark(cell.value, told(f"{pair.encoder}, {task}, {lang}", cell), run=run, minor=True)
                for lang in view.languages
                if (cell := group.cell(task, lang)) and cell.judged
            ]
            tip = told(f"{pair.encoder}, {task}, mean over languages", figure)
            marks.append((number, (*small, Mark(figure.value, tip, figure.interval, run))))
        if marks:
            lanes.append(Lane(task, tuple(marks)))
    return Strip(
        "What single-task training loses against multi-task, by task: mean over languages with its "
        "95 % interval; small dots are languages",
        "degradation of single-task against multi-task, %",
        tuple(lanes),
        tuple(Series(pair.encoder, n) for n, pair in enumerate(pairs)),
        sides=("single-task better", "multi-task better"),
    )
