"""Amounts side by side."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from xmpress.study.charts.base import Series, add, canvas, hit, label, width_of


@dataclass(frozen=True)
class Bar:
    """One amount.

    Attributes:
        name: above it; empty for a bar that belongs to the one above.
        value: its length, not negative.
        text: the value as it is shown.
        tip: what it shows, in words.
        series: number of its colour.
        run: its anchor in the appendix.
    """

    name: str
    value: float
    text: str
    tip: str
    series: int = 0
    run: str | None = None


@dataclass(frozen=True)
class Bars:
    """The plot.

    Attributes:
        title: what it shows.
        bars: from top to bottom.
        series: the legend.
    """

    title: str
    bars: tuple[Bar, ...]
    series: tuple[Series, ...] = ()

    @property
    def legend(self) -> tuple[Series, ...]:
        """The series, if there are several."""
        return self.series if len(self.series) > 1 else ()

    def draw(self, width: float) -> ET.Element:
        """As an SVG element, names above their bars."""
        heights = [24.0 + (22 if bar.name else 0) for bar in self.bars]
        svg = canvas(
            width, sum(heights) + 10 * sum(bool(bar.name) for bar in self.bars), self.title
        )
        room = width - 20 - max((width_of(bar.text) for bar in self.bars), default=0.0)
        most = max((bar.value for bar in self.bars), default=0.0) or 1.0
        y = 0.0
        for bar, height in zip(self.bars, heights, strict=True):
            y += 10 if bar.name and y else 0
            group = hit(svg, bar.tip, series=bar.series, run=bar.run)
            label(group, 4, y + 15, bar.name, most=width - 8)
            foot = y + height - 4
            long = max(2.0, room * bar.value / most)
            add(group, "rect", x=4.0, y=foot - 16, width=long, height=16.0, rx=3.0, class_="bar")
            label(group, long + 10, foot - 3.5, bar.text, class_="label strong")
            y += height
        return svg
