"""What a compression pass is, and the passes there are by name.

A pass takes an artefact (a model directory or a bundle) and writes another one. Passes are found by
their registered name, never by a dotted path: the built-in ones below, and those that installed
packages declare in the entry point group ``xmpress.passes``::

    [project.entry-points."xmpress.passes"]
    binarize = "my_package.binarize:Binarize"
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from xmpress.data.files import sha256
from xmpress.data.splits import ValidationSettings
from xmpress.errors import ModelError, RecipeError
from xmpress.validation import nearest

if TYPE_CHECKING:
    from xmpress.compression.recipe import StudentSpec
    from xmpress.data.dataset import Dataset

ENTRY_POINTS = "xmpress.passes"
_BUILT_IN = {
    "cascade": "xmpress.compression.cascade:Cascade",
    "distill": "xmpress.compression.distillation:Distill",
    "export": "xmpress.compression.exporting:Export",
    "factorise_embedding": "xmpress.compression.factorisation:FactoriseEmbedding",
    "prune": "xmpress.compression.pruning:Prune",
    "quantization_aware": "xmpress.compression.quantization.aware:QuantizationAware",
    "quantize": "xmpress.compression.quantization:Quantize",
    "trim_vocabulary": "xmpress.compression.vocabulary:TrimVocabulary",
}
Kind = Literal["model", "bundle"]
_NOTES = {"README.md", "recipe.lock.yaml", "report.json"}
"""Files of an artefact that are about it and do not change what it computes."""


@dataclass(frozen=True)
class Artefact:
    """A model directory or a bundle on disk.

    Attributes:
        path: its directory.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise ModelError(f"there is no model directory or bundle {self.path}")

    @cached_property
    def kind(self) -> Kind:
        """Which of the two it is, by the file that describes it.

        Raises:
            ModelError: if it is neither.
        """
        if (self.path / "xmpress.json").is_file():
            return "bundle"
        if (self.path / "config.json").is_file():
            return "model"
        raise ModelError(
            f"{self.path} is neither a model directory (config.json) nor a bundle (xmpress.json)"
        )

    @cached_property
    def files(self) -> list[Path]:
        """Everything that decides what it computes, sorted."""
        return sorted(p for p in self.path.rglob("*") if p.is_file() and p.name not in _NOTES)

    @cached_property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def parameters(self) -> int | None:
        """Number of weights of a model directory; ``None`` for a bundle, which keeps them."""
        if self.kind == "bundle":
            return None
        # Not at the top: recipes are listed without the packages that running them needs.
        from safetensors import safe_open

        with safe_open(self.path / "model.safetensors", framework="numpy") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.offset_keys()]
        return sum(math.prod(map(int, shape)) for shape in shapes)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over names and contents of `files`."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(f"{path.relative_to(self.path).as_posix()} {sha256(path)}\n".encode())
        return digest.hexdigest()


class Sample(Protocol):
    """Draws rows; see `Context`."""

    def __call__(self, rows: int, *, training: bool, even: bool) -> Dataset:
        """At most so many rows."""
        ...


@dataclass(frozen=True)
class Context:
    """What a pass works on and with.

    Attributes:
        name: what to call the result.
        artefact: the input.
        teacher: the uncompressed model that the chain began with.
        student: the shape asked for, until a pass has made a student of it; then ``None``.
        data_name: what the recipe calls its data.
        dataset: loads it when first called.
        sample: gives at most so many real rows, of the recipe's data or else the bundled sample:
            of those held out (``training=False``) for numerical checks, or of those trained on for
            calibration; drawn evenly over languages and tasks (``even``), or as they come.
        seed: of everything random.
        cache: a directory for results that are costly and can be reused, e.g. teacher outputs.
        workspace: a directory for checkpoints of this pass; survives an interruption.
        say: tells a person what is going on, one line at a time.
        quiet: no progress bars.
        validation: the rows that choose the best step and calibrate.
    """

    name: str
    artefact: Artefact
    teacher: Artefact
    student: StudentSpec | None
    data_name: str | None
    dataset: Callable[[], Dataset]
    sample: Sample
    seed: int
    cache: Path
    workspace: Path
    say: Callable[[str], None]
    quiet: bool
    validation: ValidationSettings = field(default_factory=ValidationSettings)


class PassParams(BaseModel):
    """Base of the parameters of a pass: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=PassParams)


class Pass(ABC, Generic[P]):
    """One compression step.

    Attributes:
        params: validated parameters.
        Params: their model.
        revision: raised when the same parameters come to give another result, so that results of
            an older version are not taken for up to date.
        takes: what it can be given.
        gives: what it makes of that.
        needs_data: whether it cannot do without the recipe's data.
        uses_data: whether the result depends on the recipe's data where there are any.
        checks_held_out: whether what it tells depends on the rows that artefacts are judged on.
        makes_student: whether it turns the recipe's ``student`` into a model.
    """

    Params: ClassVar[type[PassParams]]
    revision: ClassVar[int] = 1
    takes: ClassVar[tuple[Kind, ...]] = ("model",)
    gives: ClassVar[Kind] = "model"
    needs_data: ClassVar[bool] = False
    uses_data: ClassVar[bool] = False
    checks_held_out: ClassVar[bool] = False
    makes_student: ClassVar[bool] = False

    def __init__(self, params: P) -> None:
        self.params = params

    def inputs(self) -> dict[str, str]:
        """Fingerprints of what the parameters name outside the recipe: files, further models."""
        return {}

    @abstractmethod
    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Write the new artefact.

        Args:
            context: the input and what else may be used.
            target: an existing, empty directory; moved to its final name afterwards.

        Returns:
            What the report should say beyond sizes, time and quality; JSON types only.
        """


def pass_names() -> list[str]:
    """Names of all passes, built in or installed."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def pass_class(name: str) -> type[Pass[Any]]:
    """The pass of that name.

    Raises:
        RecipeError: if there is none; names the nearest.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[Pass[Any]] = getattr(import_module(module), attribute)
        return found
    for point in entry_points(group=ENTRY_POINTS, name=name):
        loaded = point.load()
        if not (isinstance(loaded, type) and issubclass(loaded, Pass)):
            raise RecipeError(f"entry point '{point.value}' of pass '{name}' is no Pass class")
        return loaded
    close = nearest(name, pass_names())
    hint = f"did you mean '{close}'?" if close else f"the passes are {', '.join(pass_names())}"
    raise RecipeError(f"there is no pass '{name}'; {hint}")
