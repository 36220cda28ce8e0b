"""Quality by task and language: scorecards, tuning on validation data, and honest comparison.

Torch-free; everything is numpy on logits and labels.
"""

from xmpress.evaluation.comparison import Comparison, Degradation, compare
from xmpress.evaluation.consistency import Consistency, consistency_of, parallel_items
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
    "Consistency",
    "Degradation",
    "LabelledRows",
    "LabelledTexts",
    "Logits",
    "Predictor",
    "SchemeScore",
    "Scorecard",
    "calibrate",
    "compare",
    "consistency_of",
    "evaluate",
    "fit_temperature",
    "parallel_items",
    "score",
    "to_json",
    "to_markdown",
    "to_table",
    "tune_thresholds",
]
