"""Running the command line in this process."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from xmpress.cli import console
from xmpress.cli.app import main

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call ``xmpress`` with arguments; gives exit code and output."""
    monkeypatch.setenv("COLUMNS", "120")
    for side in (console.out, console.err):
        # Made while another COLUMNS may have held.
        monkeypatch.setattr(side, "_width", None)

    def call(*arguments: Any) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def fails(run: Run) -> Run:
    """The same for a command that must fail: with a message, nothing else, and no traceback."""

    def call(*arguments: Any, code: int = 1) -> Outcome:
        outcome = run(*arguments)
        assert outcome.code == code, outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.err.startswith("error: ")
        assert outcome.out == ""
        return outcome

    return call


@pytest.fixture
def feedback() -> Path:
    """The example: thirty comments in twelve languages."""
    return ROOT / "examples" / "feedback.csv"


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV file of the given columns and rows."""

    def write(name: str, header: str, *rows: list[str], encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.writer(file)
            writer.writerow(header.split(","))
            writer.writerows(rows)
        return path

    return write
