"""Writes results/compression.md of what run.py and ablations.py left.

    python studies/compression/report.py --speed                   # minutes, on a quiet machine
    python studies/compression/report.py > results/compression.md

Scores of every model on the test rows are kept in the runs' cache, throughput in ``speed.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import ablations
from rows import TASKS
from run import OUT, RUNS, Run, start

from xmpress.benchmark import compare_throughput
from xmpress.compression import Artefact, Guard, judge
from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.compression.quantization.agreement import Agreement, agreement
from xmpress.data import Dataset, load_dataset
from xmpress.evaluation import Comparison, Degradation, compare, to_markdown
from xmpress.export import export_bundle
from xmpress.machine import this_machine
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle
from xmpress.training.train import spread

ALIKE = {
    "3 x 384, or as many parameters": (
        "minilm-l6-384",
        ("distill-int8", "distilmbert", "structured-pruning"),
    ),
    "3 x 192": ("minilm-l6", ("xtremedistil",)),
}
"""Runs whose students are of one size: MiniLM's, and those it is held against."""
GOAL_SPEEDUP, GOAL_DEGRADATION = 10.0, 2.6
ROUNDS, TEXTS = 5, 600
TEST_ROWS = 4_000


@dataclass(frozen=True)
class Student:
    """A run that ended, in one form.

    Attributes:
        run: what was asked for.
        form: ``fp32`` or ``int8``.
        bundle: its bundle.
        parameters: of the model behind it.
        report: of the run.
    """

    run: Run
    form: str
    bundle: Artefact
    parameters: int
    report: dict[str, Any]

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.run.name}, {self.form}"


class Study:
    """What lies in the folder of the runs."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.cache = out / "cache"

    @cached_property
    def test(self) -> Dataset:
        """Of the rows held out so many, drawn evenly over languages and tasks."""
        rows = load_dataset(self.out / "data.yaml", TASKS, split="test")
        return spread(rows.where(tasks=TASKS.names), TEST_ROWS, seed=0)

    @cached_property
    def teacher(self) -> Artefact:
        """The teacher as an fp32 bundle."""
        return exported(self.out / "teacher", self.out / "teacher-fp32")

    @cached_property
    def students(self) -> list[Student]:
        """Every run that ended, in fp32 and in int8."""
        found = []
        for run in RUNS:
            folder = self.out / run.name
            if not (folder / "bundle").is_dir():
                continue
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            own = folder / "model"
            model = Artefact(own if own.is_dir() else start(run, self.out))
            forms = {"int8": Artefact(folder / "bundle")}
            if Bundle.open(folder / "bundle").manifest.quantization is None:
                forms = {"fp32": forms["int8"]}
            elif own.is_dir():
                forms = {"fp32": exported(own, folder / "fp32"), **forms}
            found += [
                Student(run, form, bundle, model.parameters or 0, report)
                for form, bundle in forms.items()
            ]
        return found

    def logits(self, bundle: Artefact) -> Any:
        """Of the test rows, with the calibration."""
        rows = self.test
        return cached_logits(bundle, rows.texts, rows.contexts, self.cache), tasks_of(bundle)[1]

    def degradation(self, bundle: Artefact, reference: Artefact | None = None) -> Comparison:
        """Against the teacher, or another one."""
        other = reference or self.teacher
        return compare(self.logits(other), self.logits(bundle), self.test, names=("teacher", "it"))

    def kept(self, student: Student) -> Agreement:
        """How many labels int8 left as they are in fp32."""
        fp32 = self.out / student.run.name / "fp32"
        if not fp32.is_dir():
            given = self.out / student.run.model if student.run.model else None
            fp32 = self.teacher.path if given is None else given / "bundle"
        reference = Artefact(fp32)
        before, calibrations = self.logits(reference)
        after = self.logits(student.bundle)[0]
        return agreement(TASKS, calibrations, before, after, self.test.langs)

    @cached_property
    def speed(self) -> dict[str, Any]:
        """What was measured, or nothing."""
        path = self.out / "speed.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"models": {}}

    def speedup(self, name: str, against: str = "teacher, torch fp32") -> float | None:
        """Ratio of the medians of texts per second."""
        models = self.speed["models"]
        if name not in models or against not in models:
            return None
        return models[name]["texts_per_second"] / models[against]["texts_per_second"]

    def measure(self) -> None:
        """Time all models in turns, and keep it."""
        import torch

        from xmpress.modeling import load_model

        threads = this_machine().threads
        torch.set_num_threads(threads)
        names = ["teacher, torch fp32", "teacher, engine fp32"]
        predictors: list[Any] = [load_model(self.out / "teacher")]
        predictors.append(Analyzer(self.teacher.path, threads=threads))
        for student in self.students:
            names.append(student.name)
            predictors.append(Analyzer(student.bundle.path, threads=threads))
        texts = spread(self.test, TEXTS, seed=1).texts
        rates = compare_throughput(predictors, texts, rounds=ROUNDS)
        models = {name: asdict(rate) for name, rate in zip(names, rates, strict=True)}
        content = {
            "machine": machine(),
            "texts": len(texts),
            "rounds": ROUNDS,
            "models": models,
        }
        (self.out / "speed.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def machine() -> str:
    """This machine in a line."""
    found = this_machine()
    return f"{found.cpu}, {', '.join(found.instruction_sets)}, {found.threads} threads"


def exported(model: Path, target: Path) -> Artefact:
    """The fp32 bundle of a model directory, made unless it is there and of this model."""
    stamp, fingerprint = target.with_suffix(".of"), Artefact(model).fingerprint
    current = stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint
    if not current or not target.is_dir():
        export_bundle(model, target, name=model.name, overwrite=True)
        stamp.write_text(fingerprint, encoding="utf-8")
    return Artefact(target)


# ---- tables -----------------------------------------------------------------------------------


def table(head: list[str], lines: list[list[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def shown(value: Degradation) -> str:
    """A degradation with its interval."""
    if value.percent is None:
        return "–"
    text = f"{value.percent:.1f} [{value.low:.1f}, {value.high:.1f}]"
    return text if value.judged else f"({text})"


def times(ratio: float | None) -> str:
    """A ratio of throughputs."""
    return "–" if ratio is None else f"{ratio:.1f}x"


def worst(found: Comparison, over: str) -> str:
    """The worst task or language."""
    named = found.worst(over)
    return "–" if named is None else f"{named[0]} {shown(named[1])}"


def verdict(study: Study, student: Student, found: Comparison) -> str:
    """What the recipe's guard says on these rows, and how many limits are broken."""
    content = student.report["recipe"].get("guard")
    if content is None:
        return "–"
    cells = study.kept(student).cells if student.form == "int8" else ()
    judgement = judge(Guard.model_validate(content), found, [asdict(cell) for cell in cells])
    broken = [f for f in judgement.findings if f.verdict == "broken"]
    limits = sorted({finding.limit for finding in broken})
    return f"{judgement.verdict}" + (f" ({', '.join(limits)})" if limits else "")


