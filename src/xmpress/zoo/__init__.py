"""Models that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from xmpress.errors import ModelError
from xmpress.runtime.analyzer import Analyzer, AnalyzerOptions

DEFAULT = "default"
"""The model used where none is named."""

ZOO = Path(__file__).parent
"""Each directory here that holds a bundle or a model is named after itself."""


def names() -> list[str]:
    """The names of the models that ship with this installation."""
    return sorted(
        folder.name
        for folder in ZOO.iterdir()
        if (folder / "xmpress.json").is_file() or (folder / "config.json").is_file()
    )


def resolve(model: str | Path = DEFAULT) -> Path:
    """The directory of a model: of this name in the zoo, or else at this path.

    A directory named like a model of the zoo is meant by ``./name``.

    Raises:
        ModelError: if there is neither.
    """
    if str(model) in names():
        return ZOO / model
    path = Path(model)
    if path.is_dir() and str(model) != DEFAULT:
        return path
    shipped = ", ".join(names())
    raise ModelError(
        f"there is no model '{model}': no such directory, "
        + (f"and the zoo has only {shipped}. " if shipped else "and no model ships with xmpress. ")
        + "Make one: 'xmpress demo' trains a small one in minutes; 'xmpress train' and "
        "'xmpress export --to onnx' make one of your labels. Then name its directory (-m DIR)"
    )


def load(model: str | Path = DEFAULT, **options: Unpack[AnalyzerOptions]) -> Analyzer:
    """Open a bundle for analysis.

    Args:
        model: a name of the zoo, or a bundle's directory.
        **options: ``engine``, ``threads``, ``streams``, ``cache``, ``variant`` and ``cascade``, as
            `Analyzer` takes and explains them.

    Raises:
        ModelError: if there is no such model, or it is not a usable bundle.

    Example:
        >>> import xmpress
        >>> analyzer = xmpress.load("runs/student/bundle")  # doctest: +SKIP
    """
    return Analyzer(resolve(model), **options)
