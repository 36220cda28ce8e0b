"""Labelled feedback: readers and writers, data configs, splits, checks and statistics.

Torch-free. Arrow (arro3) underneath; a `Dataset` holds texts with their labels as arrays.
"""

from xmpress.data.config import Columns, DataConfig
from xmpress.data.dataset import SPLITS, UNDETERMINED, Dataset
from xmpress.data.loading import load_dataset
from xmpress.data.splits import assign_splits

__all__ = [
    "SPLITS",
    "UNDETERMINED",
    "Columns",
    "DataConfig",
    "Dataset",
    "assign_splits",
    "load_dataset",
]
