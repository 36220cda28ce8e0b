"""From the outputs of steps to the results, and to what could not be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import xmpress
from xmpress.machine import this_machine
from xmpress.study.config import StudyConfig
from xmpress.study.execution import Execution
from xmpress.study.paper import FIGURES
from xmpress.study.plan import Plan, Planned
from xmpress.study.results import (
    Consistency,
    Failure,
    Missing,
    ModelResult,
    Question,
    Role,
    Speed,
    StudyResults,
)
from xmpress.study.rows import Rows
from xmpress.study.steps import COMPARISON, COST, EVALUATION, SPEED, Place

ASKED: dict[Role, tuple[Question, ...]] = {
    "multi_task": ("multi_task", "compression", "languages", "zero_shot", "calibration"),
    "single_task": ("multi_task",),
    "compressed": ("compression", "languages", "calibration"),
    "zero_shot": ("zero_shot",),
    "baseline": (),
}
"""By role the questions that lack something without a model."""


def collect_results(
    study: StudyConfig, rows: Rows, plan: Plan, execution: Execution, command: str
) -> StudyResults:
    """Everything that is known by now."""
    places = {planned.id: planned.place for planned in plan.models if planned.place is not None}
    models = [model for planned in plan.models if (model := _model(planned, places, execution))]
    states = execution.states.values()
    return StudyResults(
        name=study.name,
        title=study.title or study.name,
        description=study.description,
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=xmpress.__version__,
        seeds=list(study.seeds),
        machine=this_machine().to_dict(),
        data=rows.summary(),
        tasks=list(rows.tasks.tasks),
        languages=rows.tested_languages,
        models=models,
        speed=_speed(plan, execution),
        cost=None if plan.cost is None else _read(execution, plan.cost, COST),
        missing=list(dict.fromkeys(_missing(study, rows, plan, execution))),
        failures=[
            Failure(step=s.name, error=s.error or "") for s in states if s.status == "failed"
        ],
        paper=list(FIGURES),
        complete=all(state.status not in {"waiting", "running"} for state in states),
    )


def _model(
    planned: Planned, places: Mapping[str, Place], execution: Execution
) -> ModelResult | None:
    """A model, once it is made and scored."""
    evaluation = _read(execution, planned.evaluated, EVALUATION)
    if evaluation is None:
        return None
    compared = planned.compared and _read(execution, planned.compared, COMPARISON)
    same = evaluation["consistency"]
    return ModelResult(
        id=planned.id,
        name=planned.name,
        role=planned.role,
        encoder=planned.encoder,
        recipe=planned.recipe,
        variant=planned.variant,
        seed=planned.seed,
        tasks=planned.tasks,
        trained_languages=planned.languages,
        reference=planned.reference,
        scorecard=evaluation["scorecard"],
        comparison=compared or None,
        consistency=same and {task: Consistency(**found) for task, found in same.items()},
        calibration=evaluation["calibration"],
        **_making(planned, places, execution),
    )


def _making(planned: Planned, places: Mapping[str, Place], execution: Execution) -> dict[str, Any]:
    """What is told of a model by the step that made it."""
    if planned.place is None:
        return {}
    state, place = execution.states[planned.place.step], planned.place
    output, details = execution.output(place.step), state.details or {}
    if output is None:
        return {}
    if planned.recipe is None or planned.reference is None:
        command = f"xmpress train {output / 'train.yaml'} -o DIR"
    else:
        teacher = places[planned.reference]
        model = f"{execution.output(teacher.step)}/{teacher.folder}"
        command = f"xmpress compress {output / 'recipe.yaml'} --model {model} -o DIR"
    return {
        "seconds": state.seconds,
        "path": f"{state.output}/{place.folder}",
        "command": command,
        "bytes": details["bytes"][place.folder],
        "parameters": details["parameters"],
        "verdict": details.get("verdict") if planned.variant == "int8" else None,
    }


def _speed(plan: Plan, execution: Execution) -> Speed | None:
    """The measurements of all devices together; the first one's circumstances."""
    found = [_read(execution, step, SPEED) for step in plan.speed]
    parts = [Speed.model_validate(part) for part in found if part is not None]
    if not parts:
        return None
    notes = [note for part in parts for note in part.notes]
    return parts[0].model_copy(
        update={
            "rows": [row for part in parts for row in part.rows],
            "notes": list(dict.fromkeys(notes)),
        }
    )


