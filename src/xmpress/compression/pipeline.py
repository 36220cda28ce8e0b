"""Runs a recipe: pass after pass, each one written whole, scored, and held against the guard.

What is left in the output folder::

    passes/01-distill/       the artefact of each pass, and beside it 01-distill.json: what it was
    passes/02-quantize/      made from; what it fell back on is in 02-quantize-2/
    cache/                   logits that were computed once
    model/                   the last model directory of the chain, if any
    bundle/                  the result
    report.json              what each pass cost and gained
    recipe.lock.yaml         the recipe in full, seeds, fingerprints, versions
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmpress.compression.guard import Judgement, Verdict, judge
from xmpress.compression.judging import Judge, RecipeData
from xmpress.compression.passes import Artefact, Context, Pass
from xmpress.compression.recipe import PassSpec, Recipe, StudentSpec, load_recipe
from xmpress.compression.records import attempt, read_entry, write_entry
from xmpress.data.files import atomic_dir, atomic_path
from xmpress.errors import DataError, GuardError, RecipeError, UsageError
from xmpress.evaluation import MIN_ROWS, Comparison
from xmpress.provenance import LOCK_FILE, digest, lock_text, versions
from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.zoo import resolve

REPORT = "report.json"
_EXPORT = PassSpec(name="export")


@dataclass(frozen=True)
class CompressionResult:
    """What a compression gave.

    Attributes:
        bundle: the deployable result.
        model: the last model directory of the chain; ``None`` if no pass made one.
        report: the content of ``report.json``.
        comparison: the result against the uncompressed model; ``None`` if there is no data.
        verdict: of the guard on the result; ``None`` if there is no guard.
    """

    bundle: Path
    model: Path | None
    report: dict[str, Any]
    comparison: Comparison | None
    verdict: Verdict | None


def compress(
    recipe: Recipe | str | Path,
    *,
    out: str | Path,
    model: str | Path | None = None,
    overrides: Sequence[str] = (),
    cache: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    quiet: bool = False,
) -> CompressionResult:
    """Compress a model as a recipe says.

    May be called again on the same folder: passes whose inputs did not change are not run again,
    and one that was interrupted goes on from its checkpoint.

    Args:
        recipe: a recipe, its file, or the name of one that ships.
        out: folder for everything that is made.
        model: the model directory or bundle to compress; the recipe's ``teacher`` if not given.
        overrides: ``a.b=value`` each, see `load_recipe`; only with a file or name.
        cache: folder for logits that are computed once, to share it between runs; ``<out>/cache``
            if not given.
        say: told what is going on, a line at a time.
        quiet: no progress bars.

    Raises:
        RecipeError: if the recipe is not valid or lacks something.
        ModelError: if the model cannot be used.
        DataError: if the data cannot be used, or ``out`` not be written.
        GuardError: if a pass costs more than the guard allows, once ``report.json`` is written. The
            artefacts of the passes stay; ``model`` and ``bundle`` are not made.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise UsageError("overrides are for a recipe file or name, not for a Recipe object")
    teacher = _teacher(recipe, model)
    run = _Run(recipe, teacher, Path(out), None if cache is None else Path(cache), say, quiet)
    return run.all()


def _teacher(recipe: Recipe, model: str | Path | None) -> Artefact:
    if model is None and recipe.teacher is None:
        raise UsageError(
            f"recipe '{recipe.name}' names no model to compress; give one with --model, "
            "or in the recipe (teacher: {model: ...})"
        )
    return Artefact(resolve(model or recipe.teacher.model))  # type: ignore[union-attr]


