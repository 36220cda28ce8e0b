"""``xmpress doctor``: what this installation can do, and what it lacks."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from xmpress import __version__
from xmpress.cli import extras
from xmpress.cli.console import emit_json, out, size_text
from xmpress.cli.options import Json, Threads

_PURPOSE = {
    "train": "train, compress, evaluate model directories, export",
    "openvino": "the OpenVINO engine",
    "serve": "the HTTP server",
    "otel": "traces of the HTTP server",
    "ray": "scoring on a cluster",
    "benchmark": "plots of benchmarks",
    "report": "a study's report without what runs a study",
    "tensorboard": "event files of trainings",
    "hub": "data sets of the Hugging Face hub (hf:owner/name)",
}


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="MODEL",
            help="Also measure which engine runs this bundle fastest here, and remember it.",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show what this machine and installation can do, and how to get what is missing.

    Examples:
      xmpress doctor
      xmpress doctor -m runs/student-bundle
    """
    from xmpress.zoo import resolve

    report = examine()
    if model is not None:
        report["speed"] = measure(resolve(model), threads)
    if json:
        emit_json(report)
    else:
        _show(report)


def measure(bundle: Path, threads: int | None) -> dict[str, Any]:
    """How fast each engine that is installed runs a bundle, and which one is taken."""
    from xmpress.errors import EngineError
    from xmpress.runtime.bundle import Bundle
    from xmpress.runtime.engines import default_threads, engines_of, is_installed
    from xmpress.runtime.engines.selection import SHAPES, measure_engines

    Bundle.open(bundle)
    threads = threads or default_threads()
    usable = [engine for engine in engines_of(bundle) if is_installed(engine)]
    if not usable:
        raise EngineError(f"no engine is installed that bundle {bundle} has a graph for")
    found = measure_engines(bundle, usable, threads=threads, streams=threads, anew=True)
    rows = sum(rows for rows, _ in SHAPES)
    return {
        "bundle": str(bundle),
        "threads": threads,
        "texts_per_second": {
            engine: threads * rows / seconds for engine, seconds in found.seconds.items()
        },
        "failed": found.failed,
        "taken": found.fastest,
        "not_installed": [engine for engine in engines_of(bundle) if engine not in usable],
    }


def examine() -> dict[str, Any]:
    """Everything `doctor` tells, as plain values."""
    from xmpress import zoo
    from xmpress.machine import this_machine
    from xmpress.runtime.engines import ENGINES, is_installed

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
        "engines": {name: is_installed(name) for name in ENGINES},
        "zoo": models,
        "advice": advice,
    }


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
    if "speed" in report:
        out.print()
        out.print(_speed_table(report["speed"]))
    if report["advice"]:
        out.print()
        for line in report["advice"]:
            out.print(Text.assemble(("• ", "yellow"), line))


def _speed_table(speed: dict[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("engine")
    table.add_column("texts/s", justify="right")
    table.add_column(Text(f"{speed['bundle']}, {speed['threads']} threads, tokenisation left out"))
    for engine, value in sorted(speed["texts_per_second"].items(), key=lambda item: -item[1]):
        taken = Text("taken", "green") if engine == speed["taken"] else Text()
        table.add_row(engine, f"{value:,.0f}", taken)
    for engine, why in speed["failed"].items():
        table.add_row(engine, "-", Text(why, "yellow"))
    for engine in speed["not_installed"]:
        table.add_row(engine, "-", Text("not installed", "yellow"))
    return table


def _versions(distributions: dict[str, str | None]) -> Any:
    from rich.text import Text

    return Text(", ").join(
        Text(f"{name} {version}") if version else Text(f"{name} missing", "yellow")
        for name, version in distributions.items()
    )
