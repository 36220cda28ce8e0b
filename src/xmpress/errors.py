"""Every error xmpress raises on purpose, in one tree.

    XmpressError                   exit code 1
    ├── UsageError                 exit code 2: the call itself is wrong
    ├── ConfigError                a YAML file or an override; all its problems at once
    │   ├── TaskError              a task file, or a label no task knows
    │   └── RecipeError            a compression recipe
    ├── DataError                  rows or files; all bad rows at once
    ├── ModelError                 a model directory or bundle that cannot be used
    │   └── BundleError            a bundle that is incomplete, altered or of another schema
    ├── TrainingError              training cannot start or continue
    ├── StudyError                 steps of a study failed; all of them at once
    ├── ExportError                the exported graph differs from the model
    ├── EngineError                the inference engine failed
    ├── MissingExtraError          an optional dependency is not installed
    └── GuardError                 exit code 3: compression cost more than the guard allows

A message says what happened, where, what was expected and what to do. The command line prints it
without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class XmpressError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UsageError(XmpressError):
    """The command or function was called in a way that cannot be right."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one place.

    Attributes:
        where: the place, e.g. ``"reviews.csv, row 14, column sentiment"`` or
            ``"passes[1].distill"``.
        what: what was found, what was expected and what to do about it.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class _ManyProblems(XmpressError):
    """An error that lists all problems found, not only the first."""

    shown = 20

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.headline = message
        lines = [message, *(f"  {p}" for p in self.problems[: self.shown])]
        if len(self.problems) > self.shown:
            lines.append(f"  ... and {len(self.problems) - self.shown} more")
        super().__init__("\n".join(lines))


class ConfigError(_ManyProblems):
    """A configuration file or override is invalid."""


class TaskError(ConfigError):
    """A task definition is invalid, or a label is none of a task's labels."""


class RecipeError(ConfigError):
    """A compression recipe is invalid."""


class DataError(_ManyProblems):
    """Input data cannot be read or holds invalid rows."""


class ModelError(XmpressError):
    """A model directory or bundle is missing, incomplete or of the wrong kind."""


class BundleError(ModelError):
    """A bundle is incomplete, altered, or written by an incompatible version."""


class TrainingError(XmpressError):
    """Training cannot start or cannot continue."""


class StudyError(_ManyProblems):
    """Steps of a study failed; what does not depend on them was done."""


class ExportError(XmpressError):
    """A model could not be exported, or the exported graph computes something else."""


class EngineError(XmpressError):
    """The inference engine failed."""


class MissingExtraError(XmpressError):
    """An optional dependency is needed and not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'xmpress[{extra}]'")


class GuardError(XmpressError):
    """A compression pass degraded the model more than its guard allows."""

    exit_code = 3
