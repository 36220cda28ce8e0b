"""Runs over small files, and what they leave."""

import json
from pathlib import Path
from typing import Any

import pytest

from xmpress.scoring import Report, ScoreSettings, score

TASKS = ["sentiment", "emotion", "intensity", "effort", "actionability"]


@pytest.fixture
def lines(tmp_path: Path):
    """Write a JSONL file of objects; what is no object is written as it is."""

    def write(name: str, *rows: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for row in rows:
                file.write(row if isinstance(row, bytes) else json.dumps(row).encode())
                file.write(b"\n")
        return path

    return write


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path):
    """Score into ``out`` with the tiny bundle, on one thread."""

    def call(*inputs: Path, out: str = "out", resume: bool = False, **settings: Any) -> Report:
        return score(
            inputs,
            tmp_path / out,
            model=tiny_bundle,
            settings=ScoreSettings(**settings),
            resume=resume,
            threads=1,
        )

    return call


@pytest.fixture
def left(tmp_path: Path):
    """The files of an output folder with their content; of the manifest all but the times."""

    def read(out: str = "out") -> dict[str, Any]:
        folder = tmp_path / out
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        manifest = json.loads(files.pop("manifest.json"))
        for time in ("started", "finished"):
            manifest.pop(time)
        return {**files, "manifest.json": manifest}

    return read
