"""Cross-lingual, multi-task classification of open feedback, compressed and served without torch.

The public names are imported when they are first used, so that ``import xmpress`` costs nothing:

    >>> import xmpress
    >>> xmpress.TaskSet.load("experience")["intensity"].labels
    ('low', 'medium', 'high')

After ``import xmpress``, Hugging Face's ``AutoConfig`` and ``AutoModel`` load model directories
written by xmpress, without remote code (see `xmpress._registration`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xmpress import _registration

if TYPE_CHECKING:
    from xmpress.errors import (
        BundleError,
        ConfigError,
        DataError,
        EngineError,
        ExportError,
        GuardError,
        MissingExtraError,
        ModelError,
        Problem,
        RecipeError,
        StudyError,
        TaskError,
        TrainingError,
        UsageError,
        XmpressError,
    )
    from xmpress.runtime.analysis import Analysis, Prediction
    from xmpress.runtime.analyzer import Analyzer
    from xmpress.tasks import Calibration, Labels, Task, TaskKind, TaskSet
    from xmpress.zoo import load

__version__ = "0.1.0"

_HOMES = {
    "xmpress.errors": (
        "BundleError",
        "ConfigError",
        "DataError",
        "EngineError",
        "ExportError",
        "GuardError",
        "MissingExtraError",
        "ModelError",
        "Problem",
        "RecipeError",
        "StudyError",
        "TaskError",
        "TrainingError",
        "UsageError",
        "XmpressError",
    ),
    "xmpress.runtime.analysis": ("Analysis", "Prediction"),
    "xmpress.runtime.analyzer": ("Analyzer",),
    "xmpress.tasks": ("Calibration", "Labels", "Task", "TaskKind", "TaskSet"),
    "xmpress.zoo": ("load",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Analysis",
    "Analyzer",
    "BundleError",
    "Calibration",
    "ConfigError",
    "DataError",
    "EngineError",
    "ExportError",
    "GuardError",
    "Labels",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "Problem",
    "RecipeError",
    "StudyError",
    "Task",
    "TaskError",
    "TaskKind",
    "TaskSet",
    "TrainingError",
    "UsageError",
    "XmpressError",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'xmpress' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_registration.install()
