"""How does a language fare that was left out of training?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from xmpress.evaluation.render import MEAN
from xmpress.study.charts import Lane, Mark, Series, Strip
from xmpress.study.figures import Figure, bracket, mean_of
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
from xmpress.study.view import Group, View, shown

KEY: Final = "zero_shot"
TITLE = "What about languages that were left out of training?"
OTHERS = "all other languages"
READING = (
    "Each model was trained without the language that it is tested on, and is compared with the "
    "model trained on all languages, on the same rows: what is lost by having no labels in a "
    "language, which the encoder may still know from its pretraining. Test rows are redrawn "
    "within each language, so the mean over languages adds their intervals as independent "
    "chances."
)


@dataclass(frozen=True)
class _Regime:
    """One way to leave languages out.

    Attributes:
        name: what was trained on.
        groups: by the language that was left out.
    """

    name: str
    groups: dict[str, Group]

    @property
    def languages(self) -> dict[str, Figure]:
        """By language what is lost, mean over the tasks."""
        found = {lang: group.language(lang) for lang, group in self.groups.items()}
        return {lang: figure for lang, figure in found.items() if figure is not None}

    @property
    def mean(self) -> Figure | None:
        """Over the languages that were left out."""
        return mean_of(list(self.languages.values()), independent=True)


def answer(view: View) -> Answer:
    """The answer, with a table of all regimes and one per regime by task."""
    regimes = _regimes(view)
    if not regimes:
        return unanswered(
            view, KEY, TITLE, "No model was trained with a language left out that has test labels."
        )
    langs = [lang for lang in view.languages if any(lang in r.languages for r in regimes)]
    tables = [
        cells_table(
            "What a language loses that was left out of training, mean over the tasks, %",
            langs,
            [f"trained on {regime.name}" for regime in regimes],
            {
                (f"trained on {r.name}", lang): figure
                for r in regimes
                for lang, figure in r.languages.items()
            },
            ({}, {f"trained on {r.name}": r.mean for r in regimes}, None),
            runs(group for r in regimes for group in r.groups.values()),
            ("Languages that a model was trained on have no figure for it.",),
        )
    ]
    if len(view.tasks) > 1:
        tables += [_by_task(view, regime) for regime in regimes]
    return Answer(
        KEY,
        TITLE,
        " ".join(_finding(regime) for regime in regimes),
        _chart(langs, regimes),
        tuple(tables),
        tuple(view.missing(KEY)),
        READING,
    )


def _regimes(view: View) -> list[_Regime]:
    found: dict[str, dict[str, Group]] = {}
    several = len({group.first.encoder for group in view.of_role("zero_shot")}) > 1
    for group in view.of_role("zero_shot"):
        trained = set(group.first.trained_languages)
        out = [lang for lang in view.languages if lang not in trained and group.language(lang)]
        # Of how many languages there are, the model that it is compared with has seen all.
        reference = view.reference(group)
        known = set(reference.first.trained_languages if reference else view.languages)
        name = OTHERS if len(known - trained) == 1 else listed(sorted(trained), 4) or "none"
        if several:
            name = f"{name} ({shown(group.first.encoder, 24)})"
        for lang in out:
            found.setdefault(name, {})[lang] = group
    return [_Regime(name, groups) for name, groups in found.items()]


def _finding(regime: _Regime) -> str:
    mean, languages = regime.mean, regime.languages
    if mean is None:
        return f"Trained on {regime.name}: could not be judged."
    many = len(languages)
    where = next(iter(languages)) if many == 1 else f"the {many} languages left out"
    value = bracket(mean, 1, " %")
    if not mean.judged:
        return f"Trained on {regime.name}: {TOO_FEW} in {where} ({value})."
    if not mean.sure:
        said = f"Trained on {regime.name}: {NO_DIFFERENCE} on average in {where} ({value})"
    else:
        verb = "lose" if mean.value > 0 else "win"
        verb += "s" if many == 1 else ""
        value = value if mean.value > 0 else bracket(mean.scaled(-1), 1, " %")
        said = f"Trained on {regime.name}, {where} {verb} {value} on average"
    worst = max(languages, key=lambda lang: languages[lang].value)
    figure = languages[worst]
    if len(languages) > 1 and figure.sure and figure.value > 0:
        said += f", {worst} most ({bracket(figure, 1, ' %')})"
    return f"{said}."


def _by_task(view: View, regime: _Regime) -> Table:
    langs = [lang for lang in view.languages if lang in regime.languages]
    cells = {
        (task, lang): regime.groups[lang].cell(task, lang) for task in view.tasks for lang in langs
    }
    tasks = [task for task in view.tasks if any(cells[task, lang] for lang in langs)]
    by_task = {
        task: mean_of([c for lang in langs if (c := cells[task, lang])], independent=True)
        for task in tasks
    }
    table = cells_table(
        f"By task: what is lost when trained on {regime.name}, %",
        langs,
        tasks,
        cells,
        (dict(regime.languages), by_task, regime.mean),
        runs(regime.groups.values()),
    )
    return replace(table, folded=True)


def _chart(langs: list[str], regimes: list[_Regime]) -> Strip:
    lanes = []
    for name in [*langs, MEAN] if len(langs) > 1 else langs:
        marks = []
        for number, regime in enumerate(regimes):
            figure = regime.mean if name == MEAN else regime.languages.get(name)
            if figure is not None:
                groups = regime.groups.values() if name == MEAN else [regime.groups[name]]
                tip = told(f"{name}, trained on {regime.name}", figure)
                mark = Mark(figure.value, tip, figure.interval, runs(groups))
                marks.append((number, (mark,)))
        lanes.append(Lane(name, tuple(marks)))
    return Strip(
        "What each language loses when it is left out of training, mean over the tasks, with its "
        "95 % interval",
        "degradation against the model trained on all languages, %",
        tuple(lanes),
        tuple(Series(f"trained on {regime.name}", n) for n, regime in enumerate(regimes)),
        sides=("better without", "worse without"),
    )
