"""``xmpress benchmark``: how fast models are, beside baselines and other ways to run them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmpress.cli.console import emit_json, out, say, warn
from xmpress.cli.extras import need
from xmpress.cli.options import Json, Overwrite, Threads
from xmpress.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from xmpress.benchmark import Report, Workload
    from xmpress.benchmark.render import Grid
    from xmpress.peers.collect import Subject

REPORT = "report"
"""Name of the files of a report, before their suffix."""


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Bundles, model directories or names of the zoo; the first is the student whose "
            "cost is told.",
            show_default=False,
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Compare with this encoder, as people run it and in our batches: "
            "xlm-roberta-base, bert-base-multilingual-cased, distilbert-base-multilingual-cased, "
            "microsoft/Multilingual-MiniLM-L12-H384, minilm-l6-h384. May be repeated.",
            show_default=False,
        ),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="NAME",
            help="Run the models in this way too: transformers, optimum, onnxruntime, openvino, "
            "ctranslate2, infinity; four of them also as NAME-bucketed; or all. May be repeated.",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        str,
        typer.Option(
            "--texts",
            metavar="D",
            help="Measure on these texts: a file, a folder, a data config (.yaml), or 'sample'.",
        ),
    ] = "sample",
    lengths: Annotated[
        str | None,
        typer.Option(
            "--lengths",
            metavar="SPEC",
            help="Measure on made-up texts instead; tokens per text, as median=19,mean=25,max=128.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Texts, drawn at random.")] = 2000,
    text: Annotated[str, typer.Option(metavar="COL", help="Column of the text.")] = "text",
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of taking turns that count.")] = 5,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure single texts and open-loop load too.")
    ] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Tell what a load costs (measures latency too).")
    ] = False,
    rate: Annotated[float, typer.Option(metavar="N", help="Texts/s to serve, for --cost.")] = 100.0,
    p99: Annotated[
        float,
        typer.Option(
            "--p99", metavar="MS", help="Milliseconds in which 99 % are answered, for --cost."
        ),
    ] = 200.0,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Price table (YAML); by default one of examples.",
            show_default=False,
        ),
    ] = None,
    engines: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Run bundles on this engine (onnx, openvino); may be repeated.",
            show_default=False,
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            metavar="P",
            help="Of what runs in torch: fp32, bf16 or fp16; may be repeated.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Of torch: cpu, cuda or auto.")] = "cpu",
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the hub is out of reach: holds the tokenizer.json that stands in for a "
            "baseline's; the first MODEL's by default.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of texts and of the arrivals.")] = 0,
    json: Json = False,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Write report.json, report.md and plots.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure models side by side: throughput, latency, memory, start, bytes, cost.

    Every candidate has a process of its own; they take turns (A B A B) on the same texts, and
    speedups are medians of the ratios within the rounds. The machine's matrix peak is measured in
    the same run.

    Examples:
      xmpress benchmark runs/student/bundle --baseline xlm-roberta-base --texts comments.csv
      xmpress benchmark runs/student/bundle runs/student/model --peer all --latency
      xmpress benchmark runs/student/bundle runs/teacher --cost --rate 500 --p99 100 -o build/speed
    """
    from xmpress.benchmark import Settings
    from xmpress.benchmark import benchmark as measure
    from xmpress.data.files import atomic_dir
    from xmpress.machine import this_machine
    from xmpress.peers.collect import Wishes, collect

    wishes = Wishes(
        models=models or [],
        baselines=baselines or [],
        peers=peers or [],
        engines=engines or ["auto"],
        precisions=_precisions(precisions),
        device=device,
        tokenizer=tokenizer,
    )
    if baselines:
        need("train", "a baseline")
    settings = Settings(
        threads=threads or this_machine().threads,
        rounds=rounds,
        latency=latency or cost,
        seed=seed,
    )
    table = _prices(prices) if cost else None
    with ExitStack() as stack:
        # First of all: a folder that cannot be written is told before the measurement.
        target = (
            None
            if out_dir is None
            else stack.enter_context(atomic_dir(out_dir, overwrite=overwrite))
        )
        workspace = stack.enter_context(tempfile.TemporaryDirectory(prefix="xmpress-benchmark-"))
        found = collect(wishes, Path(workspace))
        workload = _workload(found.subject, texts, lengths, rows=rows, text=text, seed=seed)
        report = measure(found.candidates, workload, settings, say=say)
        report = replace(report, failures=[*found.failures, *report.failures])
        if table is not None:
            report = replace(report, cost=_cost(report, found.subject, rate, p99, table))
        if target is not None:
            _write(report, target)
    if json:
        emit_json(report.to_dict())
    elif out_dir is None:
        _show(report)
    else:
        say(f"wrote {out_dir / REPORT}.md")


def _precisions(names: list[str] | None) -> list[str]:
    wrong = [name for name in names or [] if name not in {"fp32", "bf16", "fp16"}]
    if wrong:
        raise UsageError(f"precision '{wrong[0]}' is none of fp32, bf16, fp16")
    return names or ["fp32"]


def _workload(
    subject: Subject, texts: str, lengths: str | None, *, rows: int, text: str, seed: int
) -> Workload:
    from xmpress.benchmark import Lengths, texts_of, texts_of_lengths
    from xmpress.runtime.tokenization import Tokenizer

    if lengths is None:
        return texts_of(texts, rows=rows, text=text, seed=seed)
    wanted = Lengths.parse(lengths)
    if subject.tokenizer is None:
        raise UsageError("--lengths needs a tokenizer to count with: name a model, or --tokenizer")
    counter = Tokenizer.from_file(
        subject.tokenizer / "tokenizer.json", max_length=10 * wanted.longest
    )
    return texts_of_lengths(wanted, lambda some: counter.encode(some).lengths, rows=rows, seed=seed)


def _prices(path: Path | None) -> Any:
    from xmpress.benchmark.cost import PriceTable

    return PriceTable.load(path)


def _cost(report: Report, subject: Subject, rate: float, p99: float, table: Any) -> Any:
    from xmpress.benchmark.cost import Demand, Served, cost

    served = [
        Served(one.name, one.service, one.candidate.group)
        for one in report.candidates
        if one.service is not None
    ]
    demand = Demand(rate, p99, len(subject.tasks), max(1, len(subject.languages)))
    return cost(served, demand, table, report.threads)


def _write(report: Report, target: Path) -> None:
    from json import dumps

    from xmpress.benchmark.plots import draw
    from xmpress.benchmark.render import to_markdown

    content = dumps(report.to_dict(), ensure_ascii=False, indent=2)
    (target / f"{REPORT}.json").write_text(content + "\n", encoding="utf-8")
    (target / f"{REPORT}.md").write_text(to_markdown(report), encoding="utf-8")
    try:
        draw(report, target)
    except MissingExtraError as error:
        warn(f"no plots: {error}")


def _show(report: Report) -> None:
    from xmpress.benchmark.render import circumstances, grids

    for line in circumstances(report):
        out.print(line, markup=False, soft_wrap=True)
    for grid in grids(report):
        out.print()
        out.print(_table(grid))
        for remark in grid.remarks:
            out.print(remark, markup=False, soft_wrap=True, style="dim")


def _table(grid: Grid) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, header_style="bold", padding=(0, 2, 0, 0), title=grid.title, title_justify="left"
    )
    for place, title in enumerate(grid.header):
        table.add_column(Text(title), justify="right" if place else "left")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table
