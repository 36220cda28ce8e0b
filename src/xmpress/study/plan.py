"""From a study file and its rows to the steps, and the models that come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from xmpress.compression import Recipe
from xmpress.study.config import Cost, StudyConfig
from xmpress.study.graph import Graph, Step
from xmpress.study.inputs import file_or_name, recipe_inputs, tested_inputs, training_inputs
from xmpress.study.results import Missing, Role
from xmpress.study.rows import Rows
from xmpress.study.steps import Place, Workshop


@dataclass(frozen=True)
class Planned:
    """A model that the study makes.

    Attributes:
        id: unique.
        name: for display; the same for all seeds.
        role: what it is there for.
        encoder: its name in the study file.
        seed: of its training.
        tasks: that it predicts.
        languages: that it is trained on.
        evaluated: the step that scores it.
        place: where it lies; ``None`` for floors, which are not kept.
        compared: the step that compares it with its reference.
        reference: the id of what it is compared with.
        recipe: its name in the study file.
        variant: of the recipe.
    """

    id: str
    name: str
    role: Role
    encoder: str
    seed: int
    tasks: list[str]
    languages: list[str]
    evaluated: str
    place: Place | None = None
    compared: str | None = None
    reference: str | None = None
    recipe: str | None = None
    variant: str | None = None


@dataclass
class Plan:
    """All steps and models of a study.

    Attributes:
        graph: the steps, in the order in which they run.
        models: in the order of the report.
        speed: the steps that measure it.
        cost: the step that tells it.
        missing: what the data or the study file leaves out.
    """

    graph: Graph = field(default_factory=Graph)
    models: list[Planned] = field(default_factory=list)
    speed: list[str] = field(default_factory=list)
    cost: str | None = None
    missing: list[Missing] = field(default_factory=list)


def make_plan(study: StudyConfig, rows: Rows, workshop: Workshop) -> Plan:
    """Lay out everything, before anything runs.

    Raises:
        ModelError: if an encoder's directory is named that does not exist.
        RecipeError: if a recipe is not valid.
    """
    return _Planner(study, rows, workshop).all()


class _Planner:
    """Adds steps and models; its methods in the order in which they are called."""

    def __init__(self, study: StudyConfig, rows: Rows, workshop: Workshop) -> None:
        self.study = study
        self.rows = rows
        self.shop = workshop
        self.plan = Plan()
        self.tested = tested_inputs(rows)
        self.bundles: dict[str, Place] = {}
        self.directories: dict[str, Place] = {}
        self.references: dict[str, str] = {}

    def all(self) -> Plan:
        for number, seed in enumerate(self.study.seeds):
            for encoder in self.study.encoders:
                multi = self._multi_task(encoder, seed)
                self._single_task(encoder, seed, multi)
                self._recipes(encoder, seed, multi)
                self._zero_shot(encoder, seed, multi)
            if number == 0:
                self._baselines(seed)
                self._speed()
        return self.plan

    # ---- models -----------------------------------------------------------------------------

    def _multi_task(self, encoder: str, seed: int) -> Planned:
        place = self._train(f"{encoder}-multi-task-seed{seed}", encoder, seed)
        planned = self._model(
            f"{encoder}/multi-task/seed{seed}",
            f"{self._title(encoder)} multi-task",
            "multi_task",
            encoder,
            seed,
            place,
        )
        if self._measured(seed):
            step = self.plan.graph.add(
                Step(
                    name=f"export-{encoder}-multi-task-seed{seed}",
                    kind="export",
                    inputs={"name": f"{encoder}-multi-task"},
                    run=partial(self.shop.export, place, f"{encoder}-multi-task"),
                    needs=(place.step,),
                )
            )
            self._measure(planned, planned.id, Place(step, "bundle"), place)
        return planned

    def _single_task(self, encoder: str, seed: int, multi: Planned) -> None:
        section = self.study.single_task
        if section is None or len(self.rows.tasks) < 2:
            return
        if not self.study.covers(section, encoder, seed):
            return
        for task in self.rows.tasks.names:
            asked = section.tasks is None or task in section.tasks
            if not asked or task not in self.rows.tested_tasks:
                continue
            place = self._train(
                f"{encoder}-{task}-seed{seed}", encoder, seed, tasks=[task], single_task=True
            )
            self._model(
                f"{encoder}/{task}/seed{seed}",
                f"{self._title(encoder)} {task} alone",
                "single_task",
                encoder,
                seed,
                place,
                tasks=[task],
                reference=multi,
            )

    def _zero_shot(self, encoder: str, seed: int, multi: Planned) -> None:
        section = self.study.zero_shot
        if section is None or not self.study.covers(section, encoder, seed):
            return
        known = self.rows.trained_languages
        left_out = known if section.leave_out == "each" else section.leave_out
        trained = {
            f"without-{lang}": [other for other in known if other != lang] for lang in left_out
        }
        if section.only:
            trained[f"only-{'-'.join(section.only)}"] = section.only
        for what, languages in trained.items():
            tested = [lang for lang in self.rows.tested_languages if lang not in languages]
            if not languages or not tested:
                continue
            place = self._train(f"{encoder}-{what}-seed{seed}", encoder, seed, languages=languages)
            self._model(
                f"{encoder}/{what}/seed{seed}",
                f"{self._title(encoder)} {what.replace('-', ' ')}",
                "zero_shot",
                encoder,
                seed,
                place,
                languages=languages,
                reference=multi,
            )

    def _recipes(self, encoder: str, seed: int, multi: Planned) -> None:
        for name, section in self.study.recipes.items():
            if not self.study.covers(section, encoder, seed) or multi.place is None:
                continue
            recipe = self.study.recipe(name, encoder, seed)
            step = self.plan.graph.add(
                Step(
                    name=f"compress-{encoder}-{name}-seed{seed}",
                    kind="compress",
                    inputs=recipe_inputs(recipe, self.rows),
                    run=partial(self.shop.compress, recipe, multi.place),
                    needs=(multi.place.step,),
                )
            )
            made = _variants(recipe)
            for variant in section.variants or self.study.variants:
                if variant in made:
                    self._variant(name, variant, made, step, multi)

    def _variant(
        self, recipe: str, variant: str, made: Mapping[str, str], step: str, multi: Planned
    ) -> None:
        folder = made[variant]
        title = self.study.recipes[recipe].title or recipe
        place = Place(step, folder)
        planned = self._model(
            f"{multi.encoder}/{recipe}/{variant}/seed{multi.seed}",
            f"{self._title(multi.encoder)} {title} {variant}",
            "compressed",
            multi.encoder,
            multi.seed,
            place,
            recipe=recipe,
            variant=variant,
            reference=multi,
        )
        if not self._measured(multi.seed):
            return
        bundle = Place(step, "bundle")
        directory = place if folder == "model" else None
        if len(made) > 1 and folder == "model":  # its own bundle is of the quantized model
            title = f"{recipe}-{variant}"
            name = f"export-{multi.encoder}-{title}-seed{multi.seed}"
            run = partial(self.shop.export, place, title)
            export = Step(name, "export", {"name": title}, run, needs=(step,))
            bundle = Place(self.plan.graph.add(export), "bundle")
        self._measure(planned, multi.id, bundle, directory)

    def _baselines(self, seed: int) -> None:
        for kind in self.study.baselines:
            step = self.plan.graph.add(
                Step(
                    name=f"evaluate-{kind}",
                    kind="evaluate",
                    inputs={**self.tested, "baseline": kind},
                    run=partial(self.shop.baseline, kind),
                )
            )
            self.plan.models.append(
                Planned(
                    id=kind,
                    name=kind,
                    role="baseline",
                    encoder=kind,
                    seed=seed,
                    tasks=list(self.rows.tasks.names),
                    languages=self.rows.trained_languages,
                    evaluated=step,
                )
            )

    def _train(
        self,
        name: str,
        encoder: str,
        seed: int,
        *,
        tasks: list[str] | None = None,
        languages: list[str] | None = None,
        single_task: bool = False,
    ) -> Place:
        if tasks is None and (self.rows.unlabelled or self.study.only_tasks):
            tasks = list(self.rows.tasks.names)
        settings = self.study.train_config(
            encoder,
            seed,
            only_tasks=tasks,
            only_languages=languages,
            single_task=single_task,
        )
        step = Step(
            name=f"train-{name}",
            kind="train",
            inputs=training_inputs(settings, self.rows),
            run=partial(self.shop.train, settings),
        )
        return Place(self.plan.graph.add(step), "model")

    def _model(
        self,
        identity: str,
        name: str,
        role: Role,
        encoder: str,
        seed: int,
        place: Place,
        *,
        tasks: list[str] | None = None,
        languages: list[str] | None = None,
        reference: Planned | None = None,
        recipe: str | None = None,
        variant: str | None = None,
    ) -> Planned:
        """Add a model with the steps that score it and compare it."""
        slug = identity.replace("/", "-")
        evaluated = self.plan.graph.add(
            Step(
                name=f"evaluate-{slug}",
                kind="evaluate",
                inputs={**self.tested, "model": identity, "folder": place.folder},
                run=partial(self.shop.evaluate, identity, place),
                needs=(place.step,),
            )
        )
        compared = None
        if reference is not None and reference.place is not None:
            names, places = (reference.id, identity), (reference.place, place)
            resamples = self.study.evaluation.resamples
            compared = self.plan.graph.add(
                Step(
                    name=f"compare-{slug}",
                    kind="compare",
                    inputs={
                        **self.tested,
                        "models": list(names),
                        "folders": [p.folder for p in places],
                        "resamples": resamples,
                    },
                    run=partial(self.shop.compare, names, places, resamples),
                    # Scored before, so that only the arithmetic is left.
                    needs=(reference.place.step, place.step, reference.evaluated, evaluated),
                )
            )
        planned = Planned(
            id=identity,
            name=name,
            role=role,
            encoder=encoder,
            seed=seed,
            tasks=list(self.rows.tasks.names) if tasks is None else tasks,
            languages=self.rows.trained_languages if languages is None else sorted(languages),
            evaluated=evaluated,
            place=place,
            compared=compared,
            reference=None if reference is None else reference.id,
            recipe=recipe,
            variant=variant,
        )
        self.plan.models.append(planned)
        return planned

    # ---- speed and cost ---------------------------------------------------------------------

    def _measured(self, seed: int) -> bool:
        """Speed does not depend on the values of weights: one seed is enough."""
        return self.study.speed is not None and seed == self.study.seeds[0]

    def _measure(
        self, planned: Planned, reference: str, bundle: Place, directory: Place | None
    ) -> None:
        self.bundles[planned.id] = bundle
        self.references[planned.id] = reference
        if directory is not None:
            self.directories[planned.id] = directory

    def _speed(self) -> None:
        settings = self.study.speed
        if settings is None:
            return
        for device in settings.devices:
            models = self.bundles if device == "cpu" else self.directories
            inputs = {
                "settings": settings.model_dump(mode="json", exclude={"devices"}),
                "texts": file_or_name(settings.texts),
                "device": device,
                "models": {name: place.folder for name, place in models.items()},
                "references": self.references,
            }
            run = partial(self.shop.speed, settings, device, dict(models), self.references)
            uses = tuple(dict.fromkeys(place.step for place in models.values()))
            step = Step(f"speed-{device}", "speed", inputs, run, uses=uses)
            self.plan.speed.append(self.plan.graph.add(step))
        if self.study.cost is not None and "cpu" in settings.devices:
            self._cost(self.study.cost)

    def _cost(self, settings: Cost) -> None:
        compressed = {
            model.id: model.reference
            for model in self.plan.models
            if model.role == "compressed" and model.reference is not None
        }
        inputs = {
            "settings": settings.model_dump(mode="json"),
            "prices": file_or_name(settings.prices),
            "tasks": list(self.rows.tasks.names),
            "languages": self.rows.tested_languages,
            "compressed": compressed,
        }
        run = partial(self.shop.cost, settings, self.rows.tasks, "speed-cpu", compressed)
        step = Step("cost", "cost", inputs, run, needs=("speed-cpu",))
        self.plan.cost = self.plan.graph.add(step)

    def _title(self, encoder: str) -> str:
        return self.study.encoders[encoder].title or encoder


def _variants(recipe: Recipe) -> Mapping[str, str]:
    """By variant the folder it lies in, of those that a recipe makes."""
    first = [attempts[0] for attempts in recipe.build_attempts()]
    makes_model = any(step.gives == "model" for step in first)
    quantizes = any(spec.name == "quantize" for spec in recipe.passes)
    found = {"fp32": "model"} if makes_model else {}
    return {**found, "int8": "bundle"} if quantizes else found
