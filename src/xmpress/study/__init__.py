"""A matrix of trainings and compressions, the questions it answers, and its report.

The names are imported when they are first used: a report is read and made without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmpress.study.config import StudyConfig
    from xmpress.study.loading import load_study, packaged_studies
    from xmpress.study.report import write_report
    from xmpress.study.results import StudyResults
    from xmpress.study.run import StudyRun, run_study

_HOME_OF = {
    "StudyConfig": "config",
    "StudyResults": "results",
    "StudyRun": "run",
    "load_study": "loading",
    "packaged_studies": "loading",
    "run_study": "run",
    "write_report": "report",
}

__all__ = [
    "StudyConfig",
    "StudyResults",
    "StudyRun",
    "load_study",
    "packaged_studies",
    "run_study",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'xmpress.study' has no attribute '{name}'")
    value = getattr(import_module(f"xmpress.study.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
