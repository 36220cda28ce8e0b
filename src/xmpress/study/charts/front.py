"""What is lost against what is gained: models as points, and the front that none of them beats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
    shorten,
    width_of,
)


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        name: beside it.
        gain: how many times as fast, or as small.
        loss: degradation in %.
        tip: what it shows, in words.
        series: number of its colour and shape.
        interval: of the loss.
        range: of the gain.
        bytes: of its directory; the larger, the larger the mark.
        best: on the front.
        recommended: the point to take.
        run: its anchor in the appendix.
    """

    name: str
    gain: float
    loss: float
    tip: str
    series: int = 0
    interval: tuple[float, float] | None = None
    range: tuple[float, float] | None = None
    bytes: float | None = None
    best: bool = False
    recommended: bool = False
    run: str | None = None


@dataclass(frozen=True)
class Front:
    """The plot.

    Attributes:
        title: what it shows.
        across: what is gained.
        up: what is lost.
        points: the models.
        series: the legend.
    """

    title: str
    across: str
    up: str
    points: tuple[Point, ...]
    series: tuple[Series, ...] = ()

    @property
    def legend(self) -> tuple[Series, ...]:
        """The series, if there are several."""
        return self.series if len(self.series) > 1 else ()

    def draw(self, width: float) -> ET.Element:
        """As an SVG element; with little room points have numbers, told below."""
        narrow = width <= 500
        plot = 420.0 if not narrow else 300.0
        keys = 18.0 * len(self.points) + 8 if narrow else 0.0
        svg = canvas(width, plot + 62 + keys, self.title)
        x, y = self._scales(54.0, width - 16, plot, 24.0)
        self._axes(svg, x, y, plot, narrow=narrow)
        ranked = sorted((p for p in self.points if p.best), key=lambda p: p.gain)
        line = " ".join(f"{num(x(p.gain))},{num(y(p.loss))}" for p in ranked)
        if len(ranked) > 1:
            add(svg, "polyline", points=line, class_="front")
        largest = max((p.bytes or 0 for p in self.points), default=0) or 1
        taken = [*_marks(self.points, x, y), *_along([(x(p.gain), y(p.loss)) for p in ranked])]
        taken.append((x.start, y(0) - 1, x.end, y(0) + 1))
        for n, point in enumerate(self.points, 1):
            radius = 5 + 6 * ((point.bytes or 0) / largest) ** 0.5
            self._point(svg, point, (x, y), radius)
            name = str(n) if narrow else shorten(point.name, 170)
            room = radius + (6 if point.recommended else 0)
            _name(svg, name, x(point.gain), y(point.loss), room, width, taken,
                  strong=point.recommended)  # fmt: skip
            if narrow:
                text = f"{n}  {point.name}" + (" (recommended)" if point.recommended else "")
                kind = "label strong" if point.recommended else "label"
                label(svg, 8, plot + 66 + 18 * (n - 1) + 10, text, most=width - 12, class_=kind)
        return svg

    def _scales(self, left: float, right: float, bottom: float, top: float) -> tuple[Scale, Scale]:
        gains = [v for p in self.points for v in (p.gain, *(p.range or ())) if v > 0] or [1.0]
        low, high = min(*gains, 1.0), max(*gains, 1.0)
        losses = [p.loss for p in self.points] or [0.0]
        ends = [end for p in self.points for end in p.interval or ()]
        return (
            Scale(low * 0.85, max(high * 1.25, low * 2), left, right, log=True),
            Scale(*domain(losses, ends), bottom, top),
        )

    def _axes(self, svg: ET.Element, x: Scale, y: Scale, bottom: float, *, narrow: bool) -> None:
        for value in x.ticks(5 if narrow else 9):
            place = x(value)
            add(svg, "line", x1=place, x2=place, y1=24.0, y2=bottom, class_="grid")
            label(svg, place, bottom + 16, f"{axis_text(value)}x", anchor="middle", class_="tick")
        for value in y.ticks(6):
            place = y(value)
            kind = "grid zero" if value == 0 else "grid"
            add(svg, "line", x1=x.start, x2=x.end, y1=place, y2=place, class_=kind)
            label(svg, x.start - 6, place + 4, axis_text(value), anchor="end", class_="tick")
        caption(svg, (x.start + x.end) / 2, bottom + 36, self.across, x.end - x.start + 20)
        label(svg, 4, 13, self.up, class_="axis", most=x.end)

    def _point(
        self, svg: ET.Element, point: Point, scales: tuple[Scale, Scale], radius: float
    ) -> None:
        x, y = scales
        across, up = x(point.gain), y(point.loss)
        group = hit(svg, point.tip, series=point.series, run=point.run)
        if point.interval:
            low, high = point.interval
            add(group, "line", x1=across, x2=across, y1=y(low), y2=y(high), class_="whisker")
        if point.range:
            low, high = point.range
            add(group, "line", x1=x(low), x2=x(high), y1=up, y2=up, class_="whisker")
        if point.recommended:
            add(group, "circle", cx=across, cy=up, r=radius + 6, class_="ring")
        shape(group, across, up, radius, point.series % SHAPES,
              class_="mark" if point.best else "mark hollow")  # fmt: skip


