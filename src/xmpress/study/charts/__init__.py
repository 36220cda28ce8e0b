"""Plots as SVG made by hand: small, without scripts of others, and the same file every time."""

from xmpress.study.charts.bars import Bar, Bars
from xmpress.study.charts.base import Chart, Series
from xmpress.study.charts.front import Front, Point
from xmpress.study.charts.heatmap import Heatmap, Tile
from xmpress.study.charts.strip import Lane, Mark, Strip

__all__ = [
    "Bar",
    "Bars",
    "Chart",
    "Front",
    "Heatmap",
    "Lane",
    "Mark",
    "Point",
    "Series",
    "Strip",
    "Tile",
]
