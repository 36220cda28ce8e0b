"""``xmpress study``: what it hands on, what it shows, and how it fails."""

from pathlib import Path

import pytest
from rich.console import Console

import xmpress.study
from xmpress.cli.study import progress_table, time_text
from xmpress.study import StudyResults, StudyRun
from xmpress.study.execution import KindProgress
from xmpress.study.results import DataSummary, Failure


@pytest.fixture
def results():
    return StudyResults(
        name="quick",
        title="The quick study",
        description="",
        command="xmpress study quick",
        created="2026-01-01T00:00:00+00:00",
        version="0",
        seeds=[1],
        machine={},
        data=DataSummary(config="sample", fingerprint="0", rows={}),
        tasks=[],
        languages=["en"],
    )


@pytest.fixture
def asked(monkeypatch, results, tmp_path):
    """What `run_study` was called with; it gives these results at once."""
    calls = {"failures": []}

    def fake(study, out, **options):
        calls.update(study=study, out=out, **options)
        options["watch"]([KindProgress("train", 1, 1, 2, "train-b", 60.0, 120.0)])
        found = results.model_copy(update={"failures": calls["failures"]})
        return StudyRun(out, found, out / "report.html")

    monkeypatch.setattr(xmpress.study, "run_study", fake)
    calls["out"] = tmp_path
    return calls


def test_a_study_is_run_and_its_report_named(run, asked, tmp_path):
    outcome = run("study", "quick", "-o", tmp_path / "x", "--resume", "--set", "seeds=[3]")
    assert outcome.code == 0, outcome.err
    assert (asked["study"], asked["out"], asked["resume"]) == ("quick", tmp_path / "x", True)
    assert asked["overrides"] == ["seeds=[3]"]
    assert f"the report is {tmp_path / 'x' / 'report.html'}" in outcome.err
    assert "train-b" in outcome.err


def test_json_is_the_whole_of_the_results(run, asked, tmp_path):
    outcome = run("study", "quick", "-o", tmp_path / "x", "--json")
    assert outcome.json["name"] == "quick"


def test_failed_steps_are_listed_at_the_end_with_exit_code_1(run, asked, tmp_path):
    asked["failures"] = [Failure(step="train-a", error="the loss is nan")]
    outcome = run("study", "quick", "-o", tmp_path / "x")
    assert outcome.code == 1
    assert "1 steps of study 'quick' failed" in outcome.err
    assert "train-a: the loss is nan" in outcome.err


def test_a_study_that_does_not_exist(run, tmp_path):
    outcome = run("study", "qick", "-o", tmp_path / "x")
    assert outcome.code == 1
    assert (
        "neither a study file (.yaml) nor a study that ships (paper, public, quick)" in outcome.err
    )
    assert not Path(tmp_path / "x").exists()


def test_the_table_tells_what_is_left():
    console = Console(width=100)
    with console.capture() as caught:
        board = [
            KindProgress("train", 3, 1, 2, "train-b", 60.0, 120.0),
            KindProgress("speed", 0, 0, 1, None, None, None),
        ]
        console.print(progress_table(board))
    lines = [line.split() for line in caught.get().splitlines()]
    assert lines[1] == ["train", "3", "1", "2", "2", "min", "train-b"]
    assert lines[2] == ["speed", "0", "1", "?"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (100, "2 min"), (5400, "1 h 30 min"), (90000, "25 h 0 min")]
)
def test_times_for_people(seconds, text):
    assert time_text(seconds) == text
