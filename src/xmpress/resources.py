"""Files that ship with the package and lie at the root of its repository."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """A folder such as ``recipes`` or ``studies``, in an installed package as in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parents[1] / name
