"""``xmpress compress``."""

from __future__ import annotations


def compress() -> None:
    """Compress."""
