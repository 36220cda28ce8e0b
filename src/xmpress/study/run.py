"""A study from its file to its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from xmpress.data.files import atomic_path, locked
from xmpress.errors import DataError, Problem, StudyError, UsageError
from xmpress.study.collecting import collect_results
from xmpress.study.config import StudyConfig
from xmpress.study.execution import Execution, Watch
from xmpress.study.loading import load_study
from xmpress.study.plan import make_plan
from xmpress.study.report import write_report
from xmpress.study.results import StudyResults
from xmpress.study.rows import Rows
from xmpress.study.steps import Workshop

STUDY = "study.yaml"


@dataclass(frozen=True)
class StudyRun:
    """What a study gave.

    Attributes:
        directory: of everything.
        results: the content of ``results.json``.
        report: the report that was written, ``report.html``.
    """

    directory: Path
    results: StudyResults
    report: Path

    def check(self) -> None:
        """Tell what failed.

        Raises:
            StudyError: listing every step that failed, with what it said.
        """
        failures = self.results.failures
        if failures:
            raise StudyError(
                f"{len(failures)} steps of study '{self.results.name}' failed; the same command "
                "with --resume tries them again",
                [Problem(failure.step, failure.error) for failure in failures],
            )


def run_study(
    study: StudyConfig | str | Path,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
    watch: Watch = lambda board: None,
    quiet: bool = False,
) -> StudyRun:
    """Run a study: train, compress, score, compare, measure, and write the report.

    What was made before from the same inputs is not made again, whatever else of the study has
    changed. A step that fails is recorded; what does not depend on it is still done.

    Args:
        study: a study, its file, or the name of one that ships.
        out: the study directory.
        overrides: ``a.b=value`` each; only with a file or name.
        resume: go on in a directory that is there.
        say: told what is going on, a line at a time.
        watch: told how far the steps are, whenever one begins or ends.
        quiet: no progress bars.

    Raises:
        UsageError: if ``out`` is not empty and ``resume`` is not given.
        ConfigError: if the study file is not valid, or does not fit the data.
        DataError: if the data cannot be used, ``out`` not be written, or another process writes
            there.
        KeyboardInterrupt: once the running step has put its state aside.
    """
    directory = Path(out)
    command = _command(study, overrides, directory)
    if isinstance(study, StudyConfig):
        if overrides:
            raise UsageError("overrides are for a study file or name, not for a StudyConfig")
    else:
        study = load_study(study, overrides)
    _check_place(directory, resume=resume)
    with locked(directory):
        return _run(study, directory, command, say, watch, quiet=quiet)


def _run(
    study: StudyConfig,
    directory: Path,
    command: str,
    say: Callable[[str], None],
    watch: Watch,
    *,
    quiet: bool,
) -> StudyRun:
    say(f"reading {study.data}")
    rows = Rows(study)
    shop = Workshop(rows, directory / "cache", say, quiet)
    plan = make_plan(study, rows, shop)
    content = study.model_dump(mode="json", exclude_none=True)
    with atomic_path(directory / STUDY) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        temporary.write_text(text, encoding="utf-8")
    execution = Execution(plan.graph, directory, watch=watch)

    def record() -> StudyResults:
        results = collect_results(study, rows, plan, execution, command)
        results.write(directory)
        return results

    execution.run(after=record)
    results = record()
    return StudyRun(directory, results, write_report(directory))


def _check_place(directory: Path, *, resume: bool) -> None:
    if directory.is_file():
        raise DataError(f"{directory} is a file; give the name of a folder to write")
    # Hidden files are the lock, and what a kill in the midst of writing leaves.
    if directory.is_dir() and any(not path.name.startswith(".") for path in directory.iterdir()):
        if not resume:
            raise UsageError(f"{directory} exists and is not empty; go on with --resume")
        if not (directory / STUDY).is_file():
            raise UsageError(f"{directory} is no study directory; choose another")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make folder {directory}: {error.strerror}") from error


def _command(study: StudyConfig | str | Path, overrides: Sequence[str], directory: Path) -> str:
    source = study.name if isinstance(study, StudyConfig) else study
    sets = [f"--set '{text}'" for text in overrides]
    return " ".join(["xmpress study", str(source), *sets, "-o", str(directory)])
