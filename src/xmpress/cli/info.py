"""``xmpress info``: what a model directory or a bundle is."""

from __future__ import annotations

import json as jsonlib
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from xmpress.cli.console import emit_json, out, size_text
from xmpress.cli.options import Json
from xmpress.errors import ModelError


def info(
    model: Annotated[
        str,
        typer.Argument(help="A model directory, a bundle, or a name of the zoo."),
    ] = "default",
    json: Json = False,
) -> None:
    """Show what a model predicts, how large it is, how good it was, and where it comes from.

    Example:
      xmpress info runs/student
    """
    from xmpress.zoo import resolve

    report = describe(resolve(model))
    if json:
        emit_json(report)
    else:
        _show(report)


def describe(path: Path) -> dict[str, Any]:
    """Everything `info` tells, as plain values, without loading the model.

    Raises:
        ModelError: if this is neither a model directory nor a bundle, or it is damaged.
    """
    if (path / "xmpress.json").is_file():
        return _bundle(path)
    if (path / "config.json").is_file():
        return _model_directory(path)
    raise ModelError(
        f"{path} is neither a model directory (config.json) nor a bundle (xmpress.json)"
    )


def _bundle(path: Path) -> dict[str, Any]:
    from xmpress.runtime.bundle import Bundle
    from xmpress.runtime.engines import engines_of

    bundle = Bundle.open(path)
    manifest = bundle.manifest.model_dump(mode="json")
    engines = sorted(engines_of(path))
    return {
        "kind": "bundle",
        "path": str(path),
        "bytes": bundle.size,
        "engines": engines,
        **{key: value for key, value in manifest.items() if key not in {"files", "pad_id"}},
    }


def _model_directory(path: Path) -> dict[str, Any]:
    config = _json(path / "config.json")
    if not config.get("tasks"):
        raise ModelError(
            f"{path} holds a '{config.get('model_type')}' encoder without task heads; "
            f"train it: xmpress train --encoder {path} ..."
        )
    encoder = config.get("encoder_config") or {}
    lock = path / "recipe.lock.yaml"
    return {
        "kind": "model directory",
        "path": str(path),
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "parameters": _parameters(path / "model.safetensors"),
        "tasks": config["tasks"],
        "calibration": config.get("calibration") or {},
        "languages": config.get("languages") or [],
        "max_length": config.get("max_length"),
        "pooling": config.get("pooling"),
        "encoder": _only(encoder, _ENCODER),
        "scorecard": validation_summary(path),
        "provenance": _yaml(lock) if lock.is_file() else {},
    }


_CHECKED = ("cpu", "instruction_sets", "rows", "agreement", "largest_difference")
_ORIGIN = ("encoder", "recipe", "recipe_hash", "hash", "seeds", "data")
_ENCODER = (
    "model_type",
    "num_hidden_layers",
    "n_layers",
    "hidden_size",
    "dim",
    "num_attention_heads",
    "n_heads",
    "intermediate_size",
    "hidden_dim",
    "vocab_size",
)


def validation_summary(path: Path) -> dict[str, Any] | None:
    """Macro-F1 per task on the validation rows, if the model was trained by xmpress."""
    file = path / "training.json"
    if not file.is_file():
        return None
    card = _json(file)["validation"]
    return {"split": "validation", **card["tasks"], "average": card["average"]}


def _parameters(weights: Path) -> int:
    """The number of weights, from the header of a safetensors file alone."""
    try:
        with weights.open("rb") as file:
            header = jsonlib.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise ModelError(
            f"{weights} is missing or damaged ({error}); copy or download it again"
        ) from error
    return sum(
        math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = jsonlib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return content


def _yaml(path: Path) -> dict[str, Any]:
    from xmpress.settings import read_yaml

    return read_yaml(path, what="lock file")


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from xmpress.cli.palette import label_text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("kind", report["kind"])
    table.add_row("path", report["path"])
    if "name" in report:
        table.add_row("model", f"{report['name']}, version {report['version']}")
    table.add_row("size", size_text(report["bytes"]))
    if "parameters" in report:
        table.add_row("parameters", f"{report['parameters']:,}")
    if "encoder" in report:
        table.add_row("encoder", _pairs(report["encoder"]))
    if "engines" in report:
        table.add_row("engines", ", ".join(report["engines"]))
    table.add_row("languages", ", ".join(report["languages"]) or "unknown")
    table.add_row("max length", f"{report['max_length']} tokens")
    if "engines" in report:
        table.add_row("quantization", _pairs(report["quantization"] or {}) or "none (fp32)")
        table.add_row("checked on", _pairs(_only(report["checked_on"], _CHECKED)) or "unknown")
        if report["cascade"]:
            table.add_row(
                "first stage", _pairs(_only(report["cascade"], ("certainty", "measured")))
            )
    for task in report["tasks"]:
        kind = task["kind"].replace("_", "-")
        table.add_row(
            task["name"],
            Text(f"{kind}: ", "dim").append_text(label_text(task["labels"])),
        )
        calibration = report["calibration"].get(task["name"])
        if calibration:
            table.add_row("", Text(_calibration(calibration), "dim"))
    if report["scorecard"]:
        table.add_row("quality", _pairs(report["scorecard"]))
    table.add_row("provenance", _pairs(_only(report["provenance"], _ORIGIN)) or "unknown")
    out.print(table)


def _calibration(calibration: dict[str, Any]) -> str:
    said = f"temperature {calibration.get('temperature', 1.0):.2f}"
    thresholds = calibration.get("thresholds")
    if thresholds:
        said += ", thresholds " + " ".join(f"{value:.2f}" for value in thresholds)
    return said


def _only(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if values.get(key)}


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return "(" + _pairs(value) + ")"
    if isinstance(value, list | tuple):
        return " ".join(_value(item) for item in value)
    text = str(value)
    return text[:12] if len(text) == 64 else text  # hashes