def _read(execution: Execution, step: str, name: str) -> Any:
    output = execution.output(step)
    return None if output is None else json.loads((output / name).read_text(encoding="utf-8"))


# ---- what could not be judged ---------------------------------------------------------------


def _missing(study: StudyConfig, rows: Rows, plan: Plan, execution: Execution) -> Iterator[Missing]:
    yield from _of_the_data(study, rows)
    yield from _of_the_study(study, rows)
    yield from _of_the_steps(plan, execution)


def _of_the_data(study: StudyConfig, rows: Rows) -> Iterator[Missing]:
    for task in rows.unlabelled:
        reason = f"No training row is labelled for {task}, so nothing is trained or judged on it."
        yield from _each(("multi_task", "languages"), reason)
    for task in rows.tasks.names:
        if task not in rows.tested_tasks:
            reason = f"No test row is labelled for {task}, so it is trained but not judged."
            yield from _each(("multi_task", "compression", "languages"), reason)
    if len(rows.tasks) < 2:
        reason = f"There is one task, {rows.tasks.names[0]}: one model for all tasks is one for it."
        yield from _each(("multi_task",), reason)
    untested = [lang for lang in rows.trained_languages if lang not in rows.tested_languages]
    if untested:
        reason = f"No test row is labelled in {', '.join(untested)}, so nothing is known of it."
        yield from _each(("languages", "zero_shot"), reason)
    for task in rows.tested_tasks:
        labelled = rows.tested.labels[task].annotated
        held = {lang for lang, has in zip(rows.tested.langs, labelled, strict=True) if has}
        absent = [lang for lang in rows.tested_languages if lang not in held]
        if absent:
            reason = f"No test row is labelled for {task} in {', '.join(absent)}."
            yield Missing(question="languages", reason=reason)
    if len(rows.tested_languages) < 2:
        lang = rows.tested_languages[0]
        reason = f"The test rows are of one language, {lang}."
        yield from _each(("languages", "zero_shot"), reason)
    if rows.parallel is None:
        where = study.evaluation.parallel
        reason = (
            "The study asks for no parallel texts (evaluation.parallel)."
            if where is None
            else f"{where} holds no parallel texts of the split '{study.evaluation.split}' in two "
            "or more of the languages trained on (ids that are a language and an item: en-1, de-1)."
        )
        yield Missing(question="consistency", reason=reason)


def _of_the_study(study: StudyConfig, rows: Rows) -> Iterator[Missing]:
    if study.single_task is None and len(rows.tasks) > 1:
        reason = "The study trains no single-task models (single_task)."
        yield Missing(question="multi_task", reason=reason)
    if not study.recipes:
        reason = "The study compresses nothing (recipes)."
        yield from _each(("compression", "languages", "calibration"), reason)
    if study.zero_shot is None and len(rows.tested_languages) > 1:
        reason = "The study leaves no language out of training (zero_shot)."
        yield Missing(question="zero_shot", reason=reason)
    if study.speed is None:
        reason = "The study measures no speed (speed)."
        yield from _each(("compression", "cost"), reason)
    if study.cost is None:
        yield Missing(question="cost", reason="The study tells no cost (cost).")


def _of_the_steps(plan: Plan, execution: Execution) -> Iterator[Missing]:
    states = execution.states
    for planned in plan.models:
        for step in (planned.place and planned.place.step, planned.evaluated, planned.compared):
            if step and states[step].status in {"failed", "blocked"}:
                reason = f"{planned.id}: {step} failed: {_first_line(states[step].error)}"
                yield from _each(ASKED[planned.role], reason)
                break
    for step in (*plan.speed, *([plan.cost] if plan.cost else [])):
        if states[step].status in {"failed", "blocked"}:
            reason = f"{step} failed: {_first_line(states[step].error)}"
            question: Question = "cost" if step == plan.cost else "compression"
            yield Missing(question=question, reason=reason)


def _each(questions: tuple[Question, ...], reason: str) -> Iterator[Missing]:
    for question in questions:
        yield Missing(question=question, reason=reason)


def _first_line(error: str | None) -> str:
    return (error or "?").splitlines()[0]
