"""Labelled feedback: readers and writers, data configs, splits, checks and statistics.

Torch-free. Arrow (arro3) underneath; a `Dataset` holds texts with their labels as arrays.
"""

from xmpress.data.checks import DataReport, Leak, check, find_duplicates, find_leakage
from xmpress.data.config import Columns, DataConfig
from xmpress.data.dataset import SPLITS, UNDETERMINED, Dataset
from xmpress.data.loading import choose_tasks, load_dataset, tasks_named_by
from xmpress.data.readers import Chunk, find_files, read_chunks, read_table
from xmpress.data.splits import assign_splits
from xmpress.data.writers import TableWriter

__all__ = [
    "SPLITS",
    "UNDETERMINED",
    "Chunk",
    "Columns",
    "DataConfig",
    "DataReport",
    "Dataset",
    "Leak",
    "TableWriter",
    "assign_splits",
    "check",
    "choose_tasks",
    "find_duplicates",
    "find_files",
    "find_leakage",
    "load_dataset",
    "read_chunks",
    "read_table",
    "tasks_named_by",
]
