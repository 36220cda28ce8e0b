"""Can the probabilities be trusted as much after compression as before?"""

from __future__ import annotations

from typing import Final

from xmpress.evaluation.render import MEAN, Grid
from xmpress.study.charts import Lane, Mark, Strip
from xmpress.study.figures import Figure, bracket, entry, number
from xmpress.study.questions.base import (
    NO_DIFFERENCE,
    Answer,
    Table,
    unanswered,
    with_remarks,
)
from xmpress.study.recommend import recommend
from xmpress.study.view import Group, View

KEY: Final = "calibration"
TITLE = "Are probabilities as trustworthy after compression?"
READING = (
    "Expected calibration error: how far, on average, the probability of an answer lies from how "
    "often such answers are right, in points; 0 is best. Temperatures were tuned on validation "
    "rows. Differences are judged over the seeds, each seed's compressed model against its own "
    "uncompressed one (Student's t); with one seed none can be shown."
)


def answer(view: View) -> Answer:
    """The answer, with the error by model and task."""
    groups = [
        group
        for group in view.groups
        if group.first.role in {"multi_task", "compressed"}
        and any(group.calibration(task) for task in view.tasks)
    ]
    if not groups:
        return unanswered(view, KEY, TITLE, "Calibration was not measured.")
    tasks = [task for task in view.tasks if any(group.calibration(task) for group in groups)]
    rows = tuple(
        (
            group.label,
            (
                *(entry(group.calibration(task), interval=False, style=False) for task in tasks),
                *([entry(_mean(group), interval=False, style=False)] if len(tasks) > 1 else []),
                entry(_change(view, group)),
            ),
        )
        for group in groups
    )
    grid = Grid(
        "Expected calibration error, points",
        "model",
        (*tasks, *([MEAN] if len(tasks) > 1 else []), "change"),
        rows,
        ("Change: of the mean against the uncompressed model of the same seed; above 0 is worse.",),
    )
    return Answer(
        KEY,
        TITLE,
        _finding(view, groups),
        _chart(groups, tasks),
        (Table(with_remarks(grid), tuple(group.anchor for group in groups)),),
        tuple(view.missing(KEY)),
        READING,
    )


def _means(group: Group) -> dict[int, float]:
    """By seed the mean over the tasks, in points."""
    return {
        model.seed: 100 * sum(model.calibration.values()) / len(model.calibration)
        for model in group.models
        if model.calibration
    }


def _mean(group: Group) -> Figure | None:
    return Figure.of(list(_means(group).values()))


def _change(view: View, group: Group) -> Figure | None:
    """Against the uncompressed model, paired by seed."""
    reference = view.reference(group)
    if reference is None or group.first.role != "compressed":
        return None
    before, after = _means(reference), _means(group)
    return Figure.of([after[seed] - before[seed] for seed in after if seed in before])


def _finding(view: View, groups: list[Group]) -> str:
    best = recommend(view)
    compressed = [group for group in groups if group.first.role == "compressed"]
    if not compressed:
        return "No compressed model's calibration was measured."
    group = best.group if best is not None and best.group in compressed else compressed[0]
    reference, change, after = view.reference(group), _change(view, group), _mean(group)
    before = _mean(reference) if reference is not None else None
    if change is None or before is None or after is None:
        return f"{group.label} has no calibrated model to be compared with."
    said = (
        f"{group.label}: {number(before.value)} points before compression, {number(after.value)} "
        "after"
    )
    if change.interval is None:
        return f"{said}, mean over the tasks; {NO_DIFFERENCE}, for there is one seed."
    value = bracket(change, 1, " points")
    if not change.sure:
        return f"{said}, mean over the tasks; {NO_DIFFERENCE} ({value} over {change.seeds} seeds)."
    word = "worse" if change.value > 0 else "better"
    return f"{said}, mean over the tasks: {word} by {value} over {change.seeds} seeds."


def _chart(groups: list[Group], tasks: list[str]) -> Strip:
    lanes = []
    for group in groups:
        small = [
            Mark(found.value, f"{group.label}, {task}: {bracket(found, 1, ' points')}",
                 run=group.anchor, minor=True)
            for task in tasks
            if (found := group.calibration(task))
        ]  # fmt: skip
        mean = _mean(group)
        marks = [*small]
        if mean is not None:
            tip = f"{group.label}, mean over the tasks: {bracket(mean, 1, ' points')}"
            marks.append(Mark(mean.value, tip, run=group.anchor))
        number_ = 0 if group.first.role == "multi_task" else 1
        lanes.append(Lane(group.label, ((number_, tuple(marks)),)))
    return Strip(
        "Expected calibration error by model: mean over the tasks; small dots are tasks; circles "
        "are uncompressed, squares compressed",
        "expected calibration error, points (0 is best)",
        tuple(lanes),
    )
