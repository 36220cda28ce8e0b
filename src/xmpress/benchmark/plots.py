"""A benchmark's plots: throughput with its spread, and latency under load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmpress.benchmark.report import Measured, Report
from xmpress.errors import MissingExtraError

_COLOURS = {"model": "#0b7285", "baseline": "#868e96", "peer": "#e8890c"}
"""By group; told apart by people who see few colours, and in grey."""


def draw(report: Report, directory: Path) -> list[Path]:
    """Write ``throughput.svg`` and, where latency was measured, ``latency.svg``.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("benchmark", "drawing plots") from error
    drawn = []
    # Text stays text, and the same report gives the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "xmpress"}):
        for name, plot, wanted in (
            ("throughput.svg", _throughput, True),
            ("latency.svg", _latency, any(one.single for one in report.candidates)),
        ):
            if wanted:
                height = 1.2 + 0.42 * len(report.candidates)
                figure = Figure(figsize=(8, height), layout="constrained")
                plot(report, figure.subplots())
                figure.savefig(directory / name, metadata={"Date": None})
                drawn.append(directory / name)
    return drawn


def _throughput(report: Report, axes: Any) -> None:
    shown = _ordered(report)
    spreads = [one.throughput() for one in shown]
    medians = [spread.median for spread in spreads]
    axes.barh(
        [one.name for one in shown],
        medians,
        xerr=[
            [s.median - s.low for s in spreads],
            [s.high - s.median for s in spreads],
        ],
        color=[_COLOURS[one.candidate.group] for one in shown],
        error_kw={"lw": 1, "capsize": 3},
    )
    for row, (one, spread) in enumerate(zip(shown, spreads, strict=True)):
        times = one.speedup(report.references[0]).median
        axes.annotate(
            f"{spread.median:,.0f}  ({times:.3g}x)",
            (spread.high, row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.set_xlim(right=max(medians) * 6)
    axes.set_xlabel(f"texts/s, log scale (times {report.references[0].name})")
    _tidy(axes)


def _latency(report: Report, axes: Any) -> None:
    shown = [one for one in _ordered(report) if one.single is not None]
    for row, one in enumerate(shown):
        points = [
            ("single", one.single),
            *((f"{load.share:.0%}", load.latency) for load in one.loads),
        ]
        for (label, latency), marker in zip(points, "os^Dv", strict=False):
            if latency is not None:
                axes.plot(
                    [latency.p50, latency.p99],
                    [row, row],
                    marker=marker,
                    color=_COLOURS[one.candidate.group],
                    alpha=0.8,
                    label=label if row == 0 else None,
                )
    axes.set_yticks(range(len(shown)), [one.name for one in shown])
    axes.set_xscale("log")
    axes.set_xlabel("ms from p50 to p99, log scale; single texts and shares of the highest rate")
    axes.legend(fontsize=8)
    _tidy(axes)


def _ordered(report: Report) -> list[Measured]:
    """Slowest at the top, for bars are drawn from the bottom."""
    return sorted(report.candidates, key=lambda one: -one.throughput().median)


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
