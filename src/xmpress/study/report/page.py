"""The report as one HTML page: styles, script and plots inside, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from xmpress.errors import MissingExtraError
from xmpress.study.charts import Chart
from xmpress.study.charts.base import NARROW, SHAPES, WIDE, canvas, inline, shape
from xmpress.study.report.content import Content
from xmpress.study.view import Group

_SHAPE = 13.0
"""Side of a mark in a legend."""


def page(content: Content) -> str:
    """The whole page.

    Raises:
        MissingExtraError: if jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise MissingExtraError("report", "writing a report") from error
    environment = Environment(
        loader=PackageLoader("xmpress.study.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _read("charts", "chart.css") + _read("report/templates", "style.css")
    script = _read("report/templates", "report.js")

    def drawn(chart: Chart, both: bool) -> dict[str, Any]:
        return {
            "title": chart.title,
            "wide": Markup(inline(chart, WIDE)),
            # What is shown on demand only is drawn once: a phone scrolls through it.
            "narrow": Markup(inline(chart, NARROW)) if both else "",
            "legend": [
                (series.name, series.number, Markup(_mark(series.number)))
                for series in chart.legend
            ],
        }

    return environment.get_template("page.html.j2").render(
        content=content,
        results=content.results,
        drawn=drawn,
        sources=lambda runs: _sources(content, runs),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _read(folder: str, name: str) -> str:
    return (resources.files("xmpress.study") / folder / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy calls an inline style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _mark(number: int) -> str:
    """A series' mark by itself."""
    from xml.etree import ElementTree as ET

    svg = canvas(_SHAPE, _SHAPE, "")
    for name in ("role", "aria-label", "tabindex", "class"):
        del svg.attrib[name]
    svg.set("aria-hidden", "true")
    shape(svg, _SHAPE / 2, _SHAPE / 2, 5.0, number % SHAPES, "mark")
    return ET.tostring(svg, encoding="unicode")


def _sources(content: Content, runs: tuple[str, ...]) -> list[Group]:
    """The groups behind a table."""
    anchors = set(" ".join(runs).split())
    return [group for group in content.view.groups if group.anchor in anchors]
