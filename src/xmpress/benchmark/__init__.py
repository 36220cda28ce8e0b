"""How fast models are, side by side in one run, what memory they take and what they cost."""

from xmpress.benchmark.candidates import PEERS, Candidate
from xmpress.benchmark.report import Report
from xmpress.benchmark.run import POLICIES, Settings, benchmark
from xmpress.benchmark.throughput import Throughput, compare_throughput
from xmpress.benchmark.workload import Lengths, Workload, texts_of, texts_of_lengths

__all__ = [
    "PEERS",
    "POLICIES",
    "Candidate",
    "Lengths",
    "Report",
    "Settings",
    "Throughput",
    "Workload",
    "benchmark",
    "compare_throughput",
    "texts_of",
    "texts_of_lengths",
]
