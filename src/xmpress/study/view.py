"""A study's results by group: the seeds of one model together, and what each was compared with."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from xmpress.evaluation import MIN_ROWS, Comparison, Degradation, Scorecard
from xmpress.study.figures import Figure, Pool
from xmpress.study.results import Consistency, ModelResult, SpeedRow, StudyResults

LONGEST = 60
"""Characters of a name that are shown; the appendix has the whole."""


@dataclass(frozen=True, eq=False)
class Group:
    """The models that differ in nothing but their seed.

    Attributes:
        label: what to call them; unique within the study.
        anchor: of their place in the appendix.
        models: by seed.
    """

    label: str
    anchor: str
    models: tuple[ModelResult, ...]

    @property
    def first(self) -> ModelResult:
        """The one of the first seed."""
        return self.models[0]

    @property
    def seeds(self) -> list[int]:
        """In order."""
        return [model.seed for model in self.models]

    @cached_property
    def cards(self) -> list[Scorecard]:
        """Scorecards, of the seeds that have one."""
        return [card for model in self.models if (card := model.card())]

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Comparisons with the reference, of the seeds that have one."""
        return [found for model in self.models if (found := model.compared())]

    @property
    def average(self) -> Figure | None:
        """Degradation in %, mean over the tasks."""
        return Figure.of_degradations([c.average for c in self.comparisons])

    def task(self, name: str) -> Figure | None:
        """Degradation of a task in %, mean over the languages."""
        return self._degradation("tasks", name)

    def language(self, name: str) -> Figure | None:
        """Degradation of a language in %, mean over the tasks."""
        return self._degradation("languages", name)

    def cell(self, task: str, language: str) -> Figure | None:
        """Degradation of a task in a language, in %."""
        return self._degradation("cells", (task, language))

    def _degradation(self, kind: str, key: object) -> Figure | None:
        return Figure.of_degradations(self._by_key(kind).get(key, []), self._pools[kind])

    def _by_key(self, kind: str) -> dict[object, list[Degradation]]:
        found: dict[object, list[Degradation]] = {}
        for comparison in self.comparisons:
            for key, value in getattr(comparison, kind).items():
                found.setdefault(key, []).append(value)
        return found

    @cached_property
    def _pools(self) -> dict[str, Pool | None]:
        """The variance between the seeds, by kind of cell; of judged cells if there are any."""
        pools = {}
        for kind in ("tasks", "languages", "cells"):
            cells = list(self._by_key(kind).values())
            cells = [cell for cell in cells if all(d.judged for d in cell)] or cells
            pools[kind] = Pool.of([d.percent for d in cell if d.percent is not None]
                                  for cell in cells)  # fmt: skip
        return pools

    def points(self) -> Figure | None:
        """Degradation in points of macro-F1, mean over the tasks."""
        return Figure.of([c.average.points for c in self.comparisons])

    def quality(self, task: str | None = None) -> Figure | None:
        """Macro-F1 times 100 of a task, or its mean over the tasks."""
        if task is None:
            return Figure.of([100 * card.average for card in self.cards])
        return Figure.of([100 * card.task(task) for card in self.cards if task in card.tasks])

    def paired(self, task: str) -> tuple[Figure | None, Figure | None]:
        """Macro-F1 times 100 of a task, of the reference and of this, of the seeds of both."""
        known = [c.tasks[task] for c in self.comparisons if task in c.tasks]
        return (
            Figure.of([100 * one.reference for one in known]),
            Figure.of([100 * one.candidate for one in known]),
        )

    def quality_in(self, task: str, language: str) -> Figure | None:
        """Macro-F1 times 100 of a task in a language."""
        cells = [cell for card in self.cards if (cell := card.cell(task, language))]
        found = Figure.of([100 * cell.macro_f1 for cell in cells])
        if found is None:
            return None
        return Figure(
            found.value, found.std, seeds=found.seeds, rows=cells[0].rows, judged=cells[0].judged
        )

    def calibration(self, task: str) -> Figure | None:
        """Expected calibration error times 100."""
        known = [m.calibration for m in self.models if m.calibration and task in m.calibration]
        return Figure.of([100 * found[task] for found in known])

    def consistency(self, task: str) -> list[Consistency]:
        """By seed, where it was measured."""
        known = [m.consistency for m in self.models if m.consistency and task in m.consistency]
        return [found[task] for found in known]

    def same(self, task: str) -> Figure | None:
        """Share of the parallel items with one answer in all languages, in %."""
        known = self.consistency(task)
        found = Figure.of_share([one.same for one in known], known[0].items if known else 0)
        return None if found is None else found.scaled(100)

    def agreement(self, task: str, language: str) -> Figure | None:
        """Share of the parallel items answered as in the pivot language, in %."""
        known = [one for one in self.consistency(task) if language in one.agreement]
        shares = [one.agreement[language] for one in known]
        found = Figure.of_share(shares, known[0].items if known else 0)
        return None if found is None else found.scaled(100)

    @property
    def bytes(self) -> float | None:
        """Of its directory, mean over the seeds."""
        found = Figure.of([float(m.bytes) for m in self.models if m.bytes is not None])
        return None if found is None else found.value


