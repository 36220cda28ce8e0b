"""How fast models are, side by side in one run."""

from xmpress.benchmark.throughput import Throughput, compare_throughput

__all__ = ["Throughput", "compare_throughput"]
