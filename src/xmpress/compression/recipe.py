"""Recipes: which student, which passes in which order, and what it may cost.

A recipe is YAML. One that ``extends`` another takes its keys and replaces some: mappings are
merged, anything else, the list of passes too, is replaced as a whole. The recipes that ship are
read by name (``distill-int8``), yours by path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)

from xmpress.compression.guard import Guard
from xmpress.compression.passes import Artefact, Pass, pass_class
from xmpress.data.files import sha256
from xmpress.data.splits import ValidationSettings
from xmpress.errors import Problem, RecipeError
from xmpress.provenance import digest
from xmpress.resources import shipped
from xmpress.settings import merge, parse_override, parse_yaml, read_yaml
from xmpress.validation import expects, is_number, problems_of

YAML_SUFFIXES = {".yaml", ".yml"}
FALLBACK = "fallback"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeacherSpec(_Section):
    """The model that is compressed."""

    model: str
    """A model directory or bundle; ``--model`` replaces it."""


class StudentSpec(_Section):
    """The smaller model to make. Sizes left out are the teacher's."""

    layers: Annotated[
        int | tuple[int, ...] | None,
        expects(
            "a number of layers, 1 or more, or a list of the teacher's, from 0",
            lambda layers: (
                layers is None
                or is_number(layers, 1)
                or (isinstance(layers, list | tuple) and _numbers(layers))
            ),
        ),
    ] = None
    """How many transformer layers; or which of the teacher's, from 0: ``[0, 2, 5]``."""
    hidden: Annotated[int, Field(ge=8)] | None = None
    """Width of the hidden states."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads; must divide ``hidden``."""
    ffn: Annotated[int, Field(ge=8)] | None = None
    """Width of the feed-forward layers; 4 x ``hidden`` where only ``hidden`` is given."""
    init: Literal["teacher-layers", "teacher-embedding", "random"] = "teacher-layers"
    """Where weights come from: evenly spaced layers of the teacher, the embedding and everything
    else of equal shape too; only its embeddings, narrowed by a singular value decomposition where
    ``hidden`` is smaller; or nowhere."""
    encoder: str | dict[str, Any] | None = None
    """Instead of the sizes: any encoder that ``xmpress train --encoder`` takes."""
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Tokens per text, longer ones are cut; the teacher's if left out."""

    def inputs(self) -> dict[str, str]:
        """Fingerprints of the files that ``encoder`` names; of a name of the model hub, none."""
        path = Path(self.encoder) if isinstance(self.encoder, str) else None
        if path is not None and path.is_dir():
            return {str(path): Artefact(path).fingerprint}
        return {str(path): sha256(path)} if path is not None and path.is_file() else {}

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        sizes = [name for name in ("layers", "hidden", "heads", "ffn") if getattr(self, name)]
        if self.encoder is not None and sizes:
            raise ValueError(f"encoder has sizes of its own; leave out {', '.join(sizes)}")
        if self.hidden and self.heads and self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) is no multiple of heads ({self.heads})")
        if isinstance(self.layers, tuple) and self.init != "teacher-layers":
            raise ValueError("a list of layers says which to copy: it needs init: teacher-layers")
        return self


class EvaluationSpec(_Section):
    """What the scorecards of the report are computed on."""

    split: Literal["test", "validation"] = "test"
    """Rows nobody trained or tuned on, unless for a reason."""
    max_rows: Annotated[int, Field(ge=1)] | None = None
    """At most so many of them, drawn by the seed; all if left out."""


class PassSpec(_Section):
    """A pass by name with its parameters; in YAML ``name: {parameters}``, or only the name.

    Among the parameters of every pass may be ``fallback``: gentler parameters, or a list of them,
    that replace some where the guard is broken, tried in order.
    """

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """The parameters, and those of each fallback in full."""
        params = {key: value for key, value in self.params.items() if key != FALLBACK}
        found = self.params.get(FALLBACK) or []
        gentler = [found] if isinstance(found, Mapping) else found
        return [params, *({**params, **changes} for changes in gentler)]

    @model_validator(mode="after")
    def _fallbacks_are_mappings(self) -> Self:
        found = self.params.get(FALLBACK)
        listed = found if isinstance(found, list | tuple) else [{} if found is None else found]
        if not all(isinstance(changes, Mapping) for changes in listed):
            raise ValueError(f"fallback takes parameters, or a list of them (found {found!r})")
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "name" in value:
            return value
        if isinstance(value, Mapping) and len(value) == 1:
            ((name, params),) = value.items()
            return {"name": name, "params": {} if params is None else params}
        raise ValueError(f"a pass is written 'name: {{parameters}}' (found {value!r})")

    @model_serializer
    def _to_mapping(self) -> dict[str, Any]:
        return {self.name: self.params}


