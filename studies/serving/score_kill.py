"""Scores a lake undisturbed, killed at random and resumed, and on Ray; compares row for row.

    python studies/serving/score_kill.py BUNDLE -o runs/score-kill --rows 2000000 --kills 5

The lake is made of public texts (XMPRESS_DATA). Where Ray is installed elsewhere, `--ray-python`
names the Python that has it and this xmpress. Writes report.md to the output folder; what is there
already of the lake and of runs that are whole is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from processes import Sample, Watch, growth
from survey import write_survey

from xmpress.machine import this_machine

SHARES = (0.1, 0.25, 0.5, 0.75, 0.95)
"""Of a run's time, at which its memory is told."""


@dataclass
class Run:
    """What one way of scoring came to.

    Attributes:
        name: which way.
        seconds: of all its processes, one after the other.
        rows: of the inputs.
        samples: memory over time, of the process that lasted longest.
        killed_at: parts that were whole when it was killed.
        summary: what the command says of the whole.
    """

    name: str
    seconds: float = 0.0
    rows: int = 0
    samples: list[Sample] = field(default_factory=list)
    killed_at: list[int] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


class Scoring:
    """Runs the command again and again with the same inputs and settings."""

    def __init__(self, options: argparse.Namespace, lake: Path, out: Path) -> None:
        self._options = options
        self._lake = lake
        self._out = out

    def command(self, name: str, *more: str, python: str = sys.executable) -> list[str]:
        options = self._options
        return [
            python, "-m", "xmpress", "score", str(self._lake), "-o", str(self._out / name),
            "-m", options.bundle, "--engine", options.engine, "--probabilities",
            "--rows-per-part", str(options.rows_per_part), "--json", *more,
        ]  # fmt: skip

    def parts(self, name: str) -> int:
        return len(list((self._out / name / "parts").glob("part-*")))

    def rows(self, name: str) -> int:
        """About how many are done."""
        return self._options.rows_per_part * self.parts(name)

    def whole(self, name: str) -> Run | None:
        """What was done before, if it was done to the end."""
        noted = self._out / f"{name}.json"
        if not noted.is_file():
            return None
        run = Run(**json.loads(noted.read_text()))
        run.samples = [Sample(*sample) for sample in run.samples]
        return run

    def run(self, name: str, command: list[str], kill_at: Sequence[int] = ()) -> Run:
        """Run the command; kill it when so many parts are whole, and resume."""
        if (before := self.whole(name)) is not None:
            return before
        run = Run(name)
        draw = random.Random(self._options.seed)
        for limit in [*kill_at, None]:
            started = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            with Watch(process.pid, progress=lambda: float(self.rows(name))) as watch:
                if limit is not None:
                    self._kill(process, name, limit, draw.random())
                    run.killed_at.append(self.parts(name))
                    process.communicate()
                else:
                    said, _ = process.communicate()
            run.seconds += time.monotonic() - started
            if len(watch.samples) > len(run.samples):
                run.samples = watch.samples
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}")
        run.summary = json.loads(said)
        run.rows = run.summary["totals"]["rows"]
        (self._out / f"{name}.json").write_text(json.dumps(asdict(run)))
        return run

    def _kill(self, process: subprocess.Popen[bytes], name: str, limit: int, wait: float) -> None:
        """Not between two parts, where it would be least harmful."""
        while self.parts(name) < limit:
            if process.poll() is not None:
                raise SystemExit(f"{name}: the run ended before it could be killed")
            time.sleep(0.002)
        time.sleep(wait * self._options.kill_spread)
        process.send_signal(signal.SIGKILL)


@dataclass
class Comparison:
    """How two outputs differ.

    Attributes:
        parts: compared.
        same_bytes: of them those whose files are equal.
        rows: compared.
        different: rows that are not equal, at their place.
        rejected_equal: whether the same rows were rejected for the same reasons.
        labels_equal: whether the counts of labels are equal.
    """

    parts: int = 0
    same_bytes: int = 0
    rows: int = 0
    different: int = 0
    rejected_equal: bool = False
    labels_equal: bool = False

    @property
    def equal(self) -> bool:
        return self.different == 0 and self.rejected_equal and self.labels_equal


def parts_of(out: Path) -> list[Path]:
    """In the order of the rows."""
    return sorted((out / "parts").glob("part-*"))


def compare(one: Path, other: Path) -> Comparison:
    """Compare two outputs row for row, in their order."""
    found = Comparison()
    ours, theirs = parts_of(one), parts_of(other)
    for mine, yours in zip(ours, theirs, strict=False):
        found.parts += 1
        found.same_bytes += mine.read_bytes() == yours.read_bytes()
        left, right = pl.read_parquet(mine), pl.read_parquet(yours)
        found.rows += len(left)
        found.different += different_rows(left, right)
    for extra in [*ours[len(theirs) :], *theirs[len(ours) :]]:
        found.different += len(pl.read_parquet(extra))
    found.rejected_equal = _read(one / "rejected.jsonl") == _read(other / "rejected.jsonl")
    counts = [json.loads((out / "manifest.json").read_text()) for out in (one, other)]
    found.labels_equal = all(counts[0][k] == counts[1][k] for k in ("labels", "totals"))
    return found


def different_rows(left: pl.DataFrame, right: pl.DataFrame) -> int:
    """Rows that are not equal at their place; all, if the columns differ."""
    if left.schema != right.schema:
        return max(len(left), len(right))
    both = min(len(left), len(right))
    unequal = abs(len(left) - len(right))
    if both:
        pairs = zip(left.head(both).iter_columns(), right.head(both).iter_columns(), strict=True)
        same = pl.DataFrame(
            [mine.eq_missing(yours).alias(mine.name) for mine, yours in pairs]
        ).select(pl.all_horizontal(pl.all()).alias("same"))
        unequal += both - int(same["same"].sum())
    return unequal


