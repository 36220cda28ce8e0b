"""What a start is worth: pretraining objectives at equal time, and none at all.

    T=runs/zoo/tokenizer
    xmpress pretrain --config studies/pretrain/mlm.yaml --tokenizer $T -o runs/pretrain/mlm
    (the same for rtd and tlm)
    python studies/zoo/starts.py > runs/zoo/starts.md

Every encoder is three layers of 384 over the same vocabulary and gets the same short training on
the labels of studies/zoo/data.yaml: random weights, the three objectives after equal time, and
zoo:small.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import report

from xmpress.evaluation import Scorecard, score
from xmpress.modeling import load_model
from xmpress.training import TrainConfig, train

RUNS = Path("runs/zoo/starts")
STEPS = 90
BERT = {
    "model_type": "bert",
    "num_hidden_layers": 3,
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
STARTS: dict[str, dict[str, Any]] = {
    "random weights": {
        "encoder": BERT,
        "tokenizer": "runs/zoo/tokenizer",
        "fit.learning_rate": 5e-4,
    },
    "masked tokens": {"encoder": "runs/pretrain/mlm"},
    "replaced tokens": {"encoder": "runs/pretrain/rtd"},
    "masked tokens of translations": {"encoder": "runs/pretrain/tlm"},
    "zoo:small": {"encoder": "zoo:small"},
}
write = sys.stdout.write


def trained(name: str) -> Path:
    """The model of a start, made where it is not there yet."""
    out = RUNS / name.replace(" ", "-").replace(":", "-").replace(",", "")
    if not out.is_dir():
        settings = dict(STARTS[name])
        rate = settings.pop("fit.learning_rate", 3e-4)
        fit = {
            "steps": STEPS,
            "batch_tokens": 2560,
            "learning_rate": rate,
            "evaluate_every": STEPS,
            "seed": 1,
        }
        validation = {"rows": 1500, "calibration_rows": 3000}
        config = TrainConfig.load(
            None,
            data="studies/zoo/data.yaml",
            max_length=64,
            fit=fit,
            validation=validation,
            **settings,
        )
        train(config, out, overwrite=True, quiet=True)
    return out


def scored(name: str) -> Scorecard:
    """The scorecard on the guide's test rows."""
    model = load_model(trained(name))
    rows = report.parts()["gold + sample"]
    found = model.logits(rows.texts, rows.contexts)
    return score(name, found, report.coarse(rows), model.calibration)


def main() -> None:
    RUNS.mkdir(parents=True, exist_ok=True)
    found = {name: scored(name) for name in STARTS}
    write(f"After {STEPS} steps on labels; gold + sample test, three levels where it has five:\n\n")
    report.table(found)


if __name__ == "__main__":
    main()
