"""Degradation by two things at once, with the number in every cell."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from xmpress.study.charts.base import Series, add, canvas, hit, label, width_of

STEPS = (-10.0, -5.0, -2.0, -0.5, 0.5, 2.0, 5.0, 10.0)
"""Where one colour ends and the next begins, in %; the same in every report."""


UPRIGHT = 30.0
"""Height of columns' names that fit side by side."""


@dataclass(frozen=True)
class Tile:
    """One cell.

    Attributes:
        value: degradation in %.
        text: the value as it is shown.
        tip: what it shows, in words.
        interval: as it is shown.
        sure: the interval excludes 0.
        judged: there are rows enough.
        run: anchors in the appendix of what it comes from.
    """

    value: float
    text: str
    tip: str
    interval: str = ""
    sure: bool = False
    judged: bool = True
    run: str | None = None


@dataclass(frozen=True)
class Heatmap:
    """The plot.

    Attributes:
        title: what it shows.
        rows: names, downwards.
        columns: names, across.
        tiles: by (row, column), as numbers.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    tiles: dict[tuple[int, int], Tile]

    @property
    def legend(self) -> tuple[Series, ...]:
        """None: the colours are told in the drawing."""
        return ()

    def draw(self, width: float) -> ET.Element:
        """As an SVG element; intervals are in the cells where there is room."""
        widest = max((width_of(name) for name in self.rows), default=0.0)
        left = min(widest, 0.3 * width) + 12
        number = max(1, len(self.columns))
        cell = min(120.0, (width - left - 4) / number)
        if self._head(cell) > UPRIGHT:
            # The last name leans out over the right edge.
            out = 0.58 * min(width_of(self.columns[-1]), 130)
            cell = min(120.0, (width - left - 4 - out) / number)
        with_interval = cell >= 84
        height = 38.0 if with_interval else 26.0
        top = self._head(cell)
        bottom = top + height * len(self.rows)
        svg = canvas(width, bottom + 52, self.title)
        for j, name in enumerate(self.columns):
            x = left + (j + 0.5) * cell
            if top == UPRIGHT:
                label(svg, x, 20, name, anchor="middle", most=cell - 4)
            else:
                text = label(svg, x + 4, top - 8, name, most=(top - 16) * 1.25)
                text.set("transform", f"rotate(-55 {x + 4:.1f} {top - 8:.1f})")
        for i, name in enumerate(self.rows):
            y = top + i * height
            label(svg, left - 8, y + height / 2 + 4, name, anchor="end", most=left - 10)
            for j in range(len(self.columns)):
                tile = self.tiles.get((i, j))
                _draw(svg, tile, left + j * cell, y, cell, height, interval=with_interval)
        self._colours(svg, left, bottom + 12, width)
        return svg

    def _head(self, cell: float) -> float:
        """Height of the columns' names; they lean where they do not fit side by side."""
        widest = max((width_of(name) for name in self.columns), default=0.0)
        return UPRIGHT if widest <= cell - 4 else min(120.0, 22 + 0.82 * widest)

    def _colours(self, svg: ET.Element, left: float, y: float, width: float) -> None:
        number = len(STEPS) + 1
        start = min(left, width - number * 34.0 - 40)
        for n in range(number):
            x = max(4.0, start) + n * 34
            add(svg, "rect", x=x, y=y, width=33.0, height=12.0, class_=f"tile h{n}")
            if n:
                text = f"{STEPS[n - 1]:g}".replace("-", "−")
                label(svg, x, y + 26, text, anchor="middle", class_="tick", size=11)
        label(svg, max(4.0, start) + number * 34 + 4, y + 11, "%", class_="tick", size=11)


def _draw(
    svg: ET.Element,
    tile: Tile | None,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    interval: bool,
) -> None:

    def box(parent: ET.Element, kind: str) -> None:
        add(parent, "rect", x=x + 1, y=y + 1, width=width - 2, height=height - 2, rx=3.0,
            class_=kind)  # fmt: skip

    middle = x + width / 2
    if tile is None:
        box(svg, "tile none")
        label(svg, middle, y + height / 2 + 4, "–", anchor="middle", class_="tick")
        return
    group = hit(svg, tile.tip, run=tile.run)
    bin_ = bisect.bisect_right(STEPS, tile.value)
    box(group, f"tile h{bin_}" if tile.judged else "tile unsure")
    if tile.sure:
        box(group, "sure")
    value = tile.text if tile.judged else f"({tile.text})"
    colour = f"on h{bin_}" if tile.judged else "tick"
    weight = " strong" if tile.sure else ""
    shift = -2 if interval and tile.interval else 4
    label(group, middle, y + height / 2 + shift, value, anchor="middle", class_=colour + weight)
    if interval and tile.interval:
        label(group, middle, y + height / 2 + 13, tile.interval, anchor="middle", size=10.0,
              class_=colour)  # fmt: skip
