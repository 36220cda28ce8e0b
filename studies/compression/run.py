"""Every recipe that ships, from one teacher, at sizes that can be compared.

    python studies/compression/run.py                  # all, about an hour on one core
    python studies/compression/run.py minilm-l6 --scale 2

Each run is ``xmpress compress RECIPE --set ...`` in a process of its own, whose log lies beside its
folder in runs/compression. A run that was killed goes on where it stood, one that is done is told
in seconds, one that fails does not stop the rest. The teacher's scores are computed once for all.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rows import prepare

from xmpress.compression import load_recipe

OUT = Path("runs/compression")
WIDE = "student={layers: 3, hidden: 384, heads: 12, ffn: 1536, init: teacher-embedding}"
SHIPPED = "runs/zoo/default/model"
"""Better than the teacher of this study, for it has learned from more labels."""
NARROW = "student={layers: 3, hidden: 192, heads: 12, ffn: 768, init: teacher-embedding}"


@dataclass(frozen=True)
class Run:
    """One recipe at one size.

    Attributes:
        name: of its folder.
        recipe: one that ships.
        sets: what differs from it.
        model: the run whose model it starts from, or a directory; the teacher if left out.
        steps: optimizer steps by path within the recipe, for a scale of 1.
        size: what the student is, in words.
    """

    name: str
    recipe: str
    size: str
    sets: tuple[str, ...] = ()
    model: str | None = None
    steps: tuple[tuple[str, int], ...] = ()


RUNS = (
    Run("int8-only", "int8-only", "6 x 384"),
    Run("trim-only", "trim-only", "6 x 384"),
    Run("trim-int8", "int8-only", "6 x 384", model="trim-only"),
    Run(
        "distill-int8",
        "distill-int8",
        "3 x 384, layers copied",
        ("student={layers: 3}", "passes.0.learning_rate=3.0e-4"),
        steps=(("passes.0", 160),),
    ),
    Run(
        "fast",
        "studies/compression/fast.yaml",
        "2 x 384, layers copied; half of the FFN pruned; trimmed",
        steps=(("passes.1", 60), ("passes.2", 140), ("passes.3.recover", 50)),
    ),
    Run(
        "minilm-l6",
        "minilm-l6",
        "3 x 192",
        (NARROW, "passes.0.learning_rate=1.0e-3", "passes.1.learning_rate=5.0e-4"),
        steps=(("passes.0", 120), ("passes.1", 200)),
    ),
    Run(
        "structured-pruning",
        "structured-pruning",
        "6 x 384, half of heads and FFN pruned",
        ("passes.prune.schedule={steps: 2}", "passes.prune.rows=1024"),
        steps=(("passes.0.recover", 60),),
    ),
    Run(
        "minilm-l6-384",
        "minilm-l6",
        "3 x 384",
        (WIDE, "passes.0.learning_rate=1.0e-3", "passes.1.learning_rate=5.0e-4"),
        steps=(("passes.0", 70), ("passes.1", 100)),
    ),
    Run(
        "distilmbert",
        "distilmbert",
        "3 x 384, layers copied",
        ("student.layers=3", "passes.0.learning_rate=2.0e-4", "passes.1.learning_rate=3.0e-4"),
        steps=(("passes.0", 40), ("passes.1", 90)),
    ),
    Run(
        "xtremedistil",
        "xtremedistil",
        "3 x 192",
        (
            NARROW,
            "passes.0.learning_rate=1.0e-3",
            "passes.2.freeze=[embedding, {layers: 1}]",
            "passes.2.learning_rate=5.0e-4",
            "passes.3.learning_rate=5.0e-4",
        ),
        steps=(("passes.0", 120), ("passes.1", 25), ("passes.2", 35), ("passes.3", 140)),
    ),
    Run(
        "smallest",
        "smallest",
        "2 x 192, rank 96; heads and FFN pruned; trimmed",
        (
            "student={layers: 2, hidden: 192, heads: 12, ffn: 768, init: teacher-embedding}",
            "passes.1.learning_rate=1.0e-3",
            "passes.2.rank=96",
            "passes.3.learning_rate=5.0e-4",
        ),
        steps=(("passes.1", 120), ("passes.3", 180), ("passes.4.recover", 60), ("passes.5", 40)),
    ),
    Run(
        "minilm-l12",
        "minilm-l12",
        "6 x 192",
        (
            NARROW.replace("layers: 3", "layers: 6"),
            "passes.0.learning_rate=1.0e-3",
            "passes.1.learning_rate=5.0e-4",
        ),
        steps=(("passes.0", 90), ("passes.1", 150)),
    ),
    Run(
        "two-layers",
        "studies/compression/two-layers.yaml",
        "2 x 384 of the model that ships; a quarter of the FFN",
        model=SHIPPED,
        steps=(("passes.0", 600),),
    ),
    Run(
        "one-layer",
        "studies/compression/one-layer.yaml",
        "1 x 384 of the model that ships; a quarter of the FFN",
        model=SHIPPED,
        steps=(("passes.0", 600),),
    ),
)
"""The most informative first."""

SHARED = {
    "distill": (
        "batch_tokens=2560",
        "epochs=null",
        "evaluate_every=1000000",
        "checkpoint_every=40",
    ),
    "quantization_aware": (
        "batch_tokens=2560",
        "epochs=null",
        "evaluate_every=1000000",
        "checkpoint_every=40",
    ),
    "prune": ("rows=1024", "fallback=null"),
    "quantize": ("checked_rows=1500", "fallback=null"),
}
"""What every pass of a kind is told: batches of one size, one validation, and no gentler setting,
for a guard that the distillation broke would change what is measured."""


def overrides(run: Run, scale: float) -> list[str]:
    """All that differs from the recipe as it ships."""
    kinds = {spec.name for spec in load_recipe(run.recipe, check=False).passes}
    found = [f"passes.{kind}.{what}" for kind in SHARED if kind in kinds for what in SHARED[kind]]
    found += run.sets
    for place, steps in run.steps:
        number = max(1, round(steps * scale))
        if place.endswith(".recover"):
            found.append(f"{place}={{steps: {number}, learning_rate: 1.0e-4, batch_tokens: 2560}}")
        else:
            found.append(f"{place}.steps={number}")
    return [
        *found,
        "guard.disagreement=1.0",
        "guard.on_violation=report",
        "evaluation.max_rows=3000",
    ]


def start(run: Run, out: Path) -> Path:
    """The model directory that a run begins with."""
    if run.model is None:
        return out / "teacher"
    return Path(run.model) if "/" in run.model else out / run.model / "model"


def command(run: Run, out: Path, scale: float) -> list[str]:
    """What makes a run."""
    found = [sys.executable, "-m", "xmpress", "compress", run.recipe, "--quiet"]
    found += [
        "--model",
        str(start(run, out)),
        "--data",
        str(out / "data.yaml"),
        "--cache",
        str(out / "cache"),
    ]
    found += ["-o", str(out / run.name)]
    return found + [part for text in overrides(run, scale) for part in ("--set", text)]


def processor_seconds() -> float:
    """Of all processes started here that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(run.name for run in RUNS))
    parser.add_argument("--out", default=OUT, type=Path)
    parser.add_argument("--data", default="studies/data/zoo.yaml")
    parser.add_argument("--teacher", default=Path("runs/zoo/teacher"), type=Path)
    parser.add_argument("--scale", default=1.0, type=float, help="of all numbers of steps")
    parser.add_argument("--rows", default=1.0, type=float, help="scale of the numbers of rows")
    options = parser.parse_args()
    unknown = set(options.names) - {run.name for run in RUNS}
    if unknown:
        parser.error(f"there is no run {', '.join(sorted(unknown))}")
    began = time.monotonic()
    prepare(options.out, options.data, options.teacher, options.rows)
    (options.out / "cache").mkdir(exist_ok=True)
    failed = []
    for run in RUNS:
        if options.names and run.name not in options.names:
            continue
        started, used = time.monotonic(), processor_seconds()
        line = command(run, options.out, options.scale)
        with (options.out / f"{run.name}.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(line)}\n")
            log.flush()
            code = subprocess.run(line, stdout=log, stderr=log, check=False).returncode
        failed += [run.name] if code else []
        print(
            f"{run.name}: {'done' if not code else f'failed, see {log.name}'}, "
            f"{(time.monotonic() - started) / 60:.1f} min "
            f"({(processor_seconds() - used) / 60:.1f} of the processor), "
            f"{(time.monotonic() - began) / 60:.1f} in all",
            flush=True,
        )
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
