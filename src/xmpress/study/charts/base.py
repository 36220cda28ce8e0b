"""What all plots share: elements, text of known width, scales, shapes, and the file around it.

Colours come from classes (``style.css``), so that one drawing serves light and dark. Series differ
in shape too, and every mark carries in ``data-tip`` what it shows.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from importlib import resources
from typing import Protocol
from xml.etree import ElementTree as ET

WIDE, NARROW = 880.0, 350.0
"""Widths that a plot is drawn for: a desk and paper, a phone."""

SHAPES = 6
"""Series that have a shape and a colour of their own; further ones begin again."""


_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Series:
    """What marks of one colour and shape have in common.

    Attributes:
        name: for the legend.
        number: of the colour and shape.
    """

    name: str
    number: int


class Chart(Protocol):
    """A plot before it is drawn.

    Attributes:
        title: what it shows, in a line.
        legend: its series, empty if they need no telling apart.
    """

    @property
    def title(self) -> str:
        """What it shows."""
        ...

    @property
    def legend(self) -> tuple[Series, ...]:
        """Its series."""
        ...

    def draw(self, width: float) -> ET.Element:
        """As an SVG element so wide."""
        ...


def canvas(width: float, height: float, title: str) -> ET.Element:
    """An empty drawing that keeps its proportions."""
    return ET.Element(
        "svg",
        {
            "class": "chart",
            "viewBox": f"0 0 {num(width)} {num(height)}",
            "width": num(width),
            "height": num(height),
            "role": "img",
            "aria-label": legal(title),
            "tabindex": "0",
        },
    )


def add(parent: ET.Element, tag: str, text: str | None = None, **attributes: object) -> ET.Element:
    """A child; ``class_`` is its class, underscores are hyphens, ``None`` is left out."""
    element = ET.SubElement(
        parent,
        tag,
        {
            name.rstrip("_").replace("_", "-"): num(value)
            for name, value in attributes.items()
            if value is not None
        },
    )
    element.text = None if text is None else legal(text)
    return element


def legal(text: str) -> str:
    """Text without the characters that XML does not know, which ElementTree lets pass."""
    return _ILLEGAL.sub("", text)


def num(value: object) -> str:
    """An attribute's value; coordinates to a tenth."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return legal(str(value))


def label(
    parent: ET.Element,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12.0,
    anchor: str = "start",
    class_: str = "label",
    most: float | None = None,
) -> ET.Element:
    """Text at a place; shortened to ``most`` with the whole as its title."""
    short = text if most is None else shorten(text, most, size)
    element = add(
        parent, "text", short, x=x, y=y, font_size=size, text_anchor=anchor, class_=class_
    )
    if short != text:
        add(element, "title", text)
    return element


def caption(parent: ET.Element, middle: float, y: float, text: str, most: float) -> None:
    """What an axis shows, in the middle below it, on two lines where one has no room."""
    lines = [text]
    if width_of(text) > most:
        words = text.split(" ")
        cut = min(
            range(1, max(2, len(words))),
            key=lambda n: max(len(" ".join(words[:n])), len(" ".join(words[n:]))),
        )
        lines = [" ".join(words[:cut]), " ".join(words[cut:])]
    for n, line in enumerate(lines):
        label(parent, middle, y + 15 * n, line, anchor="middle", class_="axis", most=most)