def overview(study: Study, found: dict[str, Comparison]) -> str:
    """One line per student."""
    lines = [
        [
            student.name,
            student.run.size,
            f"{student.parameters / 1e6:.2f}",
            f"{student.bundle.bytes / 1e6:.1f}",
            shown(found[student.name].average),
            worst(found[student.name], "tasks"),
            worst(found[student.name], "languages"),
            times(study.speedup(student.name)),
            times(study.speedup(student.name, "teacher, engine fp32")),
            verdict(study, student, found[student.name]),
        ]
        for student in study.students
    ]
    head = ["run", "student", "parameters, M", "MB", "degradation, %", "worst task"]
    head += ["worst language", "vs torch", "vs engine fp32", "guard"]
    return table(head, lines)


def by_task(study: Study, found: dict[str, Comparison]) -> str:
    """Degradation by task."""
    lines = [
        [student.name, *(shown(found[student.name].tasks[task]) for task in TASKS.names)]
        for student in study.students
    ]
    return table(["run", *TASKS.names], lines)


def kept_labels(study: Study) -> str:
    """Share of equal labels of int8 and fp32, by task, and the worst task in a language."""
    lines = []
    for student in study.students:
        if student.form != "int8":
            continue
        kept = study.kept(student)
        low = min(kept.cells, key=lambda cell: cell.share)
        below = len(kept.below(0.99))
        lines.append(
            [
                student.run.name,
                *(f"{100 * kept.tasks[task].share:.2f}" for task in TASKS.names),
                str(low),
                f"{below} of {len(kept.cells)}",
            ]
        )
    head = ["run", *TASKS.names, "lowest, of a task in a language", "below 99 % beyond doubt"]
    return table(head, lines)


