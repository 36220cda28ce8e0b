"""All attacks, by name."""

from __future__ import annotations

from collections.abc import Callable

from bench import Bench, Row, table
from disturbances import hot_reload, kill_workers, terminate
from malice import deep_json, invalid_utf8, keys, large_bodies, traversal
from slow import half_open, slow_bodies, slow_heads, slow_readers

__all__ = ["ATTACKS", "Bench", "table"]

ATTACKS: dict[str, Callable[[Bench], Row]] = {
    "kill": kill_workers,
    "reload": hot_reload,
    "term": terminate,
    "slow-heads": slow_heads,
    "slow-bodies": slow_bodies,
    "slow-readers": slow_readers,
    "half-open": half_open,
    "large-bodies": large_bodies,
    "deep-json": deep_json,
    "utf-8": invalid_utf8,
    "traversal": traversal,
    "keys": keys,
}
