"""Files in, files out."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from xmpress import __version__
from xmpress.data.files import sha256
from xmpress.errors import DataError, UsageError
from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle
from xmpress.runtime.tables import prediction_columns
from xmpress.scoring.cluster import score_on_ray
from xmpress.scoring.folder import InputEnd, OutputFolder, Part, open_folder
from xmpress.scoring.plan import Plan, make_plan
from xmpress.scoring.reading import read_windows
from xmpress.scoring.scorer import Scored, Scorer, Work, score_here
from xmpress.scoring.settings import ScoreSettings
from xmpress.tasks import TaskSet
from xmpress.zoo import DEFAULT, resolve

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Totals(BaseModel):
    """Rows, over all inputs."""

    rows: int = 0
    """Rows of the inputs."""
    scored: int = 0
    """Rows written."""
    blank: int = 0
    """Of them those without text, which have no prediction."""
    rejected: int = 0
    """Rows that could not be scored."""


class Report(BaseModel):
    """What a run came to; with the parts it is the content of ``manifest.json``."""

    format_version: Literal[1] = 1
    state: Literal["running", "complete"]
    xmpress: str = __version__
    plan: Plan
    started: str
    finished: str | None = None
    totals: Totals = Totals()
    languages: dict[str, int] = {}
    """Rows by language, where there is a column of it."""
    labels: dict[str, dict[str, int]] = {}
    """Per task, rows by predicted label."""
    renamed: dict[str, str] = {}
    """By its usual name, the column a prediction was written to because that name was taken."""
    unreadable: dict[str, str] = {}
    """By file, why the rest of it could not be read."""
    parts: list[Part] = []

    def summary(self) -> dict[str, Any]:
        """Without the parts and the columns of the inputs: for people."""
        content = self.model_dump(mode="json", exclude={"parts", "plan"})
        return {**content, "inputs": len(self.plan.inputs), "parts": len(self.parts)}


def score(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    model: str | Path = DEFAULT,
    settings: ScoreSettings | None = None,
    resume: bool = False,
    threads: int | None = None,
    ray: str | None = None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Score files that may be larger than memory into a folder of parts.

    Each input is cut into windows of ``settings.rows_per_part`` rows, and each window becomes one
    part, named after the numbers of input and window, written whole or not at all. A part is a
    function of its window, the settings and the bundle: it is the same to the bit in a run without
    interruption, in one that was resumed, and on a cluster of like processors.

    Args:
        inputs: files, folders and globs: CSV, TSV, JSONL, Parquet, XLSX.
        out: the folder; see `xmpress.scoring.folder`.
        model: a name of the zoo, or a bundle's directory.
        settings: what is read and written.
        resume: go on with what the folder holds, if it holds something.
        threads: CPU threads, on a cluster per actor; ``None`` means all cores, per actor 4.
        ray: address of a Ray cluster, ``local`` for one on this machine; ``None`` for none.
        on_rows: called with the number of further rows that are done.

    Returns:
        What it came to. Inputs that are damaged are named in ``unreadable``; all else was scored.

    Raises:
        UsageError: if the folder holds something else, or a run of another plan.
        DataError: if an input or a column is missing, the disk is full, or another process writes
            to the folder.
        ModelError: if there is no such bundle.
    """
    settings = settings or ScoreSettings()
    out = Path(out)
    bundle = Bundle.open(resolve(model))
    tasks = bundle.manifest.task_set.select(settings.tasks or bundle.manifest.task_set.names)
    with open_folder(out, settings.format, resume=resume) as folder:
        plan = make_plan(inputs, out, bundle, settings)
        report = _begin(folder, plan)
        if report.state == "complete":
            on_rows(report.totals.rows)
            return report
        run = _Run(folder, plan, on_rows)
        try:
            works = run.works()
            if ray is None:
                analyzer = Analyzer(bundle, engine=plan.engine, threads=threads)
                scored = score_here(works, Scorer(analyzer, settings))
            else:
                scored = score_on_ray(works, bundle, plan, address=ray, threads=threads)
            with closing(scored):
                for item in scored:
                    run.keep(item)
            return run.finish(report, tasks)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise DataError(
                f"no space is left for {out}: {run.parts:,} parts are whole, none is half; "
                "make room and go on with --resume"
            ) from error
        finally:
            folder.close_journal()


def _begin(folder: OutputFolder, plan: Plan) -> Report:
    """The report so far: of a run to go on with, or of a new one, whose plan is written first."""
    before = folder.manifest()
    if before is None:
        report = Report(state="running", plan=plan, started=_now())
        folder.write_manifest(report.model_dump(mode="json"))
        return report
    report = Report.model_validate(before)
    problems = report.plan.differences(plan)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(
            f"the run in {folder.path} cannot be resumed, for its parts would not belong together; "
            f"put it back, or begin anew in another folder\n{listed}"
        )
    return report