_Box = tuple[float, float, float, float]


def _box(x: float, y: float, across: float, up: float) -> _Box:
    return x - across, y - up, x + across, y + up


def _marks(points: Iterable[Point], x: Scale, y: Scale) -> Iterator[_Box]:
    """Where points and their intervals are."""
    for point in points:
        across, up = x(point.gain), y(point.loss)
        yield _box(across, up, 9, 9)
        if point.interval:
            low, high = point.interval
            yield across - 2, y(high), across + 2, y(low)


def _along(line: Sequence[tuple[float, float]]) -> Iterator[_Box]:
    """Where a line is, in small pieces."""
    for (x, y), (u, v) in pairwise(line):
        steps = max(1, round(abs(u - x) / 12))
        for n in range(steps):
            share = (n + 0.5) / steps
            yield _box(x + share * (u - x), y + share * (v - y), 3, 3)


def _overlap(a: _Box, b: _Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _places(x: float, y: float, radius: float, wide: float) -> Iterator[tuple[float, float, bool]]:
    """Where a name may stand, the best first: its middle, and whether it needs a line to it."""
    beside, above = radius + 5 + wide / 2, radius + 10
    for dx, dy in ((beside, 0), (-beside, 0), (0, -above), (0, above), (beside, -14), (beside, 14),
                   (-beside, -14), (-beside, 14)):  # fmt: skip
        yield x + dx, y + dy, False
    for far in (30, 46, 62):
        for dx in (beside, -beside, 0):
            for dy in (-far, far):
                yield x + dx, y + dy, True


def _name(
    svg: ET.Element,
    text: str,
    x: float,
    y: float,
    radius: float,
    width: float,
    taken: list[_Box],
    *,
    strong: bool,
) -> None:
    """A point's name where it hides the least."""
    wide = width_of(text) * (1.08 if strong else 1)
    found: list[tuple[float, float, float, bool]] = []
    for cx, cy, far in _places(x, y, radius, wide):
        box = _box(cx, cy, wide / 2 + 1, 7)
        outside = max(0.0, 4 - box[0]) + max(0.0, box[2] - width + 4) + max(0.0, 20 - box[1])
        cost = sum(_overlap(box, other) for other in taken) + 40 * outside
        found.append((cost, cx, cy, far))
        if cost == 0:
            break
    _, cx, cy, far = min(found, key=lambda place: place[0])
    taken.append(_box(cx, cy, wide / 2 + 1, 7))
    if far:
        add(svg, "line", x1=x, y1=y, x2=cx, y2=cy + (6 if cy < y else -8), class_="leader")
    label(
        svg,
        cx,
        cy + 4,
        text,
        anchor="middle",
        class_="label strong halo" if strong else "label halo",
    )
