"""What the steps of a study do: calls of the package's public functions, and a file of findings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from xmpress.benchmark import Settings, benchmark, texts_of
from xmpress.benchmark.candidates import Candidate
from xmpress.benchmark.cost import CostReport, Demand, PriceTable, Saving, Served, cost, savings_of
from xmpress.benchmark.load import ServiceTimes
from xmpress.benchmark.report import Failure, Measured, Report
from xmpress.compression import Artefact, Recipe, compress
from xmpress.compression.outputs import cached_logits, tasks_of
from xmpress.errors import UsageError
from xmpress.evaluation import Calibrations, Logits, compare, consistency_of, score
from xmpress.export import export_bundle
from xmpress.machine import this_machine
from xmpress.peers.collect import Wishes, collect
from xmpress.study import config
from xmpress.study.graph import Work
from xmpress.study.results import Speed, SpeedRow
from xmpress.study.rows import Rows
from xmpress.tasks import TaskSet
from xmpress.training import TrainConfig, train
from xmpress.training.baselines import fit_baseline

EVALUATION = "evaluation.json"
COMPARISON = "comparison.json"
SPEED = "speed.json"
SERVICE = "service.json"
COST = "cost.json"
Findings = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a model lies: a folder in the directory of the step that makes it."""

    step: str
    folder: str

    def within(self, work: Work) -> Path:
        """Its path."""
        found = self.maybe(work)
        if found is None:
            raise UsageError(f"step {self.step} has made nothing")
        return found

    def maybe(self, work: Work) -> Path | None:
        """Its path, if the step that makes it did not fail."""
        directory = work.output(self.step)
        return None if directory is None else directory / self.folder


