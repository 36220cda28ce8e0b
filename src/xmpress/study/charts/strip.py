"""Values with intervals on a common axis: a row per thing, a line in it per series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from xmpress.study.charts.base import (
    SHAPES,
    Scale,
    Series,
    add,
    axis_text,
    canvas,
    caption,
    domain,
    hit,
    label,
    num,
    shape,
    width_of,
)

LINE = 20.0
"""Height of a series' line."""


@dataclass(frozen=True)
class Mark:
    """One value.

    Attributes:
        value: where it lies.
        tip: what it shows, in words.
        interval: its ends.
        run: anchors in the appendix of what it comes from.
        minor: one of many behind a mean, drawn small.
    """

    value: float
    tip: str
    interval: tuple[float, float] | None = None
    run: str | None = None
    minor: bool = False


@dataclass(frozen=True)
class Lane:
    """A row.

    Attributes:
        name: beside it.
        marks: by series number.
    """

    name: str
    marks: tuple[tuple[int, tuple[Mark, ...]], ...]


@dataclass(frozen=True)
class Strip:
    """The plot.

    Attributes:
        title: what it shows.
        axis: what the values are, with the unit.
        lanes: from top to bottom.
        series: the legend.
        zero: whether 0 matters: the axis holds it and a line marks it.
        sides: what lies left and right of 0.
    """

    title: str
    axis: str
    lanes: tuple[Lane, ...]
    series: tuple[Series, ...] = ()
    zero: bool = True
    sides: tuple[str, str] | None = None

    @property
    def legend(self) -> tuple[Series, ...]:
        """The series, if there are several."""
        return self.series if len(self.series) > 1 else ()

    def draw(self, width: float) -> ET.Element:
        """As an SVG element; names stand above their row where there is little room."""
        widest = max((width_of(lane.name) for lane in self.lanes), default=0.0)
        beside = width > 500 or widest < 60
        left = min(widest, 210.0) + 14 if beside else 6.0
        head = 0.0 if beside else 17.0
        heights = [head + LINE * max(1, len(lane.marks)) + 8 for lane in self.lanes]
        top = 24.0 if self.sides else 6.0
        bottom = top + sum(heights)
        svg = canvas(width, bottom + 54, self.title)
        scale = self._scale(left + 8, width - 14)
        self._axes(svg, scale, top, bottom, left)
        y = top
        for n, (lane, height) in enumerate(zip(self.lanes, heights, strict=True)):
            if n % 2 == 0:
                add(svg, "rect", x=0.0, y=y, width=width, height=height, class_="band")
            if beside:
                label(svg, left - 4, y + height / 2 + 4, lane.name, anchor="end", most=left - 8)
            else:
                label(svg, left, y + 14, lane.name, class_="label strong", most=width - 12)
            for line, (number, marks) in enumerate(lane.marks):
                _draw_marks(svg, scale, y + head + 4 + LINE * (line + 0.5), number, marks)
            y += height
        # Bands below, the grid over them, marks and names on top.
        grid = [e for e in svg if "grid" in e.get("class", "")]
        bands = [e for e in svg if e.get("class") == "band"]
        rest = [e for e in svg if e not in grid and e not in bands]
        svg[:] = [*bands, *grid, *rest]
        return svg

    def _scale(self, start: float, end: float) -> Scale:
        marks = [m for lane in self.lanes for _, found in lane.marks for m in found]
        ends = [end for m in marks if m.interval for end in m.interval]
        return Scale(*domain([m.value for m in marks] or [0.0], ends, zero=self.zero), start, end)

    def _axes(self, svg: ET.Element, scale: Scale, top: float, bottom: float, left: float) -> None:
        for value in scale.ticks(8 if scale.end - scale.start > 400 else 5):
            x = scale(value)
            kind = "grid zero" if self.zero and value == 0 else "grid"
            add(svg, "line", x1=x, x2=x, y1=top, y2=bottom, class_=kind)
            label(svg, x, bottom + 16, axis_text(value), anchor="middle", class_="tick")
        middle = (scale.start + scale.end) / 2
        caption(svg, middle, bottom + 34, self.axis, scale.end - left)
        if self.sides:
            zero = scale(0)
            size = 12.0
            for text, anchor, x, room in (
                (f"← {self.sides[0]}", "end", zero - 8, zero - 8),
                (f"{self.sides[1]} →", "start", zero + 8, scale.end + 12 - zero),
            ):
                if width_of(text, size) <= room:
                    label(svg, x, 15, text, anchor=anchor, class_="axis", size=size)


def _draw_marks(
    svg: ET.Element, scale: Scale, y: float, number: int, marks: Sequence[Mark]
) -> None:
    # Small marks first, the mean over them.
    for mark in sorted(marks, key=lambda mark: not mark.minor):
        group = hit(svg, mark.tip, series=number, run=mark.run)
        x = scale(mark.value)
        add(group, "circle", cx=x, cy=y, r=9.0 if not mark.minor else 6.0, class_="area")
        if mark.minor:
            add(group, "circle", cx=x, cy=y, r=3.0, class_="minor")
            continue
        if mark.interval:
            low, high = mark.interval
            add(group, "line", x1=scale(low), x2=scale(high), y1=y, y2=y, class_="whisker")
            for end, beyond in ((low, low < scale.low), (high, high > scale.high)):
                _cap(group, scale(end), y, 0 if not beyond else -1 if end == low else 1)
        shape(group, x, y, 5.0, number % SHAPES, class_="mark")


def _cap(group: ET.Element, x: float, y: float, arrow: int) -> None:
    """The end of an interval; an arrow where it lies beyond the axis."""
    if arrow:
        points = (
            f"{num(x - 5 * arrow)},{num(y - 4)} {num(x)},{num(y)} {num(x - 5 * arrow)},{num(y + 4)}"
        )
        add(group, "polyline", points=points, class_="whisker")
    else:
        add(group, "line", x1=x, x2=x, y1=y - 4, y2=y + 4, class_="whisker")