class _Run:
    """One compression; its methods in the order in which they are called."""

    def __init__(
        self,
        recipe: Recipe,
        teacher: Artefact,
        out: Path,
        cache: Path | None,
        say: Callable[[str], None],
        quiet: bool,
    ) -> None:
        if recipe.build_passes()[-1].gives == "model":
            recipe = recipe.model_copy(update={"passes": (*recipe.passes, _EXPORT)})
        self.recipe = recipe
        self.steps = list(zip(recipe.passes, recipe.build_attempts(), strict=True))
        self.teacher = teacher
        self.out = out
        self.cache = cache or out / "cache"
        self.work = out / "work"
        self.say = say
        self.quiet = quiet
        self.data = RecipeData(recipe, teacher)
        self.judge = Judge(self.data, teacher, self.cache, say)
        self.report: dict[str, Any] = {
            "recipe": recipe.model_dump(mode="json", exclude_none=True),
            "recipe_hash": recipe.hash,
            "model": {"path": str(teacher.path), "bytes": teacher.bytes},
            "passes": [],
        }
        self._check()

    def _check(self) -> None:
        """Find out now what would otherwise fail after an hour."""
        first_name, first = self.steps[0][0].name, self.steps[0][1][0]
        if self.teacher.kind not in first.takes:
            raise RecipeError(
                f"{first_name} needs a {first.takes[0]} directory; {self.teacher.path} is a bundle"
            )
        needing = [spec.name for spec, (step, *_) in self.steps if step.needs_data]
        needing += ["the guard"] if self.recipe.guard else []
        if self.recipe.student and not any(step.makes_student for _, (step, *_) in self.steps):
            raise RecipeError(
                f"recipe '{self.recipe.name}' describes a student, but no pass makes it; add "
                "distill, or set student: null"
            )
        if self.recipe.data is None and needing:
            raise RecipeError(
                f"{needing[0]} of recipe '{self.recipe.name}' needs data: name it in the recipe "
                "(data: ...), or with --set data=..."
            )
        if self.recipe.data is not None:
            _ = self.data.held_out  # what every pass is judged on must be there
        for folder in (self.out / "passes", self.cache, self.work):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DataError(f"cannot make folder {folder}: {error.strerror}") from error

    def all(self) -> CompressionResult:
        artefact, student = self.teacher, self.recipe.student
        model: Artefact | None = None
        comparison: Comparison | None = None
        verdict: Verdict | None = None
        broken = False
        for number, (spec, attempts) in enumerate(self.steps, start=1):
            before = comparison
            # A student in the midst of its stages is not yet what the recipe makes.
            enforced = not any(later.makes_student for _, (later, *_) in self.steps[number:])
            artefact, entry, comparison, judgement = self._try(
                f"{number:02d}-{spec.name}",
                spec,
                # Gentler settings cannot mend what a pass before this one broke.
                attempts if enforced and not broken else attempts[:1],
                artefact,
                student,
            )
            if attempts[0].makes_student:
                student = None
            model = artefact if artefact.kind == "model" else model
            verdict = None if judgement is None else judgement.verdict
            self._report(entry, before, comparison, judgement)
            if enforced:
                broken = verdict is Verdict.BROKEN
                self._enforce(spec.name, judgement)
        return self._finish(artefact, model, comparison, verdict)

    def _try(
        self,
        title: str,
        spec: PassSpec,
        attempts: Sequence[Pass[Any]],
        artefact: Artefact,
        student: StudentSpec | None,
    ) -> tuple[Artefact, dict[str, Any], Comparison | None, Judgement | None]:
        """Run a pass, and while the guard is broken what it falls back on; the last one stands."""
        tried: list[dict[str, Any]] = []
        for number, step in enumerate(attempts, start=1):
            if number > 1:
                self.say(
                    f"{title}: the guard is broken, falling back ({number} of {len(attempts)})"
                )
            name = title if number == 1 else f"{title}-{number}"
            made, entry = self._make(
                name, spec, step, artefact, student if step.makes_student else None
            )
            comparison, judgement = self._judge(made, entry)
            tried.append(attempt(entry, comparison, judgement))
            if judgement is None or judgement.verdict is not Verdict.BROKEN:
                break
        if len(attempts) > 1:
            entry["attempts"] = tried
        return made, entry, comparison, judgement

    def _make(
        self,
        title: str,
        spec: PassSpec,
        step: Pass[Any],
        artefact: Artefact,
        student: StudentSpec | None,
    ) -> tuple[Artefact, dict[str, Any]]:
        """Run a pass, unless it was run with the same inputs; its artefact and report entry."""
        uses_data = step.needs_data or (step.uses_data and self.recipe.data is not None)
        checked = uses_data and step.checks_held_out
        key = digest(
            {
                "pass": spec.name,
                "revision": step.revision,
                "params": step.params.model_dump(mode="json"),
                "input": artefact.fingerprint,
                "teacher": self.teacher.fingerprint if step.needs_data else None,
                "student": None if student is None else student.model_dump(mode="json"),
                "data": self.data.all.fingerprint if uses_data else None,
                "validation": self.recipe.validation.model_dump() if uses_data else None,
                "seed": self.recipe.seed,
                "inputs": step.inputs() | ({} if student is None else student.inputs()),
                **({"evaluation": self.recipe.evaluation.model_dump()} if checked else {}),
            }
        )
        target = self.out / "passes" / title
        record = target.with_suffix(".json")
        entry = read_entry(record, key, target)
        if entry is not None:
            self.say(f"{title}: nothing changed, not run again")
            return Artefact(target), {**entry, "skipped": True}
        self.say(f"{title}: running")
        record.unlink(missing_ok=True)
        workspace = self.work / f"{title}-{key[:12]}"
        workspace.mkdir(exist_ok=True)
        context = Context(
            name=self.recipe.name,
            artefact=artefact,
            teacher=self.teacher,
            student=student,
            data_name=self.recipe.data,
            dataset=lambda: self.data.all,
            sample=self.data.sample,
            validation=self.recipe.validation,
            seed=self.recipe.seed,
            cache=self.cache,
            workspace=workspace,
            say=self.say,
            quiet=self.quiet,
        )
        started = time.perf_counter()
        with atomic_dir(target, overwrite=True) as temporary:
            details = step.run(context, temporary)
            self._sign(temporary)
        made = Artefact(target)
        entry = {
            "pass": spec.name,
            "params": step.params.model_dump(mode="json"),
            "seconds": round(time.perf_counter() - started, 2),
            "parameters": made.parameters,
            "bytes": {"before": artefact.bytes, "after": made.bytes},
            "details": details,
        }
        write_entry(record, key, made, entry)
        return made, {**entry, "skipped": False}

    def _sign(self, directory: Path, **manifest_fields: Any) -> None:
        """Put the lock file beside an artefact, and what it says into a bundle's manifest."""
        bundle = Artefact(directory).kind == "bundle"
        # Verified before the lock file, which has a checksum in it, is replaced.
        manifest = Bundle.open(directory).manifest if bundle else None
        (directory / LOCK_FILE).write_text(self._lock(), encoding="utf-8")
        if manifest is not None:
            provenance = {
                **manifest.provenance,
                "recipe": self.recipe.name,
                "recipe_hash": self.recipe.hash,
                "compressed_from": self.teacher.fingerprint,
                "seeds": [self.recipe.seed],
                "data": self._data_fingerprints(),
                "versions": versions(),
            }
            update = {"provenance": provenance, **manifest_fields}
            write_manifest(directory, manifest.model_copy(update=update))

    def _lock(self) -> str:
        teacher = {"path": str(self.teacher.path), "fingerprint": self.teacher.fingerprint}
        return lock_text(
            {"recipe": self.recipe.model_dump(mode="json"), "model": teacher},
            seeds=[self.recipe.seed],
            data=self._data_fingerprints(),
        )

    def _data_fingerprints(self) -> dict[str, str]:
        name = self.recipe.data
        return {} if name is None else {name: self.data.all.fingerprint}

    def _judge(
        self, artefact: Artefact, entry: dict[str, Any]
    ) -> tuple[Comparison | None, Judgement | None]:
        if self.recipe.data is None:
            return None, None
        comparison = self.judge.compare(artefact)
        guard = self.recipe.guard
        shares = entry["details"].get("checked", {}).get("agreement_cells", ())
        return comparison, None if guard is None else judge(guard, comparison, shares)

    def _report(
        self,
        entry: dict[str, Any],
        before: Comparison | None,
        after: Comparison | None,
        judgement: Judgement | None,
    ) -> None:
        """Add a pass to ``report.json``."""
        if after is not None:
            earlier = before.candidate if before is not None else after.reference
            entry["scorecard"] = {"before": earlier.summary, "after": after.candidate.summary}
            entry["comparison"] = after.to_dict()
        if judgement is not None:
            entry["guard"] = judgement.to_dict()
        # As it will be read again: with lists for tuples.
        self.report["passes"].append(json.loads(json.dumps(entry)))
        self._write(REPORT, json.dumps(self.report, indent=1, ensure_ascii=False))
        self._write(LOCK_FILE, self._lock())

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.out / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def _enforce(self, name: str, judgement: Judgement | None) -> None:
        """Stop on a broken limit; say what could not be decided."""
        if judgement is None or self.recipe.guard is None:
            return
        if not judgement.findings:
            self.say(f"guard: nothing is judged, no task has {MIN_ROWS} test rows in a language")
        for finding in judgement.of(Verdict.UNDECIDED):
            self.say(f"guard: {finding}, for lack of test data")
        broken = judgement.of(Verdict.BROKEN)
        if not broken:
            return
        lines = "\n".join(f"  {finding}" for finding in broken)
        message = f"after {name} the guard of recipe '{self.recipe.name}' is broken\n{lines}"
        if self.recipe.guard.on_violation == "report":
            self.say(message)
            return
        for final in ("model", "bundle"):  # of an earlier run, which this one does not confirm
            shutil.rmtree(self.out / final, ignore_errors=True)
        raise GuardError(
            f"{message}\n  The report is {self.out / REPORT}. Make the recipe gentler, "
            "raise the limit, or set guard.on_violation=report"
        )

    def _finish(
        self,
        bundle: Artefact,
        model: Artefact | None,
        comparison: Comparison | None,
        verdict: Verdict | None,
    ) -> CompressionResult:
        """Copy the results to their final places."""
        summary = None if comparison is None else comparison.candidate.summary
        with atomic_dir(self.out / "bundle", overwrite=True) as temporary:
            shutil.copytree(bundle.path, temporary, dirs_exist_ok=True)
            self._sign(temporary, scorecard=summary)
        shutil.rmtree(self.out / "model", ignore_errors=True)
        if model is not None:
            with atomic_dir(self.out / "model") as temporary:
                shutil.copytree(model.path, temporary, dirs_exist_ok=True)
        shutil.rmtree(self.work)
        return CompressionResult(
            bundle=self.out / "bundle",
            model=None if model is None else self.out / "model",
            report=self.report,
            comparison=comparison,
            verdict=verdict,
        )