def width_of(text: str, size: float = 12.0) -> float:
    """About how wide a text is in a sans-serif face."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return size * (0.56 * (len(text) - wide) + wide)


def shorten(text: str, most: float, size: float = 12.0) -> str:
    """As much of a text as fits."""
    if width_of(text, size) <= most:
        return text
    while text and width_of(text + "…", size) > most:
        text = text[:-1]
    return text + "…"


def hit(
    parent: ET.Element, tip: str, *, series: int | None = None, run: str | None = None
) -> ET.Element:
    """A group that one can point at, tap or reach by arrow keys, and that says what it shows."""
    return add(
        parent,
        "g",
        class_="hit" if series is None else f"hit s{series % SHAPES}",
        data_tip=tip,
        data_series=series,
        data_run=run,
    )


def shape(parent: ET.Element, x: float, y: float, size: float, number: int, class_: str) -> None:
    """The mark of a series: circle, square, triangle, diamond, triangle down, cross."""
    r = size
    outlines = {
        1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2: [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        3: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        4: [(0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
        5: [(-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4),
            (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)],
    }  # fmt: skip
    if number % SHAPES == 0:
        add(parent, "circle", cx=x, cy=y, r=r, class_=class_)
        return
    points = (f"{num(x + r * dx)},{num(y + r * dy)}" for dx, dy in outlines[number % SHAPES])
    add(parent, "polygon", points=" ".join(points), class_=class_)


@dataclass(frozen=True)
class Scale:
    """From values to places.

    Attributes:
        low: value at the start.
        high: value at the end.
        start: its place.
        end: its place.
        log: by ratios rather than differences.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value, kept within the ends."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values within the ends, at most so many and at least one where there is one."""
        if self.log:
            for steps in ((1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 5), (1, 3), (1,)):
                found = [
                    step * 10.0**power
                    for power in range(-9, 10)
                    for step in steps
                    if self.low <= step * 10.0**power <= self.high
                ]
                if len(found) <= most:
                    return found
            return found[:: -(-len(found) // most)]
        raw = (self.high - self.low) / max(1, most)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def domain(
    values: list[float], ends: list[float], *, zero: bool = True, least: float = 1.0
) -> tuple[float, float]:
    """Ends of an axis: all values, and interval ends unless they lie far beyond the values."""
    values = [*values, 0.0] if zero else values
    low, high = min(values), max(values)
    room = max(high - low, least)
    low = max(min([low, *ends]), low - 1.5 * room)
    high = min(max([high, *ends]), high + 1.5 * room)
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    pad = 0.04 * (high - low)
    return low - pad, high + pad


def axis_text(value: float) -> str:
    """A value beside an axis."""
    return f"{value:,.6g}".replace("-", "−")


def standalone(chart: Chart, width: float = WIDE) -> str:
    """A plot as a file of its own: colours inside, light or dark as the viewer prefers."""
    drawn = chart.draw(width)
    drawn.set("xmlns", "http://www.w3.org/2000/svg")
    # Scripts of the page make use of these; a file of its own has none.
    for element in drawn.iter():
        for name in ("tabindex", "data-tip", "data-series", "data-run"):
            element.attrib.pop(name, None)
    height = float(drawn.get("height", "0"))
    if chart.legend:
        rows = _legend(drawn, chart.legend, width, height + 8)
        height += 8 + 20 * rows
        drawn.set("height", num(height))
        drawn.set("viewBox", f"0 0 {num(width)} {num(height)}")
    style = ET.Element("style")
    style.text = (resources.files("xmpress.study.charts") / "chart.css").read_text(encoding="utf-8")
    drawn.insert(0, style)
    ground = ET.Element("rect", {"width": "100%", "height": "100%", "class": "ground"})
    drawn.insert(1, ground)
    return ET.tostring(drawn, encoding="unicode") + "\n"


def inline(chart: Chart, width: float) -> str:
    """A plot as part of a page that has the style sheet."""
    return ET.tostring(chart.draw(width), encoding="unicode")


def _legend(parent: ET.Element, legend: tuple[Series, ...], width: float, y: float) -> int:
    x, row = 8.0, 0
    for series in legend:
        needed = 30 + width_of(series.name)
        if x > 8 and x + needed > width:
            x, row = 8.0, row + 1
        group = add(parent, "g", class_=f"s{series.number % SHAPES}")
        shape(group, x + 6, y + 20 * row + 6, 5, series.number, class_="mark")
        label(parent, x + 17, y + 20 * row + 10, series.name, most=width - 30)
        x += needed
    return row + 1
