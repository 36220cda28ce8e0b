"""The study file: which models are made, compared and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from xmpress.benchmark import POLICIES
from xmpress.compression.recipe import EvaluationSpec, Recipe, load_recipe
from xmpress.data import choose_tasks
from xmpress.errors import Problem, RecipeError
from xmpress.peers.baselines import baseline_names
from xmpress.settings import merge
from xmpress.tasks import Task, TaskSet
from xmpress.training import TrainConfig
from xmpress.validation import nearest, problems_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Lower-case identifier; it becomes part of file names."""
Variant = Literal["fp32", "int8"]
VARIANTS: tuple[Variant, ...] = ("fp32", "int8")
OWN = ("data", "tasks", "only_tasks", "only_languages", "encoder", "columns", "tensorboard")
"""Training settings that the study itself decides."""


class _Section(BaseModel):
    # The meaning of each key stands in the reference, docs/reference/study.md.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _empty(value: Any) -> Any:
    return {} if value is None else value


def _encoder(value: Any) -> Any:
    """A name, or an encoder's configuration, stands for a section that says only that."""
    if isinstance(value, str) or (isinstance(value, Mapping) and "model_type" in value):
        return {"encoder": value}
    return value


class _Scope(_Section):
    encoders: list[str] | None = None
    """Only of these encoders; of all if left out."""
    seeds: list[int] | None = None
    """Only with these of the study's seeds; with all if left out."""


class EncoderSection(_Section):
    """An encoder. Where only ``encoder`` is said, its value may stand for the section."""

    encoder: str | dict[str, Any]
    """All that ``xmpress train --encoder`` takes: a hub name, a directory, a zoo name
    (``zoo:small``), a configuration or its file, which give random weights."""
    title: str = ""
    """What the report calls it; its name if left out."""
    training: dict[str, Any] = {}
    """Training settings that differ for it."""


class SingleTask(_Scope):
    """Models for one task each, to compare the multi-task model with."""

    tasks: list[str] | None = None
    """For which tasks; for each if left out."""
    training: dict[str, Any] = {}
    """Training settings that differ for them: a fifth of the steps, say, where five single-task
    models together shall cost what the multi-task model does."""


class ZeroShot(_Scope):
    """Models that are tested on languages which they were not trained on."""

    leave_out: Literal["each"] | list[str] = []
    """One model for each of these languages (``each``: of all there are), trained on the others."""
    only: list[str] = []
    """One model trained on these languages alone, such as ``[en]``, and tested on the others."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.leave_out and not self.only:
            raise ValueError("name languages to leave_out, or the only ones to train on")
        return self


class RecipeSection(_Scope):
    """A compression of every multi-task model. Nothing need be said but the name."""

    recipe: str | None = None
    """A recipe file, or the name of one that ships; the section's name if left out."""
    title: str = ""
    """What the report calls it; its name if left out."""
    set: list[str] = []
    """Overrides, as ``xmpress compress --set`` takes them: ``passes.distill.steps=500``."""
    variants: list[Variant] | None = None
    """Which of the recipe's models; the study's ``variants`` if left out."""


class Evaluation(_Section):
    """What scorecards and comparisons are of."""

    split: Literal["test", "validation"] = "test"
    """Rows that nobody trained or tuned on, unless for a reason."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many of them, drawn evenly over languages and tasks; all if left out."""

    resamples: Annotated[int, Field(ge=1)] = 1000
    """Of the paired bootstrap behind the intervals."""
    parallel: str | None = "sample"
    """Data with texts that say the same in several languages, for the question whether they get
    the same answer: rows whose ids are a language and an item's name (``en-p001``, ``de-p001``).
    Its labels are not used; of its rows those of ``split`` are. ``null``: the question is left
    out."""


class Speed(_Section):
    """What is measured side by side; see the guide *Benchmark*."""

    texts: str = "sample"
    """A file, a folder, a data config, or ``sample``."""
    rows: Annotated[int, Field(ge=1)] = 1000
    """Distinct texts at most, drawn at random."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Of each model; one per core if left out."""
    rounds: Annotated[int, Field(ge=1)] = 5
    """Of taking turns that count."""
    least: Annotated[float, Field(gt=0)] = 0.5
    """Seconds of a model's turn at least; it goes over the texts several times to fill them."""
    policies: list[str] = list(POLICIES)
    """How texts are handed over; the first is what speedups are of."""
    latency: bool = True
    """Measure single texts too; ``cost`` needs it."""
    baselines: list[str] = []
    """Encoders to stand beside, as ``xmpress benchmark --baseline`` takes them; of their published
    shape with random weights where the hub is out of reach."""
    devices: list[Literal["cpu", "cuda"]] = ["cpu"]
    """On ``cuda`` the models before quantization run, in torch."""
    precisions: list[Literal["fp32", "bf16", "fp16"]] = ["fp32"]
    """Of what runs in torch."""


