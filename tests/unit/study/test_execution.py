"""Steps that run once, fail by themselves, and go on after an interruption."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xmpress.errors import TrainingError
from xmpress.study.execution import Execution, KindProgress
from xmpress.study.graph import Graph, Step, Work


class Steps:
    """Counts what runs; each step writes the texts of those before it and its own."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.before: dict[str, Callable[[Work], Any]] = {}

    def step(self, name: str, *needs: str, uses: tuple[str, ...] = (), value: int = 0) -> Step:
        def run(work: Work) -> dict[str, Any]:
            self.ran.append(name)
            self.before.get(name, lambda work: None)(work)
            texts = [(p / "text").read_text() for s in (*needs, *uses) if (p := work.output(s))]
            (work.directory / "text").write_text(f"({' '.join([*texts, f'{name}{value}'])})")
            return {"value": value}

        return Step(name, "compare", {"value": value}, run, needs, uses)

    def execute(self, directory: Path, *steps: Step, watch: Any = lambda board: None) -> Execution:
        self.ran.clear()
        graph = Graph()
        for step in steps:
            graph.add(step)
        execution = Execution(graph, directory, watch=watch)
        execution.run()
        return execution


@pytest.fixture
def steps() -> Steps:
    return Steps()


def text(execution: Execution, name: str) -> str:
    directory = execution.output(name)
    assert directory is not None
    return (directory / "text").read_text()


def test_every_step_runs_once(steps: Steps, tmp_path: Path) -> None:
    chain = [steps.step("a"), steps.step("b", "a")]
    execution = steps.execute(tmp_path, *chain)
    assert steps.ran == ["a", "b"]
    assert text(execution, "b") == "((a0) b0)"
    assert not (tmp_path / "work").exists()
    again = steps.execute(tmp_path, *chain)
    assert steps.ran == []
    assert text(again, "b") == "((a0) b0)"
    assert {state.status for state in again.states.values()} == {"done"}


def test_a_change_runs_what_depends_on_it(steps: Steps, tmp_path: Path) -> None:
    steps.execute(tmp_path, steps.step("a"), steps.step("b", "a"), steps.step("c"))
    found = steps.execute(tmp_path, steps.step("a", value=1), steps.step("b", "a"), steps.step("c"))
    assert steps.ran == ["a", "b"]
    assert text(found, "b") == "((a1) b0)"


def test_what_has_another_name_now_is_not_made_again(steps: Steps, tmp_path: Path) -> None:
    steps.execute(tmp_path, steps.step("a"), steps.step("b", "a"))
    steps.execute(tmp_path, steps.step("x"), steps.step("y", "x"))
    assert steps.ran == []


def test_steps_with_the_same_inputs_run_once(steps: Steps, tmp_path: Path) -> None:
    execution = steps.execute(tmp_path, steps.step("a"), steps.step("b"), steps.step("c", "b"))
    assert steps.ran == ["a", "c"]
    assert text(execution, "b") == "(a0)"
    assert {state.status for state in execution.states.values()} == {"done"}


def test_a_step_that_fails_stops_only_what_needs_it(steps: Steps, tmp_path: Path) -> None:
    def fail(work: Work) -> None:
        raise TrainingError("the loss is nan")

    steps.before["a"] = fail
    chain = [
        steps.step("a"),
        steps.step("b", "a"),
        steps.step("c", value=2),
        steps.step("d", uses=("a", "c")),
    ]
    execution = steps.execute(tmp_path, *chain)
    states = execution.states
    assert [states[name].status for name in "abcd"] == ["failed", "blocked", "done", "done"]
    assert states["a"].error == "the loss is nan"
    assert text(execution, "d") == "((c2) d0)"
    state = json.loads((tmp_path / "state.json").read_text())["steps"]
    assert state["a"]["error"] == "the loss is nan"
    # Repaired: what failed is tried again, and so is what was made without it.
    del steps.before["a"]
    repaired = steps.execute(tmp_path, *chain)
    assert steps.ran == ["a", "b", "d"]
    assert text(repaired, "d") == "((a0) (c2) d0)"


def test_errors_of_libraries_are_recorded_too(steps: Steps, tmp_path: Path) -> None:
    def fail(work: Work) -> None:
        raise RuntimeError("out of memory")

    steps.before["a"] = fail
    execution = steps.execute(tmp_path, steps.step("a"))
    assert execution.states["a"].error == "RuntimeError: out of memory"
    (note,) = (tmp_path / "work").glob("a-*/error.txt")
    assert "Traceback" in note.read_text()


def test_an_interrupted_step_goes_on_in_its_directory(steps: Steps, tmp_path: Path) -> None:
    def interrupt(work: Work) -> None:
        (work.directory / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    def go_on(work: Work) -> None:
        assert (work.directory / "checkpoint").read_text() == "half"

    steps.before["b"] = interrupt
    chain = [steps.step("a"), steps.step("b", "a")]
    with pytest.raises(KeyboardInterrupt):
        steps.execute(tmp_path, *chain)
    assert not list((tmp_path / "steps").glob("b-*"))
    steps.before["b"] = go_on
    steps.execute(tmp_path, *chain)
    assert steps.ran == ["b"]


def test_a_directory_that_is_not_whole_is_not_taken(steps: Steps, tmp_path: Path) -> None:
    execution = steps.execute(tmp_path, steps.step("a"))
    directory = execution.output("a")
    assert directory is not None
    (directory / "step.json").unlink()
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    steps.execute(tmp_path, steps.step("a"))
    assert steps.ran == ["a"]


def test_progress_tells_what_is_done_left_and_how_long(steps: Steps, tmp_path: Path) -> None:
    boards: list[list[KindProgress]] = []
    chain = [steps.step("a"), steps.step("b", "a"), steps.step("c")]
    steps.execute(tmp_path, *chain, watch=boards.append)
    first, last = boards[0][0], boards[-1][0]
    assert (first.done, first.left, first.running, first.remaining) == (0, 3, "a", None)
    assert (last.done, last.left, last.running, last.remaining) == (3, 0, None, 0.0)
    middle = next(board[0] for board in boards if board[0].running == "b")
    assert middle.seconds is not None
    assert middle.remaining == 2 * middle.seconds


def test_a_graph_takes_only_what_is_in_order(steps: Steps) -> None:
    graph = Graph()
    graph.add(steps.step("a"))
    with pytest.raises(ValueError, match="step a"):
        graph.add(steps.step("a"))
    with pytest.raises(ValueError, match="nowhere"):
        graph.add(steps.step("b", "nowhere"))