class Recipe(_Section):
    r"""How to compress a model.

    Example:
        >>> recipe = Recipe.from_yaml("name: small\npasses: [quantize: {mode: int8-dynamic}]")
        >>> [spec.name for spec in recipe.passes]
        ['quantize']
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Lower-case identifier."""
    description: str = ""
    """One sentence for people."""
    teacher: TeacherSpec | None = None
    student: StudentSpec | None = None
    data: str | None = None
    """What is trained, tuned and judged on: all that ``xmpress train --data`` takes."""
    passes: Annotated[tuple[PassSpec, ...], Field(min_length=1)]
    """The steps, in order."""
    guard: Guard | None = None
    """What they may cost; without it nothing is refused."""
    validation: ValidationSettings = ValidationSettings()
    """The rows that choose the best step of a training and calibrate its model."""
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything random."""

    def build_passes(self) -> list[Pass[Any]]:
        """The passes, ready to run, each as it is tried first; see `build_attempts`."""
        return [attempts[0] for attempts in self.build_attempts()]

    def build_attempts(self) -> list[list[Pass[Any]]]:
        """The passes, ready to run, each followed by what it falls back on.

        Raises:
            RecipeError: listing every unknown pass, wrong parameter, and pass that cannot take
                what the one before it gives.
        """
        passes, problems = _build(self.passes)
        if problems:
            raise RecipeError(f"recipe '{self.name}' is not valid", problems)
        return passes

    @property
    def hash(self) -> str:
        """Identifies the recipe by what it says."""
        return digest(self.model_dump(mode="json"))

    def to_yaml(self) -> str:
        """The inverse of `from_yaml`; keys that are left out or null do not appear."""
        content = self.model_dump(mode="json", exclude_none=True)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        if "\x85" in text:
            # The library writes this sign as it is, but reads it as the end of a line.
            text = yaml.safe_dump(content, sort_keys=False, width=100)
        return text

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "recipe", check: bool = True) -> Self:
        """Read a recipe that extends nothing; see `load_recipe` for the arguments.

        Raises:
            RecipeError: listing everything wrong, by path within the file.
        """
        return cls._from_content(parse_yaml(text, where=where, error=RecipeError), where, check)

    @classmethod
    def _from_content(cls, content: dict[str, Any], where: str, check: bool) -> Self:
        recipe, problems = None, []
        try:
            recipe = cls.model_validate(content)
            specs = list(enumerate(recipe.passes))
        except ValidationError as error:
            problems = problems_of(error, cls)
            specs = _readable_passes(content.get("passes"))
        if check:
            problems += _build([spec for _, spec in specs], [number for number, _ in specs])[1]
        if recipe is None or problems:
            raise RecipeError(f"{where} is not a valid recipe", problems)
        return recipe


def load_recipe(source: str | Path, overrides: Sequence[str] = (), *, check: bool = True) -> Recipe:
    """Read a recipe file, or one that ships by its name, with all it extends.

    Args:
        source: a path ending in .yaml or .yml, or a name such as ``distill-int8``.
        overrides: ``a.b=value`` each, the value in YAML. A pass's parameters are reached by its
            number or its name: ``passes.0.steps=100``, ``passes.distill.steps=100`` (all passes
            of that name).
        check: also check the passes' parameters, which imports the passes, and torch with them.

    Raises:
        RecipeError: if it cannot be read, or listing everything wrong with it.
    """
    content = _resolve(source, None, ())
    for override in overrides:
        keys, value = parse_override(override, error=RecipeError)
        if not _set(content, keys, value):
            raise RecipeError(f"override '{override}' reaches nothing in the recipe")
    return Recipe._from_content(content, str(source), check)


def recipe_text(source: str | Path) -> str:
    """A recipe file as it is written, with its remarks; ``source`` as in `load_recipe`.

    Raises:
        RecipeError: if it cannot be read.
    """
    path = _locate(source, None)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {source} cannot be read: {error}") from error


def packaged_recipes() -> dict[str, Path]:
    """The recipes that ship, by name."""
    return {path.stem: path for path in sorted(shipped("recipes").glob("*.yaml"))}


def _numbers(layers: Sequence[Any]) -> bool:
    return bool(layers) and all(is_number(layer, 0) for layer in layers)


def _resolve(source: str | Path, base: Path | None, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = _locate(source, base)
    if path in seen:
        chain = " -> ".join(p.name for p in (*seen, path))
        raise RecipeError(f"recipes extend each other in a circle: {chain}")
    content = read_yaml(path, what="recipe", error=RecipeError)
    parent = content.pop("extends", None)
    if parent is None:
        return content
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends must be a path or the name of a recipe that ships")
    merged: dict[str, Any] = merge(_resolve(parent, path.parent, (*seen, path)), content)
    return merged


def _locate(source: str | Path, base: Path | None) -> Path:
    path = Path(source)
    if path.suffix.lower() in YAML_SUFFIXES:
        return ((base or Path()) / path).resolve()
    known = packaged_recipes()
    if str(source) not in known:
        raise RecipeError(
            f"'{source}' is neither a recipe file (.yaml) nor a recipe that ships "
            f"({', '.join(known)})"
        )
    return known[str(source)].resolve()


def _set(place: Any, keys: Sequence[str], value: Any) -> bool:
    """Set a value within nested mappings and lists of passes; whether there was a place for it."""
    key, *rest = keys
    if isinstance(place, list):
        numbers = _items(place, key)
        for number in numbers:
            if not rest:
                place[number] = value if key.isdigit() else {key: value}
            else:
                item = place[number]
                ((name, params),) = (item if isinstance(item, dict) else {item: None}).items()
                place[number] = {name: params or {}}
                _set(place[number][name], rest, value)
        return bool(numbers)
    if not rest:
        place[key] = value
        return True
    if not isinstance(place.get(key), dict | list):
        place[key] = {}
    return _set(place[key], rest, value)


def _items(passes: list[Any], key: str) -> list[int]:
    """Numbers of the passes that a key of an override means."""
    if key.isdigit():
        return [int(key)] if int(key) < len(passes) else []
    return [
        i
        for i, item in enumerate(passes)
        if item == key or (isinstance(item, dict) and key in item)
    ]


def _readable_passes(raw: Any) -> list[tuple[int, PassSpec]]:
    """The passes that can be told apart in an invalid recipe, so that all is reported at once."""
    found = []
    for number, item in enumerate(raw if isinstance(raw, list) else []):
        try:
            found.append((number, PassSpec.model_validate(item)))
        except ValidationError:  # reported already
            continue
    return found


def _build(
    specs: Sequence[PassSpec], numbers: Sequence[int] | None = None
) -> tuple[list[list[Pass[Any]]], list[Problem]]:
    passes: dict[int, list[Pass[Any]]] = {}
    problems: list[Problem] = []
    for number, spec in zip(numbers or range(len(specs)), specs, strict=True):
        where = f"passes[{number}]"
        try:
            found = pass_class(spec.name)
        except RecipeError as error:
            problems.append(Problem(where, error.headline))
            continue
        attempts = []
        for attempt, params in enumerate(spec.attempts):
            place = f"{where}.{spec.name}" + (f".{FALLBACK}[{attempt - 1}]" if attempt else "")
            try:
                attempts.append(found(found.Params.model_validate(params)))
            except ValidationError as error:
                problems += [
                    Problem(place if p.where == "the file" else f"{place}.{p.where}", p.what)
                    for p in problems_of(error, found.Params)
                ]
                if not attempt:  # a fallback would only repeat them
                    break
        if attempts:
            passes[number] = attempts
    for (_, (before, *_)), (number, (after, *_)) in pairwise(passes.items()):
        if before.gives not in after.takes:
            what = f"needs a {after.takes[0]}, but the pass before gives a {before.gives}"
            problems.append(Problem(f"passes[{number}]", f"{what}; change the order"))
    return list(passes.values()), problems
