"""Plots: what is drawn, that it can be seen, and that it is safe."""

import math
import re
from importlib import resources
from xml.etree import ElementTree as ET

import pytest

from xmpress.study.charts import (
    Bar,
    Bars,
    Front,
    Heatmap,
    Lane,
    Mark,
    Point,
    Series,
    Strip,
    Tile,
)
from xmpress.study.charts.base import (
    NARROW,
    WIDE,
    Scale,
    domain,
    inline,
    shorten,
    standalone,
    width_of,
)

NASTY = '</svg><script>alert("1")</script>\x00\ud800'


def charts(name: str = "thing"):
    return {
        "strip": Strip(
            "title", "axis", (Lane(name, ((0, (Mark(1.0, name, (0.5, 90.0)),)),
                                          (1, (Mark(2.0, name), Mark(3.0, name, minor=True))))),),
            (Series("one", 0), Series(name, 1)), sides=("left", "right"),
        ),
        "front": Front(
            "title", "across", "up",
            (Point(name, 2.0, 1.0, name, interval=(0.0, 2.0), range=(1.9, 2.1), bytes=5, best=True,
                   recommended=True), Point("other", 9.0, 6.0, "other", 1, best=True)),
            (Series("one", 0), Series("two", 1)),
        ),
        "heatmap": Heatmap(
            "title", (name, "b"), ("c", "d"),
            {(0, 0): Tile(3.0, "3.0", name, "1 … 5", sure=True), (1, 1): Tile(-1.0, "−1.0", "x"),
             (1, 0): Tile(7.0, "7.0", "few", judged=False)},
        ),
        "bars": Bars("title", (Bar(name, 3, "3 m", name), Bar("", 9, "9 m", "x", 1)),
                     (Series("one", 0), Series("two", 1))),
    }  # fmt: skip


KINDS = sorted(charts())


def texts(svg: ET.Element) -> list[str]:
    return [e.text or "" for e in svg.iter() if e.tag.endswith("text")]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("kind", KINDS)
def test_everything_stays_within_the_drawing(kind: str, width: float) -> None:
    svg = charts("a rather long name of a compressed model")[kind].draw(width)
    height = float(svg.get("height", "nan"))
    for element in svg.iter():
        for names, most in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
            for value in (float(element.get(name, "0")) for name in names):
                assert -1 <= value <= most + 1, (element.tag, element.attrib)
        if element.tag == "text" and "rotate" not in element.get("transform", ""):
            wide = width_of(element.text or "", float(element.get("font-size", "12")))
            start = float(element.get("x", "0"))
            start -= {"start": 0, "middle": wide / 2, "end": wide}[element.get("text-anchor", "")]
            assert start > -4 and start + wide < width + 4, element.text


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_well_formed_and_the_same_every_time(kind: str) -> None:
    chart = charts()[kind]
    text = standalone(chart)
    assert text == standalone(chart)
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme" in text
    assert "url(" not in text and "href" not in text and "data-tip" not in text
    if chart.legend:
        assert "one" in texts(root)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("kind", KINDS)
def test_names_of_others_cannot_leave_their_place(kind: str, width: float) -> None:
    text = inline(charts(NASTY)[kind], width)
    root = ET.fromstring(text)
    assert not [e for e in root.iter() if "script" in e.tag]
    assert "<script" not in text
    ET.fromstring(standalone(charts(NASTY)[kind]))


def test_a_heat_map_has_the_number_in_every_cell_and_frames_what_is_sure() -> None:
    svg = charts()["heatmap"].draw(WIDE)
    assert {"3.0", "1 … 5", "−1.0", "(7.0)", "–"} <= set(texts(svg))
    assert sum(e.get("class") == "sure" for e in svg.iter()) == 1
    assert "1 … 5" not in texts(charts()["heatmap"].draw(140))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_names_of_columns_that_lean_stay_within(width: float) -> None:
    names = tuple(f"compressed model {n}" for n in range(9))
    svg = Heatmap("t", ("en",), names, {}).draw(width)
    leaning = [e for e in svg.iter() if "rotate(-55" in e.get("transform", "")]
    assert len(leaning) == 9
    for element in leaning:
        long = width_of(element.text or "")
        assert float(element.get("x", "0")) + long * math.cos(math.radians(55)) <= width + 2
        assert float(element.get("y", "0")) - long * math.sin(math.radians(55)) >= -2


