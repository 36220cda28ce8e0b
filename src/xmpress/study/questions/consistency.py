"""Do texts that say the same in several languages get the same answer?"""

from __future__ import annotations

from typing import Final

from xmpress.evaluation.render import Grid
from xmpress.study.charts import Lane, Mark, Series, Strip
from xmpress.study.figures import Figure, bracket, entry
from xmpress.study.questions.base import (
    NO_DIFFERENCE,
    Answer,
    Table,
    listed,
    told,
    unanswered,
    with_remarks,
)
from xmpress.study.recommend import recommend
from xmpress.study.view import Group, View

KEY: Final = "consistency"
TITLE = "Do parallel texts get the same answer in every language?"
READING = (
    "Items are told in every language, by texts that say the same (evaluation.parallel in the "
    "study file), and the question is whether a model gives all of them one answer. Intervals are "
    "Wilson's for a share of so many items, widened by the spread of the seeds. Two models are "
    "told apart only where their intervals do not meet, which is stricter than a paired test. A "
    "consistent answer need not be right."
)


def answer(view: View) -> Answer:
    """The answer, with the share of consistent items by model and task, and by language."""
    groups = [
        group
        for group in view.groups
        if group.first.role in {"multi_task", "compressed"}
        and any(group.consistency(task) for task in view.tasks)
    ]
    if not groups:
        return unanswered(
            view, KEY, TITLE, "No texts that say the same in several languages were scored."
        )
    tasks = [task for task in view.tasks if any(group.consistency(task) for group in groups)]
    items = next(found[0].items for g in groups for t in tasks if (found := g.consistency(t)))
    before, after = _two(view, groups)
    rows = tuple(
        (group.label, tuple(entry(group.same(task), style=False) for task in tasks))
        for group in groups
    )
    grid = Grid(
        f"Share of {items:,} parallel items with one answer in all languages, %",
        "model",
        tuple(tasks),
        rows,
    )
    tables = [Table(with_remarks(grid), tuple(group.anchor for group in groups))]
    for n, group in enumerate(dict.fromkeys([before, after])):
        tables.append(_by_language(view, group, tasks, folded=n > 0))
    return Answer(
        KEY,
        TITLE,
        _finding(before, after, tasks, items),
        _chart(list(dict.fromkeys([before, after])), tasks),
        tuple(tables),
        tuple(view.missing(KEY)),
        READING,
    )


def _two(view: View, groups: list[Group]) -> tuple[Group, Group]:
    """The recommended model and what it was made from, or the first of each kind."""
    best = recommend(view)
    compressed = [group for group in groups if group.first.role == "compressed"]
    if best is not None and best.group in groups:
        after = best.group
    else:
        after = compressed[0] if compressed else groups[0]
    before = view.reference(after)
    return (before if before in groups and before is not None else groups[0]), after


def _finding(before: Group, after: Group, tasks: list[str], items: int) -> str:
    shares = {task: (before.same(task), after.same(task)) for task in tasks}
    known = {task: (a, b) for task, (a, b) in shares.items() if a and b}
    if not known:
        return f"{before.label} and {after.label} were not measured on the same tasks."
    least = min(known, key=lambda task: known[task][1].value)
    most = max(known, key=lambda task: known[task][1].value)
    said = (
        f"{after.label} gives one answer in all languages to {bracket(known[most][1], 0, ' %')} of "
        f"the {items:,} items for {most}"
    )
    if least != most:
        said += f", and to {bracket(known[least][1], 0, ' %')} for {least}"
    if before is after:
        return f"{said}."
    apart = [task for task, (a, b) in known.items() if _apart(a, b)]
    if not apart:
        return f"{said}; against {before.label} {NO_DIFFERENCE}."
    worse = [task for task in apart if known[task][1].value < known[task][0].value]
    better = [task for task in apart if task not in worse]
    parts = [
        f"{word} consistent than {before.label} for {listed(found)}"
        for word, found in (("less", worse), ("more", better))
        if found
    ]
    return f"{said}; it is {' and '.join(parts)}."


def _apart(a: Figure, b: Figure) -> bool:
    if not a.interval or not b.interval:
        return False
    return a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0]


def _by_language(view: View, group: Group, tasks: list[str], *, folded: bool) -> Table:
    first = next(found[0] for task in tasks if (found := group.consistency(task)))
    langs = [lang for lang in view.languages if lang in first.agreement and lang != first.pivot]
    rows = tuple(
        (lang, tuple(entry(group.agreement(task, lang), style=False) for task in tasks))
        for lang in langs
    )
    grid = Grid(
        f"{group.label}: share answered as the {first.pivot} text, %", "lang", tuple(tasks), rows
    )
    return Table(with_remarks(grid), (group.anchor,) * len(rows), folded)


def _chart(groups: list[Group], tasks: list[str]) -> Strip:
    lanes = []
    for task in tasks:
        marks = [
            (n, (Mark(same.value, told(f"{group.label}, {task}", same), same.interval,
                      group.anchor),))
            for n, group in enumerate(groups)
            if (same := group.same(task))
        ]  # fmt: skip
        lanes.append(Lane(task, tuple(marks)))
    return Strip(
        "Share of parallel items with one answer in all languages, with its 95 % interval",
        "share with one answer in all languages, %",
        tuple(lanes),
        tuple(Series(group.label, n) for n, group in enumerate(groups)),
        zero=False,
    )
