"""What a run does: which inputs, which settings, which bundle. All parts follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from xmpress.data.files import sha256
from xmpress.data.readers import STDIN, find_files
from xmpress.errors import DataError, Problem, UsageError
from xmpress.runtime.bundle import MANIFEST, Bundle
from xmpress.runtime.engines import engines_of, open_engine
from xmpress.scoring.reading import kinds_of
from xmpress.scoring.settings import ScoreSettings
from xmpress.validation import nearest

_PACKAGES = ("xmpress", "numpy", "onnxruntime", "openvino", "tokenizers")
"""Packages whose version may change the last digits of a score."""


class Input(BaseModel):
    """One file to score.

    Its path is as it was given, and its content is what it was when the run began.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    bytes: int
    sha256: str
    columns: dict[str, str] = {}
    """Per column what it holds; empty for a file without rows."""
    unreadable: str | None = None
    """Why none of it can be read."""

    def column(self, role: Literal["lang", "context"], settings: ScoreSettings) -> str | None:
        """The column in a role: the one named, or else the one of that name if it holds text."""
        named: str | None = getattr(settings, role)
        return named or (role if self.columns.get(role) == "text" else None)


class BundleIdentity(BaseModel):
    """Which model."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    sha256: str
    """Of its manifest, which holds the checksums of all its files."""


class Plan(BaseModel):
    """All that the parts follow from."""

    model_config = ConfigDict(frozen=True)

    inputs: tuple[Input, ...]
    settings: ScoreSettings
    bundle: BundleIdentity
    engine: str
    """What runs the graph."""
    versions: dict[str, str] = Field(default_factory=lambda: versions())

    def differences(self, other: Plan) -> list[Problem]:
        """Where another plan differs, told as a change from this one."""
        before, now = ({item.file: item for item in plan.inputs} for plan in (self, other))
        told = {
            "was an input, and is none now": before.keys() - now.keys(),
            "is an input, and was none": now.keys() - before.keys(),
            "has changed": {
                file
                for file in before.keys() & now.keys()
                if before[file].sha256 != now[file].sha256
            },
        }
        problems = [Problem(file, what) for what, files in told.items() for file in files]
        problems.sort(key=lambda problem: problem.where)
        if not problems and self.inputs != other.inputs:
            problems.append(Problem("inputs", "are read in another order or otherwise"))
        for name in ScoreSettings.model_fields:
            old, new = getattr(self.settings, name), getattr(other.settings, name)
            if old != new:
                problems.append(Problem(f"setting {name}", f"was {_shown(old)}, is {_shown(new)}"))
        if self.bundle.sha256 != other.bundle.sha256:
            old_name, new_name = (f"{b.name} {b.version}" for b in (self.bundle, other.bundle))
            problems.append(Problem("bundle", f"was {old_name}, is {new_name}, of other content"))
        if self.engine != other.engine:
            problems.append(Problem("engine", f"was {self.engine}, is {other.engine}"))
        for name in sorted(self.versions.keys() | other.versions.keys()):
            old, new = self.versions.get(name), other.versions.get(name)
            if old != new:
                problems.append(Problem(f"version of {name}", f"was {old}, is {new}"))
        return problems


def make_plan(
    inputs: Sequence[str | Path], out: Path, bundle: Bundle, settings: ScoreSettings
) -> Plan:
    """Find the inputs, take their checksums and look at their columns.

    Files within ``out`` are no inputs.

    Raises:
        DataError: naming every input that is not there or lacks a column, or if none can be read.
        UsageError: if standard input is among them.
    """
    if any(Path(item) == STDIN for item in inputs):
        raise UsageError(
            "standard input cannot be read twice, so it cannot be resumed: save it to a file, "
            "or use 'xmpress analyze -'"
        )
    inside = out.resolve()
    files = [f for f in find_files(inputs) if not f.resolve().is_relative_to(inside)]
    if not files:
        raise DataError(f"all inputs lie within the output folder {out}")
    found, problems = [], []
    for file in files:
        item = _look_at(file, settings)
        found.append(item)
        if item.columns:
            problems += _missing(item, settings)
    if problems:
        raise DataError("columns are missing (--text, --lang, --context name them)", problems)
    unreadable = [Problem(i.file, i.unreadable) for i in found if i.unreadable]
    if len(unreadable) == len(found):
        raise DataError("no input can be read", unreadable)
    manifest = bundle.manifest
    return Plan(
        inputs=tuple(found),
        settings=settings,
        bundle=BundleIdentity(
            name=manifest.name,
            version=manifest.version,
            sha256=sha256(bundle.path / MANIFEST),
        ),
        engine=_engine(bundle, settings),
    )


def versions() -> dict[str, str]:
    """Installed versions of what computes the scores."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _engine(bundle: Bundle, settings: ScoreSettings) -> str:
    """The engine's name: which one is the fastest may come out otherwise another time."""
    present = engines_of(bundle.path)
    if settings.engine == "auto" and len(present) == 1:
        return present[0]
    return open_engine(bundle.path, settings.engine).name


def _look_at(file: Path, settings: ScoreSettings) -> Input:
    columns: dict[str, str] = {}
    unreadable = None
    try:
        columns = kinds_of(file, settings)
    except DataError as error:
        unreadable = error.headline
    return Input(
        file=str(file),
        bytes=file.stat().st_size,
        sha256=sha256(file),
        columns=columns,
        unreadable=unreadable,
    )


def _missing(item: Input, settings: ScoreSettings) -> list[Problem]:
    problems = []
    for role in ("text", "lang", "context"):
        name: str | None = getattr(settings, role)
        if name is None:
            continue
        kind = item.columns.get(name)
        if kind is None:
            close = nearest(name, list(item.columns))
            hint = f" (did you mean '{close}'?)" if close else ""
            names = ", ".join(item.columns)
            problems.append(Problem(item.file, f"has no column '{name}'{hint}; it has {names}"))
        elif kind != "text" and role != "lang":
            problems.append(Problem(item.file, f"column '{name}' holds no text"))
    return problems


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
