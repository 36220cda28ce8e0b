"""The pass ``cascade``: a bundle that answers what is easy without running its graph."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from xmpress.benchmark.throughput import compare_throughput
from xmpress.compression.cascade.choice import NEVER, Rivals, choose, shares
from xmpress.compression.cascade.training import piece_scores, starting_table, train_stage
from xmpress.compression.guard import Guard, judge
from xmpress.compression.outputs import cached_logits
from xmpress.compression.passes import Artefact, Context, Kind, Pass, PassParams
from xmpress.data import Dataset
from xmpress.data.files import atomic_path
from xmpress.evaluation.tuning import fit_temperature
from xmpress.export import export_bundle
from xmpress.provenance import digest
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.runtime.cascade import STAGE, CascadeSpec, FirstStage, StageWeights
from xmpress.tasks import FloatArray, TaskSet
from xmpress.training.train import spread, training_splits

SMALLEST_SHARE = 0.01
"""Answered early; with less the first stage takes more time than it saves."""
ROUNDS = 5
"""Of the measurement of speed."""


class CascadeParams(PassParams):
    """Parameters of ``cascade``."""

    dimensions: Annotated[int, Field(ge=1, le=1000)] = 64
    """Of a piece's vector: bytes per piece of the vocabulary."""
    hidden: Annotated[int, Field(ge=1, le=500)] = 128
    """Units of the perceptron."""
    rows: Annotated[int, Field(ge=1)] = 60_000
    """Training texts at most, drawn evenly over languages and tasks; their labels are not used."""
    epochs: Annotated[int, Field(ge=1)] = 8
    """Passes over them."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """At the start; falls to 0."""
    validation_rows: Annotated[int, Field(ge=1)] = 12_000
    """Rows that temperatures and thresholds are chosen on."""
    limits: Guard = Guard(average=1.0, worst_task=2.0, worst_language=4.0)
    """What early answers may cost against the bundle without them, on validation rows: all of each
    interval must lie within."""
    checked_rows: Annotated[int, Field(ge=1)] = 12_000
    """Rows held out on which what was chosen is checked."""
    timed_rows: Annotated[int, Field(ge=1)] = 500
    """Of these, texts that the speedup is measured on."""


@dataclass(frozen=True)
class _Made:
    """A first stage before it is in a bundle."""

    weights: StageWeights
    temperature: dict[str, float]


class Cascade(Pass[CascadeParams]):
    """Model directory or bundle in, bundle with a first stage out.

    Where the limits leave nothing to answer early, the bundle comes out without one.
    """

    Params: ClassVar[type[PassParams]] = CascadeParams
    takes: ClassVar[tuple[Kind, ...]] = ("model", "bundle")
    gives: ClassVar[Kind] = "bundle"
    needs_data: ClassVar[bool] = True
    checks_held_out: ClassVar[bool] = True

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Distil, choose the thresholds on validation rows, check on rows held out."""
        main = self._main(context)
        analyzer = Analyzer(main, cascade=False)
        training, validation = training_splits(context.dataset(), context.validation, seed=0)
        training = spread(training, self.params.rows, seed=context.seed)
        validation = spread(validation, self.params.validation_rows, seed=context.seed)
        weights = self._train(context, analyzer, training)
        made = self._calibrated(weights, analyzer, validation)
        rivals = self._rivals(context, analyzer, made, validation)
        chosen = choose(rivals, self.params.limits, context.say)
        share = float(rivals.early(chosen).mean())
        shutil.copytree(main, target, dirs_exist_ok=True)
        details: dict[str, Any] = {
            "trained_on": len(training),
            "chosen_on": len(validation),
            "validation": self._found(rivals, chosen, analyzer),
        }
        if share < SMALLEST_SHARE:
            context.say(
                f"cascade: within the limits the first stage answers {100 * share:.1f} % of the "
                "validation texts, which is not worth its while; the bundle stays without one"
            )
            return {**details, "first_stage": None}
        (target / STAGE).parent.mkdir()
        made.weights.save(target / STAGE)
        spec = CascadeSpec(certainty=chosen, temperature=made.temperature)
        manifest = analyzer.bundle.manifest
        write_manifest(target, manifest.model_copy(update={"cascade": spec, "scorecard": None}))
        held_out = context.sample(self.params.checked_rows, training=False, even=True)
        found = self._found(self._rivals(context, analyzer, made, held_out), chosen, analyzer)
        timed = held_out.take(
            np.random.default_rng(context.seed).permutation(len(held_out))[: self.params.timed_rows]
        )
        rates = compare_throughput(
            [analyzer, Analyzer(target, cascade=True)],
            timed.texts,
            contexts=timed.contexts,
            rounds=ROUNDS,
        )
        speed = {"texts": len(timed), **_speed(rates[1])}
        spec = spec.model_copy(
            update={
                "measured": {
                    "share": found["share"],
                    "languages": found["languages"],
                    "degradation": found["degradation"]["average"],
                    "speedup": speed,
                }
            }
        )
        write_manifest(target, manifest.model_copy(update={"cascade": spec, "scorecard": None}))
        return {
            **details,
            "first_stage": {
                "bytes": (target / STAGE).stat().st_size,
                "certainty": chosen,
                "temperature": made.temperature,
            },
            "held_out": found,
            "speedup": speed,
        }

    def _main(self, context: Context) -> Path:
        """The bundle without a first stage."""
        given = context.artefact.path
        plain = context.workspace / "main"
        shutil.rmtree(plain, ignore_errors=True)
        if context.artefact.kind == "model":
            return export_bundle(given, plain, name=context.name)
        manifest = Bundle.open(given).manifest
        if manifest.cascade is None:
            return given
        shutil.copytree(given, plain, ignore=shutil.ignore_patterns(Path(STAGE).parts[0]))
        write_manifest(plain, manifest.model_copy(update={"cascade": None}))
        return plain

    def _train(self, context: Context, analyzer: Analyzer, rows: Dataset) -> StageWeights:
        """The stage; trained once whatever the limits are."""
        keys = ("dimensions", "hidden", "epochs", "learning_rate")
        key = digest(
            {
                "revision": self.revision,
                "main": Artefact(analyzer.bundle.path).fingerprint,
                "rows": rows.fingerprint,
                "seed": context.seed,
                **self.params.model_dump(include=set(keys)),
            }
        )
        kept = context.cache / f"stage-{key[:40]}.npz"
        if not kept.is_file():
            weights = self._trained(context, analyzer, rows)
            with atomic_path(kept) as temporary:
                weights.save(temporary)
        return StageWeights.load(kept)

    def _trained(self, context: Context, analyzer: Analyzer, rows: Dataset) -> StageWeights:
        tokenizer = analyzer.bundle.tokenizer()
        context.say(f"cascade: asking the main model about {len(rows):,} texts")
        soft = _answers(context, analyzer, rows)
        start = starting_table(
            piece_scores(analyzer, tokenizer.vocab_size), self.params.dimensions, context.seed
        )
        return train_stage(
            analyzer.tasks,
            start,
            tokenizer.encode(rows.texts, rows.contexts),
            soft,
            hidden=self.params.hidden,
            epochs=self.params.epochs,
            learning_rate=self.params.learning_rate,
            seed=context.seed,
            quiet=context.quiet,
            say=context.say,
        )

    def _calibrated(self, weights: StageWeights, analyzer: Analyzer, rows: Dataset) -> _Made:
        """Temperatures of the rounded stage, from labels."""
        tasks = analyzer.tasks
        identity = {t.name: analyzer.calibration[t.name].temperature for t in tasks}
        scores = _first(_Made(weights, identity), analyzer, rows)
        temperature = {}
        for task in tasks:
            labels = rows.labels.get(task.name)
            temperature[task.name] = (
                1.0 if labels is None else fit_temperature(task, scores[task.name], labels)
            )
        return _Made(weights, temperature)

    def _rivals(self, context: Context, analyzer: Analyzer, made: _Made, rows: Dataset) -> Rivals:
        return Rivals(
            analyzer.tasks,
            analyzer.calibration,
            _answers(context, analyzer, rows),
            _first(made, analyzer, rows),
            rows,
        )

    def _found(
        self, rivals: Rivals, chosen: dict[str, float], analyzer: Analyzer
    ) -> dict[str, Any]:
        """What a choice comes to: shares, cost, and whether the limits hold."""
        early = rivals.early(chosen)
        rows = rivals.rows
        tokens = analyzer.bundle.tokenizer().encode(rows.texts, rows.contexts).lengths
        comparison = rivals.compare(early)
        judgement = judge(self.params.limits, comparison)
        sure = {task: rivals.certainty[task] >= value for task, value in chosen.items()}
        content = comparison.to_dict()
        return {
            "rows": len(rows),
            "share": float(early.mean()),
            # What the main model does not run: texts that are easy are short.
            "tokens": float(tokens[early].sum() / tokens.sum()),
            "languages": shares(rows.langs, early),
            # Where only this task is asked for.
            "tasks": {task: float(found.mean()) for task, found in sure.items()},
            "equal_labels": {
                task: float(equal[early].mean()) if early.any() else None
                for task, equal in rivals.equal.items()
            },
            "degradation": {key: content[key] for key in ("average", "tasks", "languages")},
            "guard": judgement.to_dict(),
        }


def _answers(context: Context, analyzer: Analyzer, rows: Dataset) -> dict[str, FloatArray]:
    artefact = Artefact(analyzer.bundle.path)
    return cached_logits(artefact, rows.texts, rows.contexts, context.cache, say=context.say)


def _first(made: _Made, analyzer: Analyzer, rows: Dataset) -> dict[str, FloatArray]:
    """The first stage's scores per task, on the main model's scale."""
    tasks: TaskSet = analyzer.tasks
    spec = CascadeSpec(certainty=dict.fromkeys(tasks.names, NEVER), temperature=made.temperature)
    stage = FirstStage(made.weights, spec, tasks, analyzer.calibration)
    encoded = analyzer.bundle.tokenizer().encode(rows.texts, rows.contexts)
    ends = np.cumsum([len(task) for task in tasks])
    return dict(zip(tasks.names, np.split(stage.scores(encoded), ends[:-1], axis=1), strict=True))


def _speed(rate: Any) -> dict[str, float]:
    return {"median": rate.speedup, "low": rate.low, "high": rate.high}