def test_series_differ_in_shape_and_not_only_in_colour() -> None:
    marks = [Lane("x", ((n, (Mark(1.0, "x"),)),)) for n in range(6)]
    svg = Strip("t", "a", tuple(marks)).draw(WIDE)
    outlines = set()
    for element in svg.iter():
        if element.get("class") == "mark":
            pairs = [pair.split(",") for pair in element.get("points", "").split()]
            top = min((float(y) for _, y in pairs), default=0.0)
            outlines.add(tuple((x, round(float(y) - top)) for x, y in pairs))
    assert len(outlines) == 6


def test_an_interval_beyond_the_axis_ends_in_an_arrow() -> None:
    svg = Strip("t", "a", (Lane("x", ((0, (Mark(1.0, "x", (-400.0, 1.5)),)),)),)).draw(WIDE)
    assert sum(e.tag == "polyline" for e in svg.iter()) == 1


def test_the_front_rings_one_point_and_joins_the_best() -> None:
    svg = charts()["front"].draw(WIDE)
    classes = [e.get("class") for e in svg.iter()]
    assert classes.count("ring") == 1 and classes.count("front") == 1
    assert "thing (recommended)" not in texts(svg)
    assert "1  thing (recommended)" in texts(charts()["front"].draw(NARROW))


def test_names_on_the_front_do_not_cover_each_other() -> None:
    points = tuple(Point(f"model number {n}", 2 + 0.1 * n, 1.0, "x") for n in range(5))
    svg = Front("t", "a", "u", points).draw(WIDE)
    boxes = []
    for element in svg.iter("text"):
        if "halo" in element.get("class", ""):
            half = width_of(element.text or "") / 2
            x, y = float(element.get("x", "0")), float(element.get("y", "0"))
            boxes.append((x - half, y - 10, x + half, y + 2))
    assert len(boxes) == 5
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_axes() -> None:
    assert Scale(0, 10, 0, 100)(5) == 50
    assert Scale(1, 100, 0, 100, log=True)(10) == pytest.approx(50)
    assert Scale(0, 10, 0, 100)(50) == 100
    assert Scale(-1, 9.5, 0, 1).ticks(5) == [0, 2.5, 5, 7.5]
    assert Scale(0.75, 1.5, 0, 1, log=True).ticks(5) == pytest.approx([0.8, 1, 1.2, 1.4])
    assert Scale(0.9, 21, 0, 1, log=True).ticks(5) == pytest.approx([1, 2, 5, 10, 20])
    assert domain([1.0, 2.0], [0.5, 2.5])[0] < 0 < 2.5 < domain([1.0, 2.0], [0.5, 2.5])[1]
    low, high = domain([1.0, 2.0], [-1000.0, 1000.0])
    assert -10 < low < high < 10
    low, high = domain([5.0], [], zero=False)
    assert low < 5 < high


def test_long_text_is_shortened_to_its_room() -> None:
    assert shorten("short", 100) == "short"
    cut = shorten("a very long name that has no room", 60)
    assert cut.endswith("…") and width_of(cut) <= 60
    assert width_of("日本") > width_of("ab")


# ---- contrast -------------------------------------------------------------------------------


def palettes() -> dict[str, dict[str, str]]:
    """Colours by name, light and dark."""
    text = (resources.files("xmpress.study.charts") / "chart.css").read_text(encoding="utf-8")
    text += (resources.files("xmpress.study.report") / "templates/style.css").read_text(
        encoding="utf-8"
    )
    found: dict[str, dict[str, str]] = {"light": {}, "dark": {}}
    for line in re.findall(
        r"@media screen and \(prefers-color-scheme: dark\) \{.*?\n\}", text, re.S
    ):
        found["dark"].update(re.findall(r"--([\w-]+): (#\w{6})", line))
        text = text.replace(line, "")
    found["light"].update(re.findall(r"--([\w-]+): (#\w{6})", text))
    found["dark"] = {**found["light"], **found["dark"]}
    return found


def contrast(a: str, b: str) -> float:
    """Of two colours, by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else math.pow((p + 0.055) / 1.055, 2.4) for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_the_contrast_that_aa_asks_for(theme: str) -> None:
    colour = palettes()[theme]
    for text, ground in (
        ("ink", "ground"), ("ink", "bg"), ("ink", "band"), ("ink", "good-bg"), ("dim", "ground"),
        ("dim", "bg"), ("dim", "band"), ("dim", "good-bg"), ("accent", "ground"), ("accent", "bg"),
        ("warn", "warn-bg"), *(("on", f"h{n}") for n in range(1, 8)), ("on-strong", "h0"),
        ("on-strong", "h8"),
    ):  # fmt: skip
        assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    for mark in (*(f"s{n}" for n in range(6)), "zero"):
        for ground in ("ground", "band"):
            assert contrast(colour[mark], colour[ground]) >= 3, (mark, ground)
