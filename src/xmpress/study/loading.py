"""Reading study files.

A study is YAML. The studies that ship are read by name (``quick``), yours by path. Paths in it are
relative to the working directory; what is not there is looked for beside the study file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xmpress.compression.recipe import YAML_SUFFIXES
from xmpress.errors import ConfigError, Problem
from xmpress.resources import shipped
from xmpress.settings import override, read_yaml
from xmpress.study.config import StudyConfig
from xmpress.validation import problems_of


def load_study(source: str | Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study file, or one that ships by its name.

    Args:
        source: a path ending in .yaml or .yml, or a name such as ``quick``.
        overrides: ``a.b=value`` each, the value in YAML.

    Raises:
        ConfigError: listing everything wrong, by path within the file.
    """
    path = _locate(source)
    content = read_yaml(path, what="study")
    for text in overrides:
        content = override(content, text)
    problems: list[Problem] = []
    study: StudyConfig | None = None
    try:
        study = StudyConfig.model_validate(_beside(content, path.parent))
    except ValidationError as error:
        problems = problems_of(error, StudyConfig)
    if study is not None:
        problems = study.problems()
    if study is None or problems:
        raise ConfigError(f"study {source} cannot be used", problems)
    return study


def packaged_studies() -> dict[str, Path]:
    """The studies that ship, by name."""
    return {path.stem: path for path in sorted(shipped("studies").glob("*.yaml"))}


def _locate(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix.lower() in YAML_SUFFIXES:
        return path
    known = packaged_studies()
    if str(source) not in known:
        raise ConfigError(
            f"'{source}' is neither a study file (.yaml) nor a study that ships "
            f"({', '.join(known)})"
        )
    return known[str(source)]


def _beside(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with paths that are not there taken from beside the study file."""

    def located(value: Any) -> Any:
        looks_like_a_path = isinstance(value, str) and ("/" in value or Path(value).suffix)
        if looks_like_a_path and not Path(value).exists() and (folder / value).exists():
            return str(folder / value)
        return value

    def within(section: Any, *keys: str) -> Any:
        if not isinstance(section, dict):
            return section
        return {key: located(v) if key in keys else v for key, v in section.items()}

    found: dict[str, Any] = within(content, "data", "tasks")
    found["training"] = within(found.get("training", {}), "tokenizer")
    for name, *keys in (("evaluation", "parallel"), ("speed", "texts"), ("cost", "prices")):
        if name in found:
            found[name] = within(found[name], *keys)
    for name, key in (("encoders", "encoder"), ("recipes", "recipe")):
        if isinstance(found.get(name), dict):
            found[name] = {k: within(located(v), key) for k, v in found[name].items()}
    return found