@dataclass(frozen=True)
class Workshop:
    """What all steps of a study share.

    Attributes:
        rows: the study's rows.
        cache: directory for scores that are computed once.
        say: tells a person what is going on, one line at a time.
        quiet: no progress bars.
    """

    rows: Rows
    cache: Path
    say: Callable[[str], None]
    quiet: bool

    # ---- models -----------------------------------------------------------------------------

    def train(self, settings: TrainConfig, work: Work) -> Findings:
        """Train a model; goes on from its checkpoint."""
        content = settings.model_dump(mode="json", exclude_none=True)
        _write_yaml(work.directory / "train.yaml", content)
        target = work.directory / "model"
        if not target.is_dir():  # it is there only if it is whole
            train(settings, target, resume=True, quiet=self.quiet)
        artefact = Artefact(target)
        return {"bytes": {"model": artefact.bytes}, "parameters": artefact.parameters}

    def compress(self, recipe: Recipe, teacher: Place, work: Work) -> Findings:
        """Run a recipe; goes on from the pass, and the checkpoint, where it was interrupted."""
        (work.directory / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        result = compress(
            recipe,
            model=teacher.within(work),
            out=work.directory,
            cache=self.cache,
            say=self.say,
            quiet=self.quiet,
        )
        # The last model and the bundle are kept; what lies between them takes the most room.
        shutil.rmtree(work.directory / "passes")
        made = {"bundle": Artefact(result.bundle)}
        if result.model is not None:
            made["model"] = Artefact(result.model)
        return {
            "bytes": {folder: artefact.bytes for folder, artefact in made.items()},
            # A bundle does not tell: quantization changes no number of weights.
            "parameters": (made.get("model") or Artefact(teacher.within(work))).parameters,
            "verdict": None if result.verdict is None else str(result.verdict),
        }

    def export(self, model: Place, name: str, work: Work) -> Findings:
        """Make a bundle of a model directory."""
        bundle = work.directory / "bundle"
        export_bundle(model.within(work), bundle, name=name, overwrite=True)
        return {"bytes": {"bundle": Artefact(bundle).bytes}}

    # ---- quality ----------------------------------------------------------------------------

    def evaluate(self, name: str, model: Place, work: Work) -> Findings:
        """Score a model on the tested rows and the parallel ones."""
        artefact = Artefact(model.within(work))
        tasks, calibration = tasks_of(artefact)
        tested, parallel = self.rows.tested, self.rows.parallel
        logits = self._logits(artefact, tested.texts, tested.contexts)
        same = {}
        if parallel is not None:
            texts = parallel.rows
            scores = self._logits(artefact, texts.texts, texts.contexts)
            same = consistency_of(tasks, scores, calibration, parallel.items)
        return self._write_evaluation(name, logits, calibration, same, work)

    def baseline(self, kind: str, work: Work) -> Findings:
        """Fit a floor and score it on the tested rows and the parallel ones."""
        floor = fit_baseline(kind, self.rows.whole)
        tested, parallel = self.rows.tested, self.rows.parallel
        logits = floor.logits(tested.texts, tested.contexts)
        same = {}
        if parallel is not None:
            scores = floor.logits(parallel.rows.texts, parallel.rows.contexts)
            same = consistency_of(floor.tasks, scores, floor.calibration, parallel.items)
        return self._write_evaluation(kind, logits, floor.calibration, same, work)

    def compare(
        self, names: tuple[str, str], models: tuple[Place, Place], resamples: int, work: Work
    ) -> Findings:
        """What the second model loses against the first, on the tasks of both."""
        sides = []
        for model in models:
            artefact = Artefact(model.within(work))
            tested = self.rows.tested
            sides.append(
                (self._logits(artefact, tested.texts, tested.contexts), tasks_of(artefact)[1])
            )
        found = compare(sides[0], sides[1], self.rows.tested, resamples=resamples, names=names)
        _write(work.directory / COMPARISON, found.to_dict())
        return {"percent": found.average.percent}

    def _logits(
        self, artefact: Artefact, texts: Sequence[str], contexts: Sequence[str | None]
    ) -> Logits:
        self.cache.mkdir(exist_ok=True)
        return cached_logits(artefact, texts, contexts, self.cache, say=self.say)

    def _write_evaluation(
        self,
        name: str,
        logits: Logits,
        calibration: Calibrations,
        same: Mapping[str, Any],
        work: Work,
    ) -> Findings:
        card = score(name, logits, self.rows.tested, calibration)
        content = {
            "scorecard": card.to_dict(),
            "consistency": {task: asdict(found) for task, found in same.items()} or None,
            "calibration": {task: card.task(task, "ece") for task in card.tasks},
        }
        _write(work.directory / EVALUATION, content)
        return {"average": card.average}

    # ---- speed and cost ---------------------------------------------------------------------

    def speed(
        self,
        settings: config.Speed,
        device: str,
        models: Mapping[str, Place],
        references: Mapping[str, str],
        work: Work,
    ) -> Findings:
        """Measure models side by side.

        Args:
            settings: how.
            device: ``cpu`` or ``cuda``.
            models: by id what runs there.
            references: by id the model whose texts per second a speedup is over.
            work: the step.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UsageError("speed on cuda was asked for, and there is no such device here")
        paths = {name: place.maybe(work) for name, place in models.items()}
        made = {name: path for name, path in paths.items() if path is not None}
        if not made:
            raise UsageError("there is nothing to measure: no model was made")
        # What an interrupted attempt has left would be in the way.
        shutil.rmtree(work.directory / "baselines", ignore_errors=True)
        wishes = Wishes(
            models=[str(path) for path in made.values()],
            precisions=settings.precisions,
            device=device,
        )
        found = collect(wishes, work.directory)
        baselines, failures = _baselines(wishes, settings.baselines, work.directory)
        owner = {path.resolve(): name for name, path in made.items()}
        several = len(settings.precisions) > 1
        candidates, identity = baselines, {}
        for candidate in found.candidates:
            if candidate.group == "model":
                name = owner[candidate.path.resolve()]
                precision = candidate.options.get("precision")
                title = f"{name}, {precision}" if precision and several else name
                candidate, identity[title] = replace(candidate, name=title), name
            candidates.append(candidate)
        stand_in = found.subject.tokenizer
        named = {} if stand_in is None else {str(stand_in): owner[stand_in.resolve()]}
        workload = texts_of(settings.texts, rows=settings.rows)
        report = benchmark(
            candidates,
            workload,
            Settings(
                threads=settings.threads or this_machine().threads,
                rounds=settings.rounds,
                least=settings.least,
                policies=tuple(settings.policies),
                latency=settings.latency,
                loads=(),
            ),
            say=self.say,
        )
        report = replace(report, failures=[*failures, *report.failures])
        speed = _speed(report, identity, references, named)
        _write(work.directory / SPEED, speed.model_dump(mode="json"))
        _write(work.directory / SERVICE, _services(report, identity))
        shutil.rmtree(work.directory / "baselines", ignore_errors=True)  # large, and made again
        return {"models": len(candidates)}

    def cost(
        self,
        settings: config.Cost,
        tasks: TaskSet,
        speed: str,
        compressed: Mapping[str, str],
        work: Work,
    ) -> Findings:
        """What a load costs with each model that was measured.

        Args:
            settings: the load.
            tasks: that are asked for.
            speed: the step with the measured times.
            compressed: by id of a compressed model that of its reference.
            work: the step.
        """
        directory = work.output(speed)
        if directory is None:
            raise UsageError(f"step {speed} has measured nothing")
        measured = json.loads((directory / SERVICE).read_text(encoding="utf-8"))
        threads = json.loads((directory / SPEED).read_text(encoding="utf-8"))["threads"]
        served = [
            Served(name, _service(found["samples"]), found["group"])
            for name, found in measured.items()
        ]
        languages = max(1, len(self.rows.tested_languages))
        demand = Demand(settings.rate, settings.p99, len(tasks), languages)
        prices = PriceTable.load(settings.prices)
        report = cost(served, demand, prices, threads)
        savings: list[Saving] = []
        # Bills come by machine; the first is what savings are on.
        whole = {bill.candidate: bill.capacity for bill in report.bills[: len(served)]}
        baselines = [one.name for one in served if one.group == "baseline"]
        for name, teacher in compressed.items():
            if name in whole:
                others = [teacher, *baselines] if teacher in whole else baselines
                savings += savings_of(name, others, whole, demand)
        found: CostReport = replace(report, savings=savings) if savings else report
        _write(work.directory / COST, found.to_dict())
        return {"bills": len(found.bills)}


def _baselines(
    wishes: Wishes, names: Sequence[str], workspace: Path
) -> tuple[list[Candidate], list[Failure]]:
    """The baselines that can be made, and why others cannot."""
    made: list[Candidate] = []
    failures = []
    for name in names:
        try:
            found = collect(replace(wishes, baselines=[name]), workspace)
        # Downloads, disks and memory fail in ways without a common base; none of them is a reason
        # not to measure the models.
        except Exception as error:
            failures.append(Failure(name, str(error) or type(error).__name__))
            continue
        made += [candidate for candidate in found.candidates if candidate.group == "baseline"]
    return made, failures


def _speed(
    report: Report,
    identity: Mapping[str, str],
    references: Mapping[str, str],
    named: Mapping[str, str],
) -> Speed:
    """The rows of a benchmark, with the study's ids for its models.

    Args:
        report: the benchmark.
        identity: by a candidate's name the id of the model.
        references: by id the model whose texts per second a speedup is over.
        named: what notes call a model, and its id.
    """
    by_id: dict[str, Measured] = {}
    for one in report.candidates:
        by_id.setdefault(identity.get(one.name, one.name), one)
    first = next((by_id[name] for name in references.values() if name in by_id), None)
    baselines = [one for one in report.candidates if one.candidate.group == "baseline"]
    rows = []
    for one in report.candidates:
        name = identity.get(one.name, one.name)
        # A model whose own reference was not measured is not compared with another encoder's.
        reference = by_id.get(references[name]) if name in references else first
        for policy in one.seconds:
            ratio = None if reference is None else one.speedup(reference, policy)
            rows.append(
                SpeedRow(
                    model=name,
                    policy=policy,
                    texts_per_second=one.throughput(policy).median,
                    speedup=None if ratio is None else ratio.median,
                    low=None if ratio is None else ratio.low,
                    high=None if ratio is None else ratio.high,
                    reference=None
                    if reference is None
                    else identity.get(reference.name, reference.name),
                    over={b.name: one.speedup(b, policy).median for b in baselines},
                    p50_ms=None if one.single is None else one.single.p50,
                    p99_ms=None if one.single is None else one.single.p99,
                    calls=None if one.single is None else one.single.count,
                    memory_bytes=one.peak_memory,
                    device=one.device,
                    precision=one.precision,
                    engine=one.engine,
                    tokens_per_text=one.tokens_per_text,
                )
            )
    notes = [note for one in report.candidates for note in one.candidate.notes]
    for path, name in named.items():
        notes = [note.replace(path, name) for note in notes]
    failed = [f"{failure.name} was not measured: {failure.reason}" for failure in report.failures]
    return Speed(
        threads=report.threads,
        machine=report.machine,
        texts=report.texts,
        rounds=report.rounds,
        rows=rows,
        workload=report.workload,
        notes=list(dict.fromkeys([*notes, *failed])),
    )


def _services(report: Report, identity: Mapping[str, str]) -> dict[str, Any]:
    """Times by batch size, of everything they were measured of."""
    return {
        identity.get(one.name, one.name): {
            "group": one.candidate.group,
            "samples": {str(size): list(times) for size, times in one.service.samples.items()},
        }
        for one in report.candidates
        if one.service is not None
    }


def _service(samples: Mapping[str, Sequence[float]]) -> ServiceTimes:
    return ServiceTimes({int(size): times for size, times in samples.items()})


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_yaml(path: Path, content: Any) -> None:
    path.write_text(
        yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8"
    )
