"""Runs the steps of a graph, each one once, and remembers what is done.

A step fills ``work/<name>-<hash>``, which becomes ``steps/<name>-<hash>`` when it is complete: what
stands there is whole, and made from exactly these inputs. After any interruption the step that was
running goes on in its directory under ``work``.
"""

from __future__ import annotations

import gc
import json
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xmpress.data.files import atomic_path
from xmpress.errors import XmpressError
from xmpress.study.graph import Graph, Kind, Step

RECORD = "step.json"
STATE = "state.json"
ERROR = "error.txt"
ELAPSED = "elapsed.json"
LARGE = {"train", "compress"}
"""Kinds of step that leave models in memory."""
SHORT = 12
"""Characters of a hash that stand in the name of a directory."""
Status = Literal["waiting", "running", "done", "failed", "blocked"]
Watch = Callable[[list["KindProgress"]], None]


@dataclass
class StepState:
    """Where one step stands.

    Attributes:
        name: of the step.
        kind: what it does.
        hash: of its inputs.
        status: ``blocked``: a step that it needs failed.
        seconds: that it took.
        output: its directory, relative to the study's.
        error: what it said when it failed.
        details: what it told about its output.
    """

    name: str
    kind: Kind
    hash: str
    status: Status = "waiting"
    seconds: float | None = None
    output: str | None = None
    error: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class KindProgress:
    """How far the steps of one kind are.

    Attributes:
        kind: what they do.
        done: how many are complete.
        failed: how many failed, or cannot run because one before failed.
        left: how many are to come, the running one included.
        running: the name of the one that runs.
        seconds: mean time of those that are done; ``None`` if none is.
        remaining: seconds that the rest will take; ``None`` if no one can tell yet.
    """

    kind: Kind
    done: int
    failed: int
    left: int
    running: str | None
    seconds: float | None
    remaining: float | None


class Execution:
    """The steps of one study directory.

    Attributes:
        states: by name, in the order of the graph.
    """

    def __init__(self, graph: Graph, directory: Path, *, watch: Watch = lambda board: None) -> None:
        self._graph = graph
        self._directory = directory
        self._watch = watch
        hashes = graph.hashes()
        self.states = {
            step.name: StepState(step.name, step.kind, hashes[step.name]) for step in graph
        }
        for name in ("steps", "work"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        for state in self.states.values():
            self._take_up(state)

    def run(self, after: Callable[[], object] = lambda: None) -> None:
        """Run what is not there.

        Args:
            after: called after every step.

        Raises:
            KeyboardInterrupt: once the running step has put its state aside.
        """
        for step in self._graph:
            state = self.states[step.name]
            lost = [name for name in step.needs if self.states[name].status != "done"]
            if lost:
                state.status, state.error = "blocked", f"needs {', '.join(lost)}"
                continue
            absent = [name for name in step.uses if self.states[name].status != "done"]
            if absent:
                before = {name: known.hash for name, known in self.states.items()}
                state.hash = self._graph.hash(step, before, without=absent)
                state.status = "waiting"
            if state.status != "done":
                self._take_up(state)  # a step before may have had the same inputs
            if state.status != "done":
                self._run(step, state)
                if step.kind in LARGE:
                    gc.collect()  # its cycles would stay in memory beside the next model
                after()
        self._tell()
        if all(state.status == "done" for state in self.states.values()):
            shutil.rmtree(self._directory / "work")

    def output(self, name: str) -> Path | None:
        """The directory of a step that is done."""
        state = self.states[name]
        return None if state.output is None else self._directory / state.output

    def progress(self) -> list[KindProgress]:
        """How far each kind is, in the order in which kinds first occur."""
        kinds = dict.fromkeys(state.kind for state in self.states.values())
        return [self._kind(kind) for kind in kinds]

    def _kind(self, kind: Kind) -> KindProgress:
        states = [state for state in self.states.values() if state.kind == kind]
        done = [state for state in states if state.status == "done"]
        left = [state for state in states if state.status in {"waiting", "running"}]
        times = [state.seconds for state in done if state.seconds is not None]
        mean = sum(times) / len(times) if times else None
        running = next((state.name for state in states if state.status == "running"), None)
        rest = 0.0 if not left else None if mean is None else mean * len(left)
        failed = len(states) - len(done) - len(left)
        return KindProgress(kind, len(done), failed, len(left), running, mean, rest)

    def _take_up(self, state: StepState) -> None:
        """Note the output of an earlier run from the same inputs, under whatever name."""
        for directory in (self._directory / "steps").glob(f"*-{state.hash[:SHORT]}"):
            record = directory / RECORD
            if record.is_file():
                content = json.loads(record.read_text(encoding="utf-8"))
                state.status, state.error = "done", None
                state.seconds, state.details = content["seconds"], content["details"]
                state.output = str(directory.relative_to(self._directory))
                return

    def _run(self, step: Step, state: StepState) -> None:
        title = f"{step.name}-{state.hash[:SHORT]}"
        directory = self._directory / "work" / title
        directory.mkdir(exist_ok=True)
        state.status = "running"
        self._tell()
        earlier, started = _elapsed(directory), time.perf_counter()
        try:
            details = dict(step.run(_Running(self, directory)))
        # A step calls everything there is, and libraries' errors have no common base. Whatever
        # it is, it is kept, and what does not depend on the step still runs.
        except Exception as error:
            state.status = "failed"
            ours = isinstance(error, XmpressError)
            state.error = str(error) if ours else f"{type(error).__name__}: {error}"
            (directory / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
            self._tell()
            return
        finally:
            state.seconds = round(earlier + time.perf_counter() - started, 2)
            (directory / ELAPSED).write_text(json.dumps(state.seconds), encoding="utf-8")
        for note in (ERROR, ELAPSED):
            (directory / note).unlink(missing_ok=True)
        record = {"hash": state.hash, "seconds": state.seconds, "details": details}
        with atomic_path(directory / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        target = self._directory / "steps" / title
        directory.rename(target)
        state.status, state.details = "done", details
        state.output = str(target.relative_to(self._directory))
        self._tell()

    def _tell(self) -> None:
        content = {name: _plain(state) for name, state in self.states.items()}
        with atomic_path(self._directory / STATE) as temporary:
            text = json.dumps({"steps": content}, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        self._watch(self.progress())


@dataclass(frozen=True)
class _Running:
    """What a running step is given."""

    execution: Execution
    directory: Path

    def output(self, step: str) -> Path | None:
        """The directory of a step before."""
        return self.execution.output(step)


def _plain(state: StepState) -> dict[str, Any]:
    keys = ("kind", "hash", "status", "seconds", "output", "error")
    return {key: getattr(state, key) for key in keys}


def _elapsed(directory: Path) -> float:
    """Seconds that were spent on a step before it was interrupted; a kill loses its share."""
    try:
        return float(json.loads((directory / ELAPSED).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0.0
