"""Quality by task and language: scorecards, tuning on validation data, and honest comparison.

Torch-free; everything is numpy on logits and labels.
"""

from xmpress.evaluation.comparison import Comparison, Degradation, compare
from xmpress.evaluation.protocols import (
    Calibrations,
    LabelledRows,
    LabelledTexts,
    Logits,
    Predictor,
)
from xmpress.evaluation.render import to_json, to_markdown, to_table
from xmpress.evaluation.scorecard import MIN_ROWS, Cell, SchemeScore, Scorecard, evaluate, score
from xmpress.evaluation.tuning import calibrate, fit_temperature, tune_thresholds

__all__ = [
    "MIN_ROWS",
    "Calibrations",
    "Cell",
    "Comparison",
    "Degradation",
    "LabelledRows",
    "LabelledTexts",
    "Logits",
    "Predictor",
    "SchemeScore",
    "Scorecard",
    "calibrate",
    "compare",
    "evaluate",
    "fit_temperature",
    "score",
    "to_json",
    "to_markdown",
    "to_table",
    "tune_thresholds",
]
