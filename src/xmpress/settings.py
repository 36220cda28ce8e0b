"""Reading settings: YAML files that may extend one another, and overrides from a command line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from xmpress.errors import ConfigError


def read_yaml(
    path: str | Path, *, what: str = "configuration", error: type[ConfigError] = ConfigError
) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file.
        what: what to call it in messages.
        error: raised, with the place and reason, if it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as reason:
        raise error(f"{what} {path} cannot be read: {reason.strerror}") from reason
    except UnicodeDecodeError as reason:
        raise error(f"{what} {path} is not UTF-8 text: {reason}") from reason
    return parse_yaml(text, where=f"{what} {path}", error=error)


def parse_yaml(text: str, *, where: str, error: type[ConfigError] = ConfigError) -> dict[str, Any]:
    """Read YAML text that holds a mapping; keys that are written twice are refused."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as reason:
        raise error(f"{where} is not valid YAML: {reason}") from reason
    if not isinstance(content, dict):
        raise error(f"{where} is not a mapping of keys to values")
    return content


def merge(base: Any, over: Any) -> Any:
    """``over`` on top of ``base``, mapping by mapping; anything else replaces."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(base[key], value) if key in base else value
    return merged


def parse_override(text: str, *, error: type[ConfigError] = ConfigError) -> tuple[list[str], Any]:
    """Split ``a.b=value`` into its keys and its value, which is YAML."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise error(f"'{text}' is not of the form key.key=value")
    try:
        return path.split("."), yaml.safe_load(value)
    except yaml.YAMLError as reason:
        raise error(f"the value of '{text}' is not valid YAML: {reason}") from reason


def override(content: dict[str, Any], text: str) -> dict[str, Any]:
    """The settings with ``a.b=value`` set.

    Example:
        >>> override({"fit": {"steps": 10}}, "fit.seed=3")
        {'fit': {'steps': 10, 'seed': 3}}
    """
    keys, value = parse_override(text)
    for key in reversed(keys):
        value = {key: value}
    merged: dict[str, Any] = merge(content, value)
    return merged


class _StrictLoader(yaml.SafeLoader):
    """YAML without the silent loss of keys that are written twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"key {twice[0]!r} is there twice"
            )
        return super().construct_mapping(node, deep=deep)
