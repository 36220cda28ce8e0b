"""A benchmark's report as Markdown; a terminal shows the same tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xmpress.benchmark.cost import Bill, CostReport
from xmpress.benchmark.report import Report
from xmpress.benchmark.statistics import Spread


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        title: of the table.
        header: column titles; the first column is text, the others are numbers.
        rows: cells, one list per row.
        remarks: lines to put below it.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    remarks: list[str]


def grids(report: Report) -> Iterator[Grid]:
    """The tables of a report that have something in them."""
    yield _throughput(report)
    if any(len(one.seconds) > 1 for one in report.candidates):
        yield _policies(report)
    yield _roofline(report)
    if any(one.single for one in report.candidates):
        yield _latency(report)
    yield _footprint(report)
    if report.cost is not None:
        yield _bills(report.cost)
        yield _savings(report.cost)
    if report.failures:
        yield Grid(
            "Not measured",
            ["candidate", "why"],
            [[failure.name, failure.reason] for failure in report.failures],
            [],
        )


def circumstances(report: Report) -> list[str]:
    """What the figures depend on, a line each."""
    machine = report.machine
    sets = ", ".join(machine["instruction_sets"]) or "no known instruction set"
    notes = dict.fromkeys(note for one in report.candidates for note in one.candidate.notes)
    return [
        f"machine: {machine['cpu']}, {machine['architecture']}, {sets}; {machine['system']}",
        f"threads: {report.threads} of {machine['threads']} per candidate",
        f"texts: {report.workload}",
        f"rounds: {report.rounds}, candidates in turn (A B A B), after one that does not count; "
        "tokenisation included",
        "figures: medians over the rounds, in brackets the lowest and the highest; a speedup is "
        "the median of the ratios within the rounds",
        *(f"note: {note}" for note in notes),
    ]


def to_markdown(report: Report) -> str:
    """The whole report."""
    parts = ["\n".join(f"- {line}" for line in circumstances(report))]
    for grid in grids(report):
        lines = [
            f"## {grid.title}",
            "",
            _row(grid.header),
            _row(["---", *["---:"] * (len(grid.header) - 1)]),
            *map(_row, grid.rows),
        ]
        if grid.remarks:
            lines += ["", *grid.remarks]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _throughput(report: Report) -> Grid:
    references = report.references
    rows = []
    for one in report.candidates:
        spread = one.throughput()
        rows.append(
            [
                one.name,
                one.precision,
                f"{one.tokens_per_text:.1f}",
                f"{_number(spread.median)} [{_number(spread.low)}, {_number(spread.high)}]",
                *(_times(one.speedup(reference)) for reference in references),
            ]
        )
    policy = report.candidates[0].policy if report.candidates else ""
    return Grid(
        f"Throughput, {policy}",
        [
            "candidate",
            "precision",
            "tokens/text",
            "texts/s",
            *(f"over {reference.name}" for reference in references),
        ],
        rows,
        [],
    )


def _policies(report: Report) -> Grid:
    policies = list(report.candidates[0].seconds)
    return Grid(
        "Throughput by how texts are handed over, texts/s",
        ["candidate", *policies],
        [
            [one.name, *(_number(one.throughput(policy).median) for policy in policies)]
            for one in report.candidates
        ],
        [],
    )


def _roofline(report: Report) -> Grid:
    peaks = "; ".join(
        f"{peak.precision} {peak.flops / 1e9:,.0f} GFLOP/s ({peak.by}, {peak.device})"
        for peak in report.peaks
    )
    rows = []
    for one in report.candidates:
        share = one.of_peak(report.peaks)
        rows.append(
            [
                one.name,
                one.engine,
                "" if one.flops_per_token is None else f"{one.flops_per_token / 1e6:.2f}",
                "" if one.flops is None else f"{one.flops / 1e9:.1f}",
                "" if share is None else f"{100 * share:.0f} %",
            ]
        )
    return Grid(
        "Roofline",
        ["candidate", "engine", "MFLOP/token", "useful GFLOP/s", "of peak"],
        rows,
        [
            f"Peaks of matrix products, measured in this run: {peaks or 'none'}.",
            "Useful are the operations of the encoder's matrices on the texts' own tokens; padding "
            "and attention's products of activations are not counted.",
        ],
    )


def _latency(report: Report) -> Grid:
    with_latency = [one for one in report.candidates if one.single]
    shares = [load.share for load in with_latency[0].loads]
    rows = []
    for one in with_latency:
        row = [one.name]
        if one.single is not None:
            row.append(f"{one.single.p50:.2f} / {one.single.p99:.2f}")
        row += [
            f"{load.latency.p50:.1f} / {load.latency.p99:.1f} at {_number(load.rate)}/s"
            for load in one.loads
        ]
        rows.append(row)
    return Grid(
        "Latency, p50 / p99 in ms",
        ["candidate", "single text", *(f"load {100 * share:.0f} %" for share in shares)],
        rows,
        [
            "Load is open-loop: texts arrive as a Poisson process at a share of the candidate's "
            "own highest rate, and a latency counts from the moment a text was to arrive."
        ],
    )


def _footprint(report: Report) -> Grid:
    return Grid(
        "Footprint",
        ["candidate", "on disk, MB", "peak memory, MB", "cold start, s"],
        [
            [
                one.name,
                f"{one.bytes_on_disk / 1e6:,.1f}",
                "" if one.peak_memory is None else f"{one.peak_memory / 1e6:,.0f}",
                f"{one.cold_start:.2f}",
            ]
            for one in report.candidates
        ],
        ["A cold start lasts from the start of the process to the first answer; files are warm."],
    )


def _bills(cost: CostReport) -> Grid:
    demand, currency = cost.demand, cost.currency
    return Grid(
        f"Cost of {_number(demand.rate)} texts/s, 99 % within {demand.p99:g} ms",
        [
            "candidate",
            "machine",
            "texts/s per machine",
            "machines",
            f"{currency} per million texts",
            f"{currency} per month",
        ],
        [_bill(bill) for bill in cost.bills],
        [
            "Machines: "
            + "; ".join(
                f"{m.provider} {m.name}, {m.threads} threads, {m.per_hour:g} {currency}/h "
                f"({m.source}; {m.date})"
                for m in cost.table
            )
            + "."
        ],
    )


def _bill(bill: Bill) -> list[str]:
    if bill.machines is None or bill.per_million is None or bill.per_month is None:
        return [bill.candidate, bill.machine, "cannot meet the limit", "", "", ""]
    return [
        bill.candidate,
        bill.machine,
        _number(bill.capacity),
        f"{bill.machines:,}",
        f"{bill.per_million:.3g}",
        f"{bill.per_month:,.0f}",
    ]


def _savings(cost: CostReport) -> Grid:
    return Grid(
        "Savings",
        ["what", "machines", "saved"],
        [
            [
                saving.what,
                f"{saving.machines[0]:,} instead of {saving.machines[1]:,}",
                f"{saving.percent:.0f} % ({saving.percent_at_capacity:.0f} %)",
            ]
            for saving in cost.savings
        ],
        cost.notes,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(spread: Spread) -> str:
    return f"{_number(spread.median)}x [{_number(spread.low)}, {_number(spread.high)}]"
