"""Results of a study that was never run: made-up numbers in the form that a runner writes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from xmpress.evaluation.comparison import Comparison, Degradation
from xmpress.evaluation.scorecard import Cell, Scorecard
from xmpress.study.paper import FIGURES
from xmpress.study.results import (
    Consistency,
    DataSummary,
    Missing,
    ModelResult,
    Speed,
    SpeedRow,
    StudyResults,
)
from xmpress.tasks import Task, TaskKind

TASKS = ("sentiment", "emotion", "intensity", "effort", "actionability")
LANGUAGES = ("de", "en", "es", "fr", "id", "it", "ja", "ko", "nl", "pt", "th", "zh")
MACHINE = {
    "cpu": "Example CPU 9000",
    "architecture": "x86_64",
    "instruction_sets": ["avx2", "avx_vnni"],
    "threads": 8,
    "memory": 34_359_738_368,
    "system": "Linux 6.1",
}


def task(name: str) -> Task:
    return Task(name=name, kind=TaskKind.SINGLE_LABEL, labels=("yes", "no"))


def scorecard(
    name: str, level: float, tasks: Sequence[str], langs: Sequence[str], rng: random.Random,
    rows: Mapping[tuple[str, str], int] | None = None, spread: float = 0.02,
) -> Scorecard:  # fmt: skip
    cells = []
    for task_name in tasks:
        t = TASKS.index(task_name) if task_name in TASKS else 0
        for lang in langs:
            count = (rows or {}).get((task_name, lang), 120)
            if not count:
                continue
            f1 = min(0.99, max(0.05, level - 0.04 * t + rng.uniform(-spread, spread)))
            cells.append(
                Cell(task_name, lang, count, f1, f1, f1, None, None, rng.uniform(0.01, 0.06), ())
            )
    return Scorecard(name, "f" * 64, tuple(cells))


def comparison(reference: Scorecard, candidate: Scorecard, width: float = 2.0) -> Comparison:
    tasks = [name for name in reference.tasks if name in candidate.tasks]

    def kept(card: Scorecard) -> Scorecard:
        return Scorecard(card.model, card.data, tuple(c for c in card.cells if c.task in tasks))

    a, b = kept(reference), kept(candidate)

    def drop(x: float, y: float, rows: int, half: float) -> Degradation:
        percent = 100 * (x - y) / x
        return Degradation(x, y, percent, percent - half, percent + half, rows, rows >= 50)

    cells = {
        (c.task, c.lang): drop(c.macro_f1, other.macro_f1, c.rows, 2 * width)
        for c in a.cells
        if (other := b.cell(c.task, c.lang))
    }
    # Judged as the best of their cells.
    most = {name: max(c.rows for c in a.cells if name in (c.task, c.lang))
            for name in (*tasks, *a.languages)}  # fmt: skip
    by_task = {t: drop(a.task(t), b.task(t), most[t], 0.7 * width) for t in tasks}
    return Comparison(
        a,
        b,
        cells,
        by_task,
        {x: drop(a.language(x), b.language(x), most[x], width) for x in a.languages},
        drop(a.average, b.average, max(most.values()), 0.4 * width),
        1000,
        0,
    )


class Maker:
    """Makes models whose numbers depend on the seed alone."""

    def __init__(
        self, tasks: Sequence[str], langs: Sequence[str], seeds: Sequence[int],
        rows: Mapping[tuple[str, str], int] | None = None,
    ) -> None:  # fmt: skip
        self.tasks, self.langs, self.seeds, self.rows = tasks, langs, seeds, rows
        self.models: list[ModelResult] = []
        self.cards: dict[str, Scorecard] = {}
        self.rng = random.Random(7)

    def add(
        self, name: str, role: str, level: float, *, encoder: str = "xlmr",
        tasks: Sequence[str] | None = None, reference: str | None = None,
        trained: Sequence[str] | None = None, consistent: bool = True, **more: Any,
    ) -> None:  # fmt: skip
        for seed in self.seeds:
            identity = f"{name.replace(' ', '-')}/seed{seed}"
            chosen = tasks or self.tasks
            card = scorecard(name, level, chosen, self.langs, self.rng, self.rows)
            self.cards[identity] = card
            against = f"{reference}/seed{seed}" if reference else None
            compared = comparison(self.cards[against], card) if against else None
            parallel = consistent and role in {"multi_task", "compressed"} and len(self.langs) > 1
            self.models.append(
                ModelResult(
                    id=identity, name=name, role=role, encoder=encoder, seed=seed,  # type: ignore[arg-type]
                    tasks=list(chosen), trained_languages=list(trained or self.langs),
                    reference=against, scorecard=card.to_dict(),
                    comparison=compared.to_dict() if compared else None,
                    command=f"xmpress train {identity}.yaml -o steps/{identity}",
                    path=f"steps/{identity}", seconds=320.5, parameters=278_000_000,
                    consistency={
                        t: Consistency(
                            same=min(1.0, level - 0.1 - 0.03 * i), items=70,
                            agreement={x: min(1.0, level - 0.02 * i) for x in self.langs},
                        )
                        for i, t in enumerate(chosen)
                    } if parallel else None,
                    calibration={
                        t: card.task(t) * 0 + 0.02 + self.rng.uniform(0, 0.03) for t in chosen
                    },
                    **{"bytes": 1_100_000_000, **more},
                )
            )  # fmt: skip


RECIPES = (
    ("distilmbert", 0.805, 540e6, 2.0), ("minilm-l12", 0.80, 470e6, 3.4),
    ("minilm-l6", 0.793, 420e6, 6.1), ("xtremedistil", 0.765, 60e6, 9.5),
    ("structured-pruning", 0.79, 600e6, 2.6),
)  # fmt: skip


def results(**over: Any) -> StudyResults:
    """The whole paper: two encoders, five recipes in fp32 and int8, two seeds."""
    make = Maker(TASKS, LANGUAGES, (1, 2))
    for encoder, level in (("xlmr", 0.81), ("mbert", 0.78)):
        make.add(f"{encoder} multi-task", "multi_task", level, encoder=encoder)
        for name in TASKS:
            make.add(
                f"{encoder} {name}", "single_task", level - 0.01, encoder=encoder, tasks=[name],
                reference=f"{encoder}-multi-task",
            )  # fmt: skip
    rows = []
    baseline = "xlm-roberta-base (random weights)"
    for recipe, level, size, times in RECIPES:
        for variant in ("fp32", "int8"):
            int8 = variant == "int8"
            make.add(
                f"{recipe} {variant}", "compressed", level - 0.003 * int8, recipe=recipe,
                variant=variant, reference="xlmr-multi-task",
                bytes=int(size / (3.8 if int8 else 1)),
                verdict="broken" if recipe == "xtremedistil" else "kept",
            )  # fmt: skip
            speedup = times * (2.1 if int8 else 1)
            rows.append(
                SpeedRow(
                    model=f"{recipe}-{variant}/seed1", policy="bulk",
                    texts_per_second=52 * speedup, speedup=speedup, low=0.95 * speedup,
                    high=1.06 * speedup, reference=baseline, p50_ms=19 / speedup,
                    p99_ms=25 / speedup, memory_bytes=500_000_000,
                )
            )  # fmt: skip
    rows.append(
        SpeedRow(model="xlmr-multi-task/seed1", policy="bulk", texts_per_second=54, speedup=1.04,
                 low=1.0, high=1.1, reference=baseline, p50_ms=19.0)
    )  # fmt: skip
    rows.append(SpeedRow(model=baseline, policy="bulk", texts_per_second=52.0, p50_ms=20.1))
    for lang in LANGUAGES:
        make.add(
            f"without {lang}", "zero_shot", 0.77, reference="xlmr-multi-task",
            trained=[x for x in LANGUAGES if x != lang],
        )  # fmt: skip
    make.add("english only", "zero_shot", 0.7, reference="xlmr-multi-task", trained=["en"])
    make.add("tfidf", "baseline", 0.5, encoder="none", bytes=None)
    values: dict[str, Any] = {
        "name": "paper",
        "title": "Compressing cross-lingual multi-task models",
        "description": "The paper's questions, on made-up numbers.",
        "command": "xmpress study studies/paper.yaml -o runs/paper",
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
        "seeds": [1, 2],
        "machine": MACHINE,
        "data": DataSummary(
            config="studies/data/public.yaml", fingerprint="0123456789abcdef" * 4,
            rows={
                "train": dict.fromkeys(LANGUAGES, 4000), "test": dict.fromkeys(LANGUAGES, 120)
            },
            tested_rows=1440,
        ),
        "tasks": [task(name) for name in TASKS],
        "languages": list(LANGUAGES),
        "models": make.models,
        "speed": Speed(
            threads=4, machine=MACHINE, texts=2000, rows=rows, workload="2,000 texts of test",
            notes=["xlm-roberta-base has random weights: speed does not depend on their values."],
        ),
        "cost": cost("minilm-l6-int8/seed1"),
        "missing": [Missing(question="consistency", reason="Emotion has no parallel gold labels.")],
        "paper": list(FIGURES),
    }  # fmt: skip
    return StudyResults(**{**values, **over})


def cost(student: str, tasks: int = 5, languages: int = 12) -> dict[str, Any]:
    return {
        "demand": {"rate": 500.0, "p99": 100.0, "tasks": tasks, "languages": languages},
        "currency": "USD",
        "prices": [],
        "bills": [
            {"candidate": student, "machine": "c8", "capacity": 1300.0, "machines": 1,
             "per_million": 0.0812, "per_month": 248.2},
            {"candidate": "xlmr-multi-task/seed1", "machine": "c8", "capacity": 90.0,
             "machines": 6, "per_million": 1.05, "per_month": 1489.2},
            {"candidate": "xlm-roberta-base", "machine": "c8", "capacity": 0.0, "machines": None,
             "per_million": None, "per_month": None},
        ],
        "savings": [
            {"what": f"{student} for {tasks} tasks, over one such model per task",
             "machines": [1, 5], "percent": 80.0, "percent_at_capacity": 80.0},
            {"what": f"{student} for {tasks} tasks and {languages} languages, over one such model "
             "per task and language (rate spread evenly)",
             "machines": [1, 60], "percent": 98.3, "percent_at_capacity": 80.0},
            {"what": f"{student} over xlmr-multi-task/seed1", "machines": [1, 6],
             "percent": 83.3, "percent_at_capacity": 93.1},
        ],
        "notes": ["Prices are those of the table.", "It is machine hours alone."],
    }  # fmt: skip


def small(**over: Any) -> StudyResults:
    """One task, one language, one seed, no speed: the least that can be studied."""
    make = Maker(["sentiment"], ["en"], (1,))
    make.add("tiny multi-task", "multi_task", 0.8, encoder="tiny", bytes=40_000_000)
    make.add("tiny int8", "compressed", 0.795, encoder="tiny", recipe="int8-only", variant="int8",
             reference="tiny-multi-task", bytes=10_000_000)  # fmt: skip
    values: dict[str, Any] = {
        "name": "small",
        "title": "One task, one language",
        "description": "",
        "command": "xmpress study small.yaml -o small",
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
        "seeds": [1],
        "machine": MACHINE,
        "data": DataSummary(
            config="reviews.csv", fingerprint="ab" * 32, rows={"test": {"en": 120}}
        ),
        "tasks": [task("sentiment")],
        "languages": ["en"],
        "models": make.models,
        "missing": [Missing(question="multi_task", reason="There is one task.")],
        "paper": list(FIGURES),
    }
    return StudyResults(**{**values, **over})
