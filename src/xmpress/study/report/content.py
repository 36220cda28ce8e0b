"""What a report says, before it has a form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from xmpress.benchmark.cost import Saving
from xmpress.evaluation.render import MEAN, Entry, Grid
from xmpress.study.figures import bracket, entry, number, size, threads_text, times
from xmpress.study.questions import Answer, Table, answers
from xmpress.study.questions.base import cells_table, with_remarks
from xmpress.study.questions.cost import first_savings, percent_of
from xmpress.study.recommend import Recommendation, by_speed, recommend
from xmpress.study.results import PaperFigure, StudyResults
from xmpress.study.view import Group, View, shown


@dataclass(frozen=True)
class Key:
    """A figure at the top.

    Attributes:
        value: large.
        name: what it is.
        anchor: where it is told in full.
    """

    value: str
    name: str
    anchor: str


@dataclass(frozen=True)
class Beside:
    """A figure of the paper beside ours.

    Attributes:
        title: the question.
        paper: the paper's figure.
        ours: that of this study, empty if it has none.
    """

    title: str
    paper: PaperFigure
    ours: str


class Content:
    """A report's content.

    Attributes:
        results: what it is made from.
        view: the same by group.
        settings: the study file as it was run, if it is there.
    """

    def __init__(self, results: StudyResults, settings: str | None = None) -> None:
        self.results = results
        self.view = View(results)
        self.settings = settings

    @property
    def title(self) -> str:
        """The study's."""
        return shown(self.results.title or self.results.name, 120)

    @property
    def description(self) -> str:
        """The study's."""
        text = self.results.description
        return shown(text, 1000) if text.strip() else ""

    @cached_property
    def answers(self) -> list[Answer]:
        """To all questions."""
        return answers(self.view)

    @cached_property
    def recommended(self) -> Recommendation | None:
        """The model to take."""
        return recommend(self.view)

    @property
    def state(self) -> list[str]:
        """What a reader must know first: the study is not done, or something failed."""
        said = []
        if not self.results.complete:
            said.append(
                f"The study is not finished: {len(self.results.models)} models so far. What is "
                "missing here may come, and sentences may change."
            )
        failed = len(self.results.failures)
        if failed:
            said.append(f"{failed} step{'s' if failed > 1 else ''} failed; see the end.")
        return said

    @cached_property
    def keys(self) -> list[Key]:
        """The figures that most readers come for."""
        found = []
        best = self.recommended
        if best is not None:
            name = "recommended" if best.kept else "loses the least"
            found.append(Key(best.group.label, name, "compression"))
            word = "as fast as" if by_speed(self.view) else "smaller than"
            word = f"{word} {best.candidate.over}"
            found.append(Key(f"{times(best.candidate.gain)}x", word, "compression"))
            loss = best.candidate.loss
            found.append(
                Key(
                    f"{number(loss.value)} %",
                    f"average degradation{bracket(loss).removeprefix(number(loss.value))}",
                    "languages",
                )
            )
            if best.group.bytes is not None:
                found.append(Key(size(best.group.bytes), "on disk", "compression"))
        savings = [Saving(**saving) for saving in (self.results.cost or {}).get("savings", ())]
        for saving in first_savings(self.view, savings)[:1]:
            if saving.percent > 0:
                what = self.view.in_words(saving.what)
                if best is not None:
                    what = what.removeprefix(best.group.label).strip()
                found.append(Key(percent_of(saving.percent), f"saved {what}", "cost"))
        return found

    @cached_property
    def beside(self) -> list[Beside]:
        """The paper's figures with ours."""
        by_key = {answer.key: answer for answer in self.answers}
        return [
            Beside(by_key[figure.question].title, figure, by_key[figure.question].ours)
            for figure in self.results.paper
        ]

    @cached_property
    def scores(self) -> Table | None:
        """Macro-F1 of every model."""
        groups = [group for group in self.view.groups if group.cards]
        if not groups:
            return None
        tasks = self.view.tasks
        rows = tuple(
            (
                group.label,
                (
                    *(entry(group.quality(t), interval=False, style=False) for t in tasks),
                    *([_average(group)] if len(tasks) > 1 else []),
                ),
            )
            for group in groups
        )
        columns = (*tasks, *([MEAN] if len(tasks) > 1 else []))
        title = "Macro-F1 of every model, mean over the languages"
        grid = Grid(title, "model", columns, rows, self.view.means)
        return Table(with_remarks(grid), tuple(group.anchor for group in groups))

    @cached_property
    def scores_by_language(self) -> list[Table]:
        """Macro-F1 by task and language, before and after compression."""
        groups = [group for group in self.view.of_role("multi_task") if group.cards]
        if self.recommended is not None and self.recommended.group.cards:
            groups.append(self.recommended.group)
        langs = self.view.languages
        return [
            cells_table(
                f"{group.label}: macro-F1",
                langs,
                group.first.tasks,
                {(t, lang): group.quality_in(t, lang) for t in group.first.tasks for lang in langs},
                ({}, {task: group.quality(task) for task in group.first.tasks}, None),
                group.anchor,
                intervals=False,
            )
            for group in groups
        ]

    @cached_property
    def rows(self) -> Table | None:
        """Rows by language and split."""
        order = ["train", "validation", "test"]
        by_split = dict(
            sorted(
                self.results.data.rows.items(),
                key=lambda item: order.index(item[0]) if item[0] in order else len(order),
            )
        )
        langs = sorted({lang for counts in by_split.values() for lang in counts})
        if not langs:
            return None
        rows = [
            (
                shown(lang, 20),
                tuple(
                    Entry(f"{counts[lang]:,}" if lang in counts else "–")
                    for counts in by_split.values()
                ),
            )
            for lang in langs
        ]
        total = tuple(Entry(f"{sum(counts.values()):,}") for counts in by_split.values())
        columns = tuple(shown(split, 20) for split in by_split)
        return Table(Grid("Rows by language", "lang", columns, (*rows, ("total", total))))

    @property
    def circumstances(self) -> list[tuple[str, str]]:
        """What all figures have in common."""
        results = self.results
        data = results.data
        tested = "" if data.tested_rows is None else f", {data.tested_rows:,} rows"
        facts = [
            ("study", results.name),
            ("command", results.command),
            ("written", f"{results.created}, xmpress {results.version}"),
            ("seeds", ", ".join(map(str, results.seeds))),
            ("data", data.config),
            ("data fingerprint", data.fingerprint),
            ("tested on", f"split {data.tested_split}{tested}"),
            ("machine", machine_text(results.machine)),
        ]
        speed = results.speed
        if speed is not None:
            facts += [
                ("speed measured on", machine_text(speed.machine)),
                ("speed measured with", f"{speed.workload or f'{speed.texts:,} texts'}, "
                 + threads_text(speed.threads)
                 + (f", {speed.rounds} rounds" if speed.rounds else "")),
            ]  # fmt: skip
        return [(name, shown(value, 400)) for name, value in facts]

    def brief(self, group: Group) -> str:
        """Where a group's numbers come from, for those who point at one."""
        seeds = ", ".join(map(str, group.seeds))
        command = shown(group.first.command or self.results.command, 160)
        return (
            f"{group.label}: seed{'s' if len(group.seeds) > 1 else ''} {seeds}; data "
            f"{self.results.data.fingerprint[:12]}; "
            f"{shown(str(self.results.machine.get('cpu', 'unknown machine')), 40)}; {command}"
        )

    def facts(self, group: Group) -> list[tuple[str, str]]:
        """What is known of a group, for the appendix."""
        first = group.first
        facts = [
            ("name", first.name),
            ("role", first.role.replace("_", "-")),
            ("encoder", first.encoder),
            ("recipe", first.recipe),
            ("variant", first.variant),
            ("tasks", ", ".join(first.tasks)),
            ("trained on", ", ".join(first.trained_languages)),
            ("compared with", self.view.named(first.reference) if first.reference else None),
            ("parameters", None if first.parameters is None else f"{first.parameters:,}"),
            ("size", None if group.bytes is None else size(group.bytes)),
        ]
        return [(name, shown(value, 400)) for name, value in facts if value]

    def made(self, group: Group) -> list[tuple[str, str, str]]:
        """By seed: what tells it, the command that made it, and where it lies."""
        return [
            (
                f"seed {model.seed}"
                + (f", {duration(model.seconds)}" if model.seconds is not None else "")
                + (f", guard {shown(model.verdict)}" if model.verdict else ""),
                shown(model.command or "", 600) if model.command else "",
                shown(model.path or "", 300) if model.path else "",
            )
            for model in group.models
        ]


def _average(group: Group) -> Entry:
    """The mean over the tasks, of models that predict several."""
    several = len(group.first.tasks) > 1
    return entry(group.quality() if several else None, interval=False, style=False)


def machine_text(machine: dict[str, object]) -> str:
    """A machine in a line."""
    sets = machine.get("instruction_sets")
    names = ", ".join(map(str, sets)) if isinstance(sets, Iterable) else ""
    parts = [machine.get("cpu"), machine.get("architecture"), names, machine.get("system")]
    threads = machine.get("threads")
    if threads:
        parts.append(f"{threads} thread{'s' if threads != 1 else ''}")
    accelerator = machine.get("accelerator")
    return ", ".join(str(part) for part in (*parts, accelerator) if part) or "not recorded"


def duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> duration(42), duration(320), duration(9000)
        ('42 s', '5 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
