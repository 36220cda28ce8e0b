"""Who pays for the compression?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from xmpress.study.charts import Heatmap, Tile
from xmpress.study.figures import Figure, bracket, number
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
)
from xmpress.study.recommend import recommend
from xmpress.study.view import Group, View

KEY: Final = "languages"
TITLE = "Who pays: which languages and tasks lose by compression?"
READING = (
    "Degradation in %, by language and task, of each compressed model against the model that it "
    "was made from: above 0 (orange) the cell lost. Framed cells have an interval that excludes 0. "
    "Where nothing is lost, one cell in forty lies above 0 with its whole interval by chance, and "
    "one in forty below. Cells with too few rows are in parentheses and count in no mean."
)


def answer(view: View) -> Answer:
    """The answer, for the recommended model, with the other models' tables below."""
    groups = [group for group in view.of_role("compressed") if group.comparisons]
    if not groups:
        return unanswered(
            view, KEY, TITLE, "No compressed model was compared with the one it was made from."
        )
    best = recommend(view)
    first = best.group if best is not None else groups[0]
    ordered = [first, *(group for group in groups if group is not first)]
    tables = [_table(view, group) for group in ordered]
    more = [_heatmap(view, group) for group in ordered[1:]]
    if len(groups) > 1:
        tables.insert(0, _all_models(view, ordered))
        more.insert(0, _models_heatmap(view, ordered))
    return Answer(
        KEY,
        TITLE,
        _finding(view, first),
        _heatmap(view, first),
        tuple(tables),
        tuple(dict.fromkeys([*view.missing(KEY), *_unlabelled(view)])),
        READING,
        more=tuple(more),
    )


def _finding(view: View, group: Group) -> str:
    cells = [cell for cell in _cells(view, group).values() if cell is not None and cell.judged]
    if not cells:
        return f"{group.label}: no language has rows enough to be judged."
    lose, win = (
        [cell for cell in cells if cell.sure and (cell.value > 0) is up] for up in (True, False)
    )
    languages = {lang: figure for lang in view.languages if (figure := group.language(lang))}
    hit = sorted(
        (lang for lang, figure in languages.items() if figure.sure and figure.value > 0),
        key=lambda lang: -languages[lang].value,
    )
    judged = {lang: figure for lang, figure in languages.items() if figure.judged}
    if len(languages) == 1:
        said = f"{group.label}: {_only(languages)}"
    elif hit:
        worst = f"{hit[0]} loses most, {bracket(languages[hit[0]], 1, ' %')}"
        others = f"; {listed(hit[1:], 8)} lose too" if hit[1:] else ""
        rest = len(judged) - len(hit)
        said = f"{group.label}: {worst}{others}"
        if rest:
            said += f"; {NO_DIFFERENCE} for the other {rest}"
    else:
        better = [lang for lang, figure in judged.items() if figure.sure]
        said = f"{group.label}: no language is shown to lose"
        if better:
            said += f"; shown to win: {listed(better, 8)}"  # "it wins" would not be Italian
        if len(better) < len(judged):
            said += f"; {NO_DIFFERENCE} for {len(judged) - len(better)}"
    if len(cells) == 1:
        return f"{said}."
    return (
        f"{said}. Of {len(cells)} cells of a task in a language, {len(lose)} are shown to lose and "
        f"{len(win)} to win; by chance alone it would be about {number(len(cells) / 40)} of each."
    )


def _only(languages: dict[str, Figure]) -> str:
    ((lang, figure),) = languages.items()
    if not figure.sure:
        return (
            f"{NO_DIFFERENCE if figure.judged else TOO_FEW} in {lang} ({bracket(figure, 1, ' %')})"
        )
    word = "loses" if figure.value > 0 else "wins"
    value = figure if figure.value > 0 else figure.scaled(-1)
    return f"{lang} {word} {bracket(value, 1, ' %')}"


def _cells(view: View, group: Group) -> dict[tuple[str, str], Figure | None]:
    return {
        (task, lang): group.cell(task, lang)
        for task in group.first.tasks
        for lang in view.languages
    }


def _table(view: View, group: Group) -> Table:
    tasks = [task for task in view.tasks if task in group.first.tasks]
    table = cells_table(
        f"{group.label}: degradation, %",
        view.languages,
        tasks,
        _cells(view, group),
        (
            {lang: group.language(lang) for lang in view.languages} if len(tasks) > 1 else {},
            {task: group.task(task) for task in tasks},
            group.average,
        ),
        runs([group, view.reference(group)]),
    )
    return replace(table, folded=True)


def _all_models(view: View, groups: Sequence[Group]) -> Table:
    cells = {(g.label, lang): g.language(lang) for g in groups for lang in view.languages}
    table = cells_table(
        "All compressed models: degradation by language, mean over the tasks, %",
        view.languages,
        [group.label for group in groups],
        cells,
        ({}, {group.label: group.average for group in groups}, None),
        runs(groups),
    )
    return replace(table, folded=True)


def _heatmap(view: View, group: Group) -> Heatmap:
    tasks = tuple(task for task in view.tasks if task in group.first.tasks)
    run = runs([group, view.reference(group)])

    def value(lang: str, task: str) -> Figure | None:
        return group.language(lang) if task == "mean" else group.cell(task, lang)

    columns = (*tasks, "mean") if len(tasks) > 1 else tasks
    return _map(f"{group.label}: degradation by language and task, %", view.languages, columns,
                value, dict.fromkeys(columns, run))  # fmt: skip


def _models_heatmap(view: View, groups: Sequence[Group]) -> Heatmap:
    by_label = {group.label: group for group in groups}
    return _map(
        "All compressed models: degradation by language, mean over the tasks, %",
        view.languages,
        tuple(by_label),
        lambda lang, label: by_label[label].language(lang),
        {label: group.anchor for label, group in by_label.items()},
    )


def _map(
    title: str,
    rows: Sequence[str],
    columns: tuple[str, ...],
    value: Callable[[str, str], Figure | None],
    run: dict[str, str],
) -> Heatmap:
    tiles = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            figure = value(row, column)
            if figure is not None:
                ends = figure.interval
                tiles[i, j] = Tile(
                    figure.value,
                    number(figure.value),
                    told(f"{row}, {column}", figure),
                    f"{number(ends[0])} … {number(ends[1])}" if ends else "",
                    figure.sure,
                    figure.judged,
                    run[column],
                )
    return Heatmap(title, tuple(rows), columns, tiles)


def _unlabelled(view: View) -> list[str]:
    """Tasks that have no labelled test rows in some languages, where others have."""
    held = {(cell.task, cell.lang) for group in view.groups for card in group.cards
            for cell in card.cells}  # fmt: skip
    tasks = {task for task, _ in held}
    found = []
    for task in view.tasks:
        without = [lang for lang in view.languages if (task, lang) not in held]
        if task in tasks and without:
            found.append(f"{task}: no labelled test rows in {listed(without, 12)}.")
    return found
