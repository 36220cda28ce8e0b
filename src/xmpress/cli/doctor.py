"""``xmpress doctor``: what this installation can do, and what it lacks."""

from __future__ import annotations

import platform
import sys
from typing import Any

from xmpress import __version__
from xmpress.cli import extras
from xmpress.cli.console import emit_json, out, size_text
from xmpress.cli.options import Json

_PURPOSE = {
    "train": "train, compress, evaluate model directories, export",
    "openvino": "the OpenVINO engine",
    "serve": "the HTTP server",
    "otel": "traces of the HTTP server",
    "ray": "scoring on a cluster",
    "tensorboard": "event files of trainings",
    "hub": "data sets of the Hugging Face hub (hf:owner/name)",
}


def doctor(json: Json = False) -> None:
    """Show what this machine and installation can do, and how to get what is missing.

    Example:
      xmpress doctor
    """
    report = examine()
    if json:
        emit_json(report)
    else:
        _show(report)


def examine() -> dict[str, Any]:
    """Everything `doctor` tells, as plain values."""
    from xmpress import zoo
    from xmpress.machine import this_machine
    from xmpress.runtime.engines import ENGINES

    machine = this_machine()
    advice = []
    found = extras.extras()
    for name, distributions in found.items():
        missing = [dist for dist, version in distributions.items() if version is None]
        if missing:
            advice.append(
                f"pip install 'xmpress[{name}]' for {_PURPOSE.get(name, name)} "
                f"(missing: {', '.join(missing)})"
            )
    models = zoo.names()
    if zoo.DEFAULT not in models:
        advice.append(
            "no model ships with this version: 'xmpress demo' trains a small one in minutes"
        )
    if machine.architecture in {"x86_64", "AMD64"} and not machine.int8_dot_product:
        advice.append(
            "this processor has no VNNI instructions: int8 bundles gain less speed here, "
            "and are safe only if they were quantized with a reduced range (ours are)"
        )
    return {
        "xmpress": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": machine.to_dict(),
        "base": extras.base(),
        "extras": found,
        "engines": {name: _importable(kind.module) for name, kind in ENGINES.items()},
        "zoo": models,
        "advice": advice,
    }


def _importable(module: str) -> bool:
    from importlib import import_module

    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from xmpress.machine import Machine

    machine = Machine(**report["machine"])
    memory = size_text(machine.memory) if machine.memory else "memory unknown"
    sets = ", ".join(machine.instruction_sets) or "no known instruction set"
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("xmpress", report["xmpress"])
    table.add_row("python", f"{report['python']}  {report['executable']}")
    table.add_row("system", f"{machine.system}, {machine.architecture}")
    table.add_row("processor", f"{machine.cpu}, {machine.threads} threads, {memory}")
    table.add_row("int8", sets)
    table.add_row("base", _versions(report["base"]))
    for name, distributions in report["extras"].items():
        complete = None not in distributions.values()
        mark = Text("yes  ", "green") if complete else Text("no  ", "yellow")
        table.add_row(f"[{name}]".replace("[", r"\["), mark.append_text(_versions(distributions)))
    engines = [name for name, there in report["engines"].items() if there]
    table.add_row("engines", ", ".join(engines) or Text("none", "red"))
    table.add_row("zoo", ", ".join(report["zoo"]) or Text("empty", "yellow"))
    out.print(table)
    if report["advice"]:
        out.print()
        for line in report["advice"]:
            out.print(Text.assemble(("• ", "yellow"), line))


def _versions(distributions: dict[str, str | None]) -> Any:
    from rich.text import Text

    return Text(", ").join(
        Text(f"{name} {version}") if version else Text(f"{name} missing", "yellow")
        for name, version in distributions.items()
    )