def out_of_place(out: Path, rows: int) -> int:
    """Rows of the lake, numbered from 1, that are not where they belong in the output."""
    parts = [pl.read_parquet(part, columns=["id"])["id"] for part in parts_of(out)]
    ids = pl.concat(parts).to_numpy()
    wanted = np.arange(1, rows + 1)
    both = min(len(ids), rows)
    return int((ids[:both] != wanted[:both]).sum()) + abs(len(ids) - rows)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _memory(run: Run) -> str:
    if not run.samples:
        return "-"
    last = len(run.samples) - 1
    return ", ".join(f"{run.samples[int(share * last)].megabytes:.0f}" for share in SHARES)


def report(
    options: argparse.Namespace,
    lake: dict[str, int],
    runs: list[Run],
    comparisons: dict[str, Comparison],
    misplaced: int,
    commands: list[list[str]],
) -> str:
    """The page."""
    machine = this_machine()
    lines = [
        "# Scoring a lake: killed, resumed, on Ray", "",
        f"    {shlex.join(['python', *sys.argv])}", "",
        f"{machine.cpu} ({', '.join(machine.instruction_sets)}), {options.threads} threads, "
        f"{machine.system}; seed {options.seed}. Bundle {options.bundle}, engine {options.engine}.",
        "",
        f"The lake: {lake['rows']:,} rows drawn by a Zipf-like weight from short public texts, "
        f"{lake['distinct']:,} of them distinct, {lake['bad texts']:,} blank, null, of control "
        f"characters or far too long; {lake['broken lines']:,} broken lines beside them.", "",
        *(f"    {shlex.join(command)}" for command in commands), "",
        "| run | minutes | rows/s | peak MB | MB at " + ", ".join(f"{s:.0%}" for s in SHARES)
        + " | MB per million rows, second half | killed after parts |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for run in runs:
        peak = max((sample.megabytes for sample in run.samples), default=0.0)
        lines.append(
            f"| {run.name} | {run.seconds / 60:.1f} | {run.rows / run.seconds:,.0f} | {peak:.0f} "
            f"| {_memory(run)} | {1e6 * growth(run.samples):+.1f} "
            f"| {', '.join(map(str, run.killed_at)) or '-'} |"
        )
    totals = runs[0].summary["totals"]
    lines += [
        "",
        "Memory is that of the process and all below it, of the longest stretch where it was "
        "killed; pages that Ray's processes share count for each.", "",
        f"{totals['rows']:,} rows and broken lines: {totals['scored']:,} scored, "
        f"{totals['blank']:,} of them blank; {totals['rejected']:,} rejected. Rows of the lake "
        f"that are missing, twice or out of place: {misplaced:,}.", "",
        "| compared with undisturbed | parts | equal to the byte | rows | rows that differ "
        "| rejected rows equal | counts equal | passed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [
        f"| {name} | {c.parts:,} | {c.same_bytes:,} | {c.rows:,} | {c.different:,} "
        f"| {c.rejected_equal} | {c.labels_equal} | {'yes' if c.equal else 'NO'} |"
        for name, c in comparisons.items()
    ]
    return "\n".join(lines) + "\n"


def kill_points(parts: int, kills: int, seed: int) -> list[int]:
    """After how many parts to kill: distinct, at random, in order."""
    return sorted(random.Random(seed).sample(range(1, max(parts, kills + 2)), kills))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rows-per-part", type=int, default=16_384)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--kill-spread", type=float, default=2.0, help="seconds after a part")
    parser.add_argument("--threads", type=int, default=this_machine().threads)
    parser.add_argument("--ray-threads", type=int, default=1, help="CPUs of an actor")
    parser.add_argument("--ray-python", default=sys.executable, help="that has Ray; '' for none")
    parser.add_argument("--engine", default="onnx", help="that all of them have")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = Path(os.environ.get("XMPRESS_DATA", "../shared/data"))
    lake, noted = options.out / "lake", options.out / "lake.json"
    if noted.is_file():
        about = json.loads(noted.read_text())
        if about["rows"] != options.rows:
            raise SystemExit(f"{lake} has {about['rows']:,} rows; name another folder")
    else:
        about = write_survey(lake, data, options.rows, options.seed)
        noted.write_text(json.dumps(about))
    scoring = Scoring(options, lake, options.out)
    threads = ["--threads", str(options.threads)]
    undisturbed = scoring.command("undisturbed", *threads)
    resumed = scoring.command("killed", *threads, "--resume")
    commands = [undisturbed, resumed]
    runs = [scoring.run("undisturbed", undisturbed)]
    # No run can be killed after its last part: it might be over.
    points = kill_points(runs[0].summary["parts"] - 1, options.kills, options.seed)
    runs.append(scoring.run("killed", resumed, points))
    if options.ray_python:
        on_ray = scoring.command(
            "ray", "--ray", "local", "--threads", str(options.ray_threads),
            python=options.ray_python,
        )  # fmt: skip
        commands.append(on_ray)
        runs.append(scoring.run("ray", on_ray))
    first = options.out / "undisturbed"
    comparisons = {run.name: compare(first, options.out / run.name) for run in runs[1:]}
    misplaced = out_of_place(first, options.rows)
    page = report(options, about, runs, comparisons, misplaced, commands)
    (options.out / "report.md").write_text(page)
    sys.stdout.write(page)
    whole = (
        runs[0].summary["totals"]["rejected"] == about["broken lines"]
        and not misplaced
        and all(c.equal for c in comparisons.values())
    )
    raise SystemExit(0 if whole else 1)


if __name__ == "__main__":
    main()
