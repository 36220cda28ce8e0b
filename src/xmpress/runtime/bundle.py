"""The bundle: a directory that holds all that is needed to analyse text without torch.

xmpress.json        the manifest, see `Manifest`
tokenizer.json
onnx/model.onnx     one folder per engine; one graph, one named output per task
cascade/stage.npz   the first stage, if there is one, see `xmpress.runtime.cascade`
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xmpress.data.files import atomic_path, sha256
from xmpress.errors import BundleError
from xmpress.runtime.batching import INPUTS
from xmpress.runtime.cascade import STAGE, CascadeSpec
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import Calibration, Task, TaskSet
from xmpress.validation import problems_of

MANIFEST = "xmpress.json"
TOKENIZER = "tokenizer.json"
SCHEMA_VERSION = 1
"""Rises when older readers could misread a manifest."""


class Manifest(BaseModel):
    """What ``xmpress.json`` says about a bundle.

    Only ``tasks``, ``calibration``, ``max_length``, ``inputs``, ``pad_id`` and ``cascade`` change
    predictions; the rest is for people and for reproducing the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    """Version of this format."""
    name: Annotated[str, Field(min_length=1)]
    """The model's name."""
    version: str = "1"
    """The model's version."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    """What is predicted; each task is an output of the graph, by name."""
    calibration: dict[str, Calibration] = {}
    """Per task; the identity where there is none."""
    languages: tuple[str, ...] = ()
    """The languages of the training data (BCP 47 primary subtags)."""
    max_length: Annotated[int, Field(ge=1)]
    """Tokens per text; longer texts are cut."""
    inputs: tuple[Literal["input_ids", "attention_mask", "token_type_ids"], ...]
    """The graph's inputs."""
    pad_id: Annotated[int, Field(ge=0)]
    """Fills ``input_ids`` of shorter texts in a batch."""
    cascade: CascadeSpec | None = None
    """When the first stage answers; ``None`` if the bundle has none."""
    opset: int | None = None
    """ONNX operator set of the graph."""
    quantization: dict[str, Any] | None = None
    """How the weights and activations were quantized; ``None`` if they were not."""
    checked_on: dict[str, Any] = {}
    """Where the graph was compared with the model: CPU, instruction set, largest difference."""
    provenance: dict[str, Any] = {}
    """Where the model came from: recipe hash, seeds, data fingerprints, package versions."""
    scorecard: dict[str, Any] | None = None
    """Summary of the model's quality."""
    files: dict[str, str] = {}
    """SHA-256 of each other file of the bundle, by its path within the bundle."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        tasks = TaskSet(tasks=self.tasks)
        for name, calibration in self.calibration.items():
            if name not in tasks:
                raise ValueError(f"calibration of task '{name}', which is not among the tasks")
            thresholds = calibration.thresholds
            if thresholds is not None and len(thresholds) != len(tasks[name]):
                raise ValueError(
                    f"{len(thresholds)} thresholds for the {len(tasks[name])} labels of '{name}'"
                )
        for file in self.files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"file '{file}' is outside the bundle")
        if self.cascade is not None:
            for what in ("certainty", "temperature"):
                if set(getattr(self.cascade, what)) != set(tasks.names):
                    raise ValueError(
                        f"cascade.{what}; expected one per task: {', '.join(tasks.names)}"
                    )
        if "input_ids" not in self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(f"inputs {list(self.inputs)}; expected some of {', '.join(INPUTS)}")
        return self

    @property
    def task_set(self) -> TaskSet:
        """The tasks as a set."""
        return TaskSet(tasks=self.tasks)

    def calibrations(self) -> dict[str, Calibration]:
        """For every task; the identity where nothing was tuned."""
        return {task.name: self.calibration.get(task.name, Calibration()) for task in self.tasks}


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files have been verified.

    Attributes:
        path: its directory.
        manifest: its description.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read the manifest and verify that all files are there and unaltered.

        Raises:
            BundleError: if the directory is no bundle, of another schema, incomplete or altered.
        """
        directory = Path(path)
        manifest = _read_manifest(directory)
        for name, expected in manifest.files.items():
            file = directory / name
            if not file.is_file():
                raise BundleError(f"bundle {directory} is incomplete: {name} is missing; {_AGAIN}")
            try:
                found = sha256(file)
            except OSError as error:
                raise BundleError(f"{file} cannot be read: {error.strerror}") from error
            if found != expected:
                raise BundleError(
                    f"bundle {directory}: {name} is damaged or was altered "
                    f"(its SHA-256 is not the one in {MANIFEST}); {_AGAIN}"
                )
        if TOKENIZER not in manifest.files:
            raise BundleError(f"bundle {directory}: {MANIFEST} does not list {TOKENIZER}")
        if manifest.cascade is not None and STAGE not in manifest.files:
            raise BundleError(f"bundle {directory}: {MANIFEST} does not list {STAGE}")
        return cls(directory, manifest)

    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer, truncating to its ``max_length``."""
        tokenizer = Tokenizer.from_file(self.path / TOKENIZER, max_length=self.manifest.max_length)
        if tokenizer.pad_id != self.manifest.pad_id:
            raise BundleError(
                f"bundle {self.path}: {TOKENIZER} pads with {tokenizer.pad_id}, "
                f"{MANIFEST} says {self.manifest.pad_id}; {_AGAIN}"
            )
        return tokenizer

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file())


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write the manifest with the checksums of all files now in the directory.

    To be called last: a directory without a manifest is not a bundle.
    """
    files = {
        file.relative_to(directory).as_posix(): sha256(file)
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file != directory / MANIFEST
    }
    manifest = manifest.model_copy(update={"files": files})
    content = manifest.model_dump_json(indent=2, exclude_none=True)
    with atomic_path(directory / MANIFEST) as temporary:
        temporary.write_text(content + "\n", encoding="utf-8")
    return manifest


_AGAIN = "copy or export it again"


def _read_manifest(directory: Path) -> Manifest:
    file = directory / MANIFEST
    if not directory.is_dir():
        raise BundleError(f"there is no bundle at {directory}")
    if not file.is_file():
        if (directory / "config.json").is_file():
            raise BundleError(
                f"{directory} is a model directory, not a bundle; make one of it with "
                f"'xmpress export {directory} --to onnx -o DIR'"
            )
        raise BundleError(f"{directory} is not a bundle: it has no {MANIFEST}; {_AGAIN}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read: {error}; {_AGAIN}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{file} has schema version {version!r}, this xmpress reads {SCHEMA_VERSION}; "
            "export the model again, or install the xmpress that wrote it"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {p}" for p in problems_of(error, Manifest))
        raise BundleError(f"{file} is not a valid manifest\n{problems}") from error