class _Run:
    """The state of a run: what is whole, what is left."""

    def __init__(self, folder: OutputFolder, plan: Plan, on_rows: Callable[[int], None]) -> None:
        self._folder = folder
        self._plan = plan
        self._on_rows = on_rows
        self._done: dict[tuple[int, int], Part] = {}
        self._ends: dict[int, InputEnd] = {}
        folder.clear_leftovers()
        for entry in folder.entries():
            if "end" in entry:
                end = InputEnd.model_validate(entry["end"])
                self._ends[end.input] = end
            else:
                part = Part.model_validate(entry["part"])
                self._done[part.input, part.number] = part
        self._done = {key: part for key, part in self._done.items() if folder.is_whole(part)}
        folder.open_journal()

    @property
    def parts(self) -> int:
        """How many parts are whole."""
        return len(self._done)

    def works(self) -> Iterator[Work]:
        """The windows that are left."""
        settings = self._plan.settings
        for number, item in enumerate(self._plan.inputs, start=1):
            end = self._ends.get(number)
            if end and all((number, i + 1) in self._done for i in range(end.parts)):
                self._on_rows(sum(self._done[number, i + 1].rows for i in range(end.parts)))
                continue
            path, read, unreadable = Path(item.file), 0, item.unreadable
            stamp = _stamp(path)
            windows = read_windows(path, item.columns, settings)
            lang, context = (item.column(role, settings) for role in ("lang", "context"))
            while True:
                try:
                    window = next(windows, None)
                except DataError as error:
                    unreadable = error.headline
                    break
                if window is None:
                    break
                read = window.number
                if (number, window.number) in self._done:
                    self._on_rows(window.rows)
                else:
                    yield Work(number, window, lang, context)
            if _stamp(path) != stamp:
                raise DataError(f"{path} was changed while it was read; begin anew with it at rest")
            ended = InputEnd(input=number, parts=read, unreadable=unreadable)
            self._ends[number] = ended
            self._folder.note({"end": ended.model_dump(exclude_none=True)})

    def keep(self, scored: Scored) -> None:
        """Write a part, then note that it is whole."""
        work, counts = scored.work, scored.counts
        window = work.window
        part = Part(
            input=work.input,
            number=window.number,
            first_row=window.first_row,
            rows=window.rows,
            scored=counts.scored,
            blank=counts.blank,
        )
        if counts.scored:
            path = self._folder.part_path(work.input, window.number)
            scored.save(path)
            part.file = path.relative_to(self._folder.path).as_posix()
            part.bytes, part.sha256 = path.stat().st_size, sha256(path)
        self._folder.note(
            {
                "part": part.model_dump(exclude_none=True),
                "languages": counts.languages,
                "labels": counts.labels,
                "rejected": [asdict(row) for row in window.rejected],
            }
        )
        self._done[part.input, part.number] = part
        self._on_rows(part.rows)

    def finish(self, report: Report, tasks: TaskSet) -> Report:
        """Write what is known once all is done."""
        files = [item.file for item in self._plan.inputs]
        languages: Counter[str] = Counter()
        labels: dict[str, Counter[str]] = {task.name: Counter() for task in tasks}
        current = set()
        for entry in self._folder.entries():
            part = entry.get("part")
            # A part that was damaged and made again has two entries, which say the same.
            if part and (key := (part["input"], part["number"])) not in current:
                current.add(key)
                languages.update(entry["languages"])
                for task, found in entry["labels"].items():
                    labels[task].update(found)
        parts = [self._done[key] for key in sorted(self._done)]
        rejected = self._folder.write_rejected(files, self._unreadable())
        names = (
            prediction_columns(i.columns, tasks, probabilities=self._plan.settings.probabilities)
            for i in self._plan.inputs
        )
        report = report.model_copy(
            update={
                "state": "complete",
                "finished": _now(),
                "totals": Totals(
                    rows=sum(part.rows for part in parts),
                    scored=sum(part.scored for part in parts),
                    blank=sum(part.blank for part in parts),
                    rejected=rejected,
                ),
                "languages": dict(languages.most_common()),
                "labels": {
                    task.name: {label: labels[task.name][label] for label in task.labels}
                    for task in tasks
                },
                "renamed": {u: n for found in names for u, n in found.items() if u != n},
                "unreadable": {files[i - 1]: why for i, why in self._unreadable().items()},
                "parts": parts,
            }
        )
        self._folder.write_manifest(report.model_dump(mode="json"))
        self._folder.close_journal(remove=True)
        return report

    def _unreadable(self) -> dict[int, str]:
        return {n: end.unreadable for n, end in sorted(self._ends.items()) if end.unreadable}


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
