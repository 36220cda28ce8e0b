"""Which optional dependencies are installed."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

from xmpress.errors import MissingExtraError

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)[^;]*;.*extra\s*==\s*['\"](?P<extra>\w+)['\"]")
NOT_FOR_USERS = {"all", "dev"}


@cache
def extras() -> dict[str, dict[str, str | None]]:
    """Per extra its distributions with their installed version, ``None`` where it is missing."""
    found: dict[str, dict[str, str | None]] = {}
    for requirement in _requirements():
        match = _REQUIREMENT.match(requirement)
        if match and match["extra"] not in NOT_FOR_USERS:
            found.setdefault(match["extra"], {})[match["name"]] = installed(match["name"])
    return found


def base() -> dict[str, str | None]:
    """The base install's distributions with their installed version."""
    names = [
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        for requirement in _requirements()
        if "extra ==" not in requirement
    ]
    return {name: installed(name) for name in names}


def _requirements() -> list[str]:
    try:
        return requires("xmpress") or []
    except PackageNotFoundError:  # run from the sources without being installed
        return []


def installed(distribution: str) -> str | None:
    """The installed version, if any."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def need(extra: str, purpose: str) -> None:
    """Check that an extra is installed.

    Raises:
        MissingExtraError: if any distribution of it is missing.
    """
    if None in extras().get(extra, {}).values():
        raise MissingExtraError(extra, purpose)
