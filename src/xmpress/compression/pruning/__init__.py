"""Structured pruning: units that matter little are removed, and the rest is trained."""

from xmpress.compression.pruning.prune import Prune, PruneParams

__all__ = ["Prune", "PruneParams"]