class View:
    """Results, ready for the questions.

    Attributes:
        results: as they were read.
        groups: in the order of the results.
        tasks: names, in order.
    """

    def __init__(self, results: StudyResults) -> None:
        self.results = results
        self.groups = _groups(results.models)
        self.tasks = [task.name for task in results.tasks]
        self.languages = list(results.languages)
        self._by_id = {model.id: group for group in self.groups for model in group.models}

    @cached_property
    def means(self) -> tuple[str, ...]:
        """What means over the languages are of, as a note for tables, where that is not all."""
        held: dict[str, set[str]] = {}
        for cell in (c for group in self.groups for card in group.cards for c in card.cells):
            if cell.judged:
                held.setdefault(cell.task, set()).add(cell.lang)
        few = [t for t in self.tasks if 0 < len(held.get(t, ())) < len(self.languages)]
        if not few:
            return ()
        counts = ", ".join(f"{shown(task)} {len(held[task])}" for task in few)
        return (
            f"Means are over the languages with at least {MIN_ROWS} labelled rows: {counts} of "
            f"{len(self.languages)}.",
        )

    def of_role(self, *roles: str) -> list[Group]:
        """The groups with one of these roles."""
        return [group for group in self.groups if group.first.role in roles]

    def reference(self, group: Group) -> Group | None:
        """What a group was compared with."""
        name = group.first.reference
        return None if name is None else self._by_id.get(name)

    def named(self, identity: str) -> str:
        """What to call a model's id, or a baseline."""
        group = self._by_id.get(identity)
        return shown(identity) if group is None else group.label

    def in_words(self, text: str, most: int = 300) -> str:
        """A sentence of the benchmark, with models' names for their ids."""
        # Longest first, for an id may begin with another.
        for model in sorted(self.results.models, key=lambda model: -len(model.id)):
            text = text.replace(model.id, self.named(model.id))
        return shown(text, most)

    def group(self, identity: str) -> Group | None:
        """The group of a model's id."""
        return self._by_id.get(identity)

    def missing(self, question: str) -> list[str]:
        """Why parts of a question could not be judged."""
        return [shown(m.reason, 400) for m in self.results.missing if m.question == question]

    @cached_property
    def policy(self) -> str | None:
        """The policy and device that speedups are told for: those of the first row."""
        speed = self.results.speed
        return speed.rows[0].policy if speed and speed.rows else None

    def speed(self, group: Group) -> SpeedRow | None:
        """The first speed measured for a group, on the CPU if it was measured there."""
        rows = [row for row in self._rows() if row.model in {m.id for m in group.models}]
        return min(rows, key=lambda row: row.device != "cpu", default=None)

    def baselines(self) -> list[SpeedRow]:
        """Speeds of what is no model of the study."""
        return [row for row in self._rows() if row.model not in self._by_id]

    @cached_property
    def speed_notes(self) -> list[str]:
        """What to know about measured times, such as which weights are random."""
        speed = self.results.speed
        return [self.in_words(note).rstrip(".") + "." for note in speed.notes] if speed else []

    def _rows(self) -> list[SpeedRow]:
        speed = self.results.speed
        return [row for row in speed.rows if row.policy == self.policy] if speed else []


def shown(text: str, most: int = LONGEST) -> str:
    """Text from elsewhere on one line, without control characters, and not too long."""
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or _printable(c))
    kept = " ".join(kept.split()) or "?"
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def _printable(character: str) -> bool:
    # Neither control characters and surrogates nor what changes the direction of the line.
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _groups(models: Iterable[ModelResult]) -> list[Group]:
    by_key: dict[tuple[object, ...], list[ModelResult]] = {}
    for model in models:
        key = (model.name, model.role, model.encoder, model.recipe, model.variant,
               tuple(model.tasks), tuple(model.trained_languages))  # fmt: skip
        by_key.setdefault(key, []).append(model)
    found = [sorted(group, key=lambda model: model.seed) for group in by_key.values()]
    labels = _unique([group[0] for group in found])
    return [
        Group(label, f"model-{n}", tuple(group))
        for n, (label, group) in enumerate(zip(labels, found, strict=True), 1)
    ]


def _unique(models: Sequence[ModelResult]) -> list[str]:
    """A name for each: its own, with what tells it from others where that is not enough."""
    labels = [shown(model.name) for model in models]
    for extra in ("encoder", "variant", "recipe", "role", "tasks", "trained_languages", None):
        doubled = {label for label in labels if labels.count(label) > 1}
        for n, model in enumerate(models):
            if labels[n] in doubled:
                value = f"#{n + 1}" if extra is None else getattr(model, extra)
                more = "+".join(value) if isinstance(value, list) else value or ""
                more = more.replace("_", "-")
                if more and more not in labels[n]:
                    labels[n] = f"{labels[n]} ({shown(more, 30)})"
    return labels