class Cost(_Section):
    """The load whose cost is told; needs ``speed``."""

    rate: Annotated[float, Field(gt=0)] = 100.0
    """Texts per second."""
    p99: Annotated[float, Field(gt=0)] = 200.0
    """Milliseconds in which 99 % are answered."""
    prices: str | None = None
    """A price table (YAML); the one with examples that comes with the package if left out."""


class StudyConfig(_Section):
    """Everything `run_study` needs; read one with `load_study`."""

    name: Name
    """Lower-case identifier."""
    title: str = ""
    """Of the report; the name if left out."""
    description: str = ""
    """What the study is about, for people."""
    data: str
    """All that ``xmpress train --data`` takes. Rows of the split ``test`` must be marked."""
    tasks: str | list[Task] | None = None
    """A packaged task set, a task file, or the tasks themselves; if left out, those that the data
    config names, else ``experience``. Tasks without labels are left out, and the report says so."""
    only_tasks: list[str] | None = None
    """Only these of the tasks."""
    encoders: Annotated[
        dict[Name, Annotated[EncoderSection, BeforeValidator(_encoder)]], Field(min_length=1)
    ]
    """By name."""
    training: dict[str, Any] = {}
    """Settings of all trainings, as a training config has them: ``max_length``, ``fit``, ..."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Everything is made once with each, so that means have a spread."""
    single_task: SingleTask | None = None
    """Single-task models beside the multi-task ones."""
    zero_shot: ZeroShot | None = None
    """Models that some languages are left out of."""
    recipes: dict[Name, Annotated[RecipeSection, BeforeValidator(_empty)]] = {}
    """Compressions by name, of the multi-task model of every encoder."""
    variants: Annotated[list[Variant], Field(min_length=1)] = list(VARIANTS)
    """``fp32``: a recipe's model before it is quantized; ``int8``: its bundle."""
    baselines: list[Literal["majority", "tfidf"]] = []
    """Floors that a model must beat, as ``xmpress evaluate --baseline`` takes them."""
    evaluation: Evaluation = Evaluation()
    """What is scored."""
    speed: Speed | None = None
    """How fast the models of the first seed are."""
    cost: Cost | None = None
    """What a load costs."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: each must be there once (found {self.seeds})")
        if self.cost is not None and (self.speed is None or not self.speed.latency):
            raise ValueError("cost: needs speed, with its latency measured")
        return self

    def encoders_of(self, scope: _Scope) -> list[str]:
        """The encoders that a section is for."""
        return [name for name in self.encoders if scope.encoders is None or name in scope.encoders]

    def covers(self, scope: _Scope, encoder: str, seed: int) -> bool:
        """Whether a section is for an encoder and a seed."""
        return encoder in self.encoders_of(scope) and (scope.seeds is None or seed in scope.seeds)

    def task_set(self) -> TaskSet:
        """The tasks, whether the data has labels for them or not.

        Raises:
            ConfigError: if there is no such task set, or the data config contradicts it.
        """
        asked = TaskSet(tasks=tuple(self.tasks)) if isinstance(self.tasks, list) else self.tasks
        tasks = choose_tasks(self.data, asked)
        return tasks if self.only_tasks is None else tasks.select(self.only_tasks)

    def train_config(
        self,
        encoder: str,
        seed: int,
        *,
        only_tasks: list[str] | None = None,
        only_languages: list[str] | None = None,
        single_task: bool = False,
    ) -> TrainConfig:
        """The settings of one training.

        Raises:
            ValidationError: if ``training`` holds what is no setting.
        """
        section = self.encoders[encoder]
        content = merge(self.training, section.training)
        if single_task and self.single_task is not None:
            content = merge(content, self.single_task.training)
        own = {
            "data": self.data,
            "tasks": self.tasks,
            "only_tasks": self.only_tasks if only_tasks is None else only_tasks,
            "only_languages": only_languages,
            "encoder": section.encoder,
            "fit": {"seed": seed},
        }
        return TrainConfig.model_validate(merge(content, own))

    def recipe(self, name: str, encoder: str, seed: int) -> Recipe:
        """A recipe as this study runs it: on its data and rows, with its seed, to the end.

        It takes as many validation rows as the training of what it compresses.

        Raises:
            RecipeError: if it is not valid.
        """
        section = self.recipes[name]
        recipe = load_recipe(section.recipe or name, section.set)
        guard, validation = recipe.guard, self.train_config(encoder, seed).validation
        rows = EvaluationSpec(split=self.evaluation.split, max_rows=self.evaluation.max_rows)
        return recipe.model_copy(
            update={
                "name": name,
                "teacher": None,
                "data": self.data,
                "seed": seed,
                "validation": validation,
                "evaluation": rows,
                # What breaks a limit is a finding of the study, not the end of it.
                "guard": guard and guard.model_copy(update={"on_violation": "report"}),
            }
        )

    def problems(self) -> list[Problem]:
        """What pydantic cannot see: names that stand for nothing, settings of other parts."""
        # Recipes take over some settings of the trainings.
        return [
            *self._scope_problems(),
            *(self._training_problems() or self._recipe_problems()),
        ]

    def _scope_problems(self) -> list[Problem]:
        scopes: dict[str, _Scope | None] = {
            "single_task": self.single_task,
            "zero_shot": self.zero_shot,
            **{f"recipes.{name}": section for name, section in self.recipes.items()},
        }
        problems = []
        for place, scope in scopes.items():
            if scope is not None:
                problems += _unknown(f"{place}.encoders", scope.encoders, list(self.encoders))
                problems += _unknown(f"{place}.seeds", scope.seeds, self.seeds)
        known = self.task_set().names if self.only_tasks is None else self.only_tasks
        if self.single_task is not None:
            problems += _unknown("single_task.tasks", self.single_task.tasks, list(known))
        if self.speed is not None:
            problems += _unknown("speed.baselines", self.speed.baselines, baseline_names())
            problems += _unknown("speed.policies", self.speed.policies, list(POLICIES))
            if not self.speed.policies:
                problems.append(Problem("speed.policies", f"name one of {', '.join(POLICIES)}"))
        return problems

    def _training_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        single = self.single_task
        own = {} if single is None else {"single_task.training": single.training}
        places = {"training": self.training}
        places |= {f"encoders.{n}.training": s.training for n, s in self.encoders.items()}
        places |= own
        for place, content in places.items():
            problems += [
                Problem(f"{place}.{key}", "the study itself decides this; leave it out")
                for key in OWN
                if key in content
            ]
            if isinstance(content.get("fit"), Mapping) and "seed" in content["fit"]:
                problems.append(Problem(f"{place}.fit.seed", "give the study's seeds instead"))
        if problems:
            return problems
        for name, section in self.encoders.items():
            common = {"training": self.training, f"encoders.{name}.training": section.training}
            for single_task, places in ((False, common), (True, common | own)):
                try:
                    self.train_config(name, self.seeds[0], single_task=single_task)
                except ValidationError as error:
                    for problem in problems_of(error, TrainConfig):
                        top = problem.where.split(".")[0]
                        # What comes later replaces what comes earlier.
                        place = next((p for p in reversed(places) if top in places[p]), "training")
                        found = Problem(f"{place}.{problem.where}", problem.what)
                        problems += [] if found in problems else [found]
        return problems

    def _recipe_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        for name in self.recipes:
            try:
                self.recipe(name, next(iter(self.encoders)), self.seeds[0])
            except RecipeError as error:
                place = f"recipes.{name}"
                problems += [Problem(f"{place}: {p.where}", p.what) for p in error.problems] or [
                    Problem(place, error.headline)
                ]
        return problems


def _unknown(place: str, names: Sequence[Any] | None, known: Sequence[Any]) -> list[Problem]:
    problems = []
    for number, name in enumerate(names or ()):
        if name not in known:
            close = nearest(str(name), [str(k) for k in known])
            hint = f"did you mean '{close}'?" if close else f"there is {', '.join(map(str, known))}"
            problems.append(Problem(f"{place}[{number}]", f"'{name}' is not known; {hint}"))
    return problems