def frontier(points: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Those that nothing beats: (name, cost, degradation), cheaper and better is best."""
    best: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], p[2])):
        if not best or point[2] < best[-1][2]:
            best.append(point)
    return best


def budgets(study: Study, found: dict[str, Comparison]) -> str:
    """Which student wins where bytes are short, and where time is."""

    def lost(student: Student) -> float:
        percent = found[student.name].average.percent
        return float("inf") if percent is None else percent

    sizes = [(s.name, s.bundle.bytes / 1e6, lost(s)) for s in study.students]
    parts = [
        "By bytes: the least degradation that so many bytes buy.",
        table(
            ["at least", "winner", "degradation, %"],
            [[f"{mb:.1f} MB", name, f"{loss:.1f}"] for name, mb, loss in frontier(sizes)],
        ),
    ]
    rates = [(s.name, study.speedup(s.name), lost(s)) for s in study.students]
    timed = [(name, 1 / ratio, loss) for name, ratio, loss in rates if ratio]
    if timed:
        parts += [
            "By throughput, against the teacher in torch fp32.",
            table(
                ["up to", "winner", "degradation, %"],
                [[times(1 / c), name, f"{loss:.1f}"] for name, c, loss in frontier(timed)],
            ),
        ]
        good = [
            f"{name} ({times(1 / cost)}, {loss:.1f} %)"
            for name, cost, loss in timed
            if 1 / cost >= GOAL_SPEEDUP and loss <= GOAL_DEGRADATION
        ]
        parts.append(
            f"At least {GOAL_SPEEDUP:g} times the teacher's throughput at a degradation of at most "
            f"{GOAL_DEGRADATION} %: {', '.join(good) or 'none'}."
        )
    return "\n\n".join(parts)


def minilm(study: Study) -> str:
    """Whether MiniLM beats the others of its size, as in the paper."""
    bundles = {s.run.name: s.bundle for s in study.students if s.form == "fp32"}
    lines = []
    for size, (ours, others) in ALIKE.items():
        for other in others:
            if ours not in bundles or other not in bundles:
                continue
            lead = study.degradation(bundles[other], reference=bundles[ours]).average
            if lead.low is None or lead.high is None:
                continue
            said = (
                "MiniLM is better"
                if lead.low > 0
                else "MiniLM is worse"
                if lead.high < 0
                else "no difference shown"
            )
            lines.append([size, ours, other, shown(lead), said])
    head = ["size", "MiniLM", "against", "what it loses against MiniLM, %", "so"]
    return table(head, lines)


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", default=OUT, type=Path)
    parser.add_argument("--speed", action="store_true", help="measure throughput, write no page")
    options = parser.parse_args()
    study = Study(options.runs)
    if options.speed:
        study.measure()
        return
    found = {student.name: study.degradation(student.bundle) for student in study.students}
    teacher = Artefact(options.runs / "teacher")
    write = sys.stdout.write
    write(
        "# What each recipe costs and gains\n\n"
        "Every recipe that ships, from one teacher (6 layers x 384, "
        f"{(teacher.parameters or 0) / 1e6:.2f} M parameters, {study.teacher.bytes / 1e6:.1f} MB), "
        "trained for minutes on one core; steps and sizes: studies/compression/run.py.\n\n"
        "    python studies/compression/run.py\n"
        "    python studies/compression/ablations.py\n"
        "    python studies/compression/report.py --speed\n"
        f"    {' '.join(['python', *sys.argv])} > results/compression.md\n\n"
        "Degradation: relative drop of macro-F1 against the teacher in %, negative where the "
        f"student is better, with the 95 % interval of a paired bootstrap; {len(study.test):,} "
        "test rows. Thresholds and temperatures of teacher and students are tuned on the same "
        "rows.\n\n"
        f"## All runs\n\n{overview(study, found)}\n\n"
    )
    if study.speed["models"]:
        teacher_rate, engine_rate = (
            study.speed["models"][f"teacher, {how} fp32"]["texts_per_second"]
            for how in ("torch", "engine")
        )
        write(
            f"Throughput: {study.speed['texts']} test texts, tokenisation included, all models in "
            f"turns, medians of {study.speed['rounds']} rounds; both in batches of like length. "
            f"The teacher: {teacher_rate:.0f} texts/s in torch, {engine_rate:.0f} in our engine. "
            f"{study.speed['machine']}.\n\n"
        )
    write(f"## Which wins at which budget\n\n{budgets(study, found)}\n\n")
    write(
        "## Is MiniLM best?\n\nThe paper finds MiniLM best at equal size. Here, the other student "
        f"against MiniLM's, both in fp32:\n\n{minilm(study)}\n\n"
    )
    write(f"## Degradation by task, %\n\n{by_task(study, found)}\n\n")
    write(f"## Labels that int8 keeps, %\n\n{kept_labels(study)}\n\n")
    path = options.runs / "ablations.json"
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
        write(f"## What each objective is worth\n\n{ablations.described(content)}\n\n")
    for student in study.students:
        if student.form == "int8" or student.run.name == "trim-only":
            write(f"## By language: {student.name}\n\n{to_markdown(found[student.name])}\n\n")
    seed = study.students[0].report["recipe"]["seed"] if study.students else 0
    write(
        f"Machine: {machine()}. Seed: {seed}. Test rows: `{study.test.fingerprint[:16]}`. "
        f"Teacher: `{teacher.fingerprint[:16]}`.\n"
    )


if __name__ == "__main__":
    main()
