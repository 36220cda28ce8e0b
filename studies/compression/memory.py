"""Memory of distilling from a teacher that was asked before, beside training the same student.

    python studies/compression/memory.py        # minutes; needs what run.py leaves

Each is a process of its own, five steps long. Prints the largest resident size of each as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from run import OUT

RECIPE = """
name: memory
student: {layers: 2, hidden: 192, heads: 12, ffn: 768, init: random}
passes: [distill: {steps: 5, batch_tokens: 2560, max_rows: 2000, evaluate_every: 1000}]
validation: {rows: 100, calibration_rows: 100}
evaluation: {max_rows: 100}
"""
STUDENT = {
    "model_type": "bert",
    "num_hidden_layers": 2,
    "hidden_size": 192,
    "num_attention_heads": 12,
    "intermediate_size": 768,
}


def peak(arguments: list[str]) -> float:
    """The largest resident size of `xmpress ARGUMENTS`, in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xmpress", *arguments, "--quiet"], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"xmpress {' '.join(arguments)} failed")
    return used.ru_maxrss / 1024


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=OUT, type=Path)
    out: Path = parser.parse_args().out
    data, teacher = str(out / "data.yaml"), str(out / "teacher")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        (place / "train.yaml").write_text(
            json.dumps(
                {
                    "encoder": STUDENT,
                    "tokenizer": teacher,
                    "max_length": 64,
                    "fit": {"steps": 5, "batch_tokens": 2560, "evaluate_every": 1000},
                    "validation": {"rows": 100, "calibration_rows": 100},
                }
            ),
            encoding="utf-8",
        )
        train = ["train", str(place / "train.yaml"), "--data", data, "-o", str(place / "trained")]
        distil = ["compress", str(place / "recipe.yaml"), "--model", teacher, "--data", data]
        distil += ["--cache", str(place / "cache")]
        print("| process | largest resident size, MB |\n| --- | ---: |")
        print(f"| train the student on labels | {peak(train):.0f} |")
        for name in ("the teacher is asked", "its answers are kept"):
            used = peak([*distil, "-o", str(place / name.split()[-1])])
            print(f"| distil it; {name} | {used:.0f} |")


if __name__ == "__main__":
    main()
