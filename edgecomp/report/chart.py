"""Line charts as SVG: axes with ticks, a legend, nothing from outside the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 80, 230, 34, 48
"""Pixels of a chart, and of its margins; the legend is in the right one."""
TICKS = 5
"""About how many there are on an axis."""
NAME = 32
"""Characters of a name in the legend at most."""

TONES = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#3ea6dd", "#8c6bd1", "#c1272d"
)  # fmt: skip
"""Colours of series, told apart by the colour-blind (Okabe and Ito 2008) and legible on dark and
on light paper; a series beyond them is grey."""

_TONE_RULES = "".join(
    f".{name} polyline {{ stroke: {tone}; }} .{name} circle {{ fill: {tone}; }}\n"
    for name, tone in [*((f"t{place}", tone) for place, tone in enumerate(TONES)), ("rest", "#999")]
)
STYLE = f"""
.chart {{ font: 12px system-ui, sans-serif; }} .chart polyline {{ fill: none; stroke-width: 1.8; }}
.chart text {{ fill: #222; }} .chart .title {{ font-size: 14px; font-weight: 600; }}
.chart .paper {{ fill: #fff; }} .chart .grid {{ stroke: #ddd; }}
.chart .axis, .chart .level {{ stroke: #222; }} .chart .level {{ stroke-dasharray: 5 4; }}
{_TONE_RULES}@media (prefers-color-scheme: dark) {{
.chart text {{ fill: #ddd; }} .chart .paper {{ fill: #1b1d20; }} .chart .grid {{ stroke: #3a3d42; }}
.chart .axis, .chart .level {{ stroke: #ddd; }}
}}
"""
"""Rules for charts, on pages and in files of their own."""


@dataclass(frozen=True)
class Point:
    """A place of a series, and what is told of it when it is pointed at."""

    x: float
    y: float
    hint: str


@dataclass(frozen=True)
class Series:
    """Points joined in order of `x`.

    Attributes:
        name: in the legend.
        points: at least one.
        tone: which colour, an index of `TONES`; None for one of many in the background.
    """

    name: str
    points: tuple[Point, ...]
    tone: int | None


@dataclass(frozen=True)
class Axis:
    """What an axis counts.

    Attributes:
        label: its name and unit.
        text: how a number is written at it.
    """

    label: str
    text: Callable[[float], str]


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: above it.
        x, y: its axes.
        series: what is drawn, the first on top.
        level: a height to draw a dashed line at, and its name; None for none.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    level: tuple[float, str] | None = None


@dataclass(frozen=True)
class _Scale:
    """From numbers to pixels along an axis."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, from at most `low` to at least `high`."""
    if high <= low:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((n * power for n in (1, 2, 2.5, 5, 10)), key=lambda size: abs(size - rough))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * count for count in range(first, last + 1)]


def svg(charts: Sequence[Chart]) -> str:
    """A file of its own with `charts` below each other."""
    height = HEIGHT * max(len(charts), 1)
    drawn = "".join(draw(chart, HEIGHT * place) for place, chart in enumerate(charts))
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    space = 'xmlns="http://www.w3.org/2000/svg"'
    return f"<svg {space} {size}><style>{escape(STYLE, quote=False)}</style>{drawn}</svg>\n"


def draw(chart: Chart, top: int = 0) -> str:
    """The <svg> element of `chart`, `top` pixels down; `STYLE` has to be on the page."""
    points = [point for series in chart.series for point in series.points]
    heights = [point.y for point in points] + ([chart.level[0]] if chart.level else [])
    across = ticks(min(p.x for p in points), max(p.x for p in points))
    up = ticks(min(heights), max(heights))
    x = _Scale(across[0], across[-1], LEFT, WIDTH - RIGHT)
    y = _Scale(up[0], up[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        *_grid(chart, across, up, x, y),
        *_level(chart, y),
        *(_series(series, x, y) for series in reversed(chart.series)),
        *_legend(chart),
    ]
    return (
        f'<svg class="chart" y="{top}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    shown = escape(text, quote=False)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{shown}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _grid(
    chart: Chart, across: Sequence[float], up: Sequence[float], x: _Scale, y: _Scale
) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    yield _text(LEFT, 20, chart.title, more=' class="title"')
    for value in up:
        yield _line("grid", LEFT, y.at(value), right, y.at(value))
        yield _text(LEFT - 6, y.at(value) + 4, chart.y.text(value), "end")
    for value in across:
        yield _line("axis", x.at(value), bottom, x.at(value), bottom + 4)
        yield _text(x.at(value), bottom + 17, chart.x.text(value), "middle")
    yield _line("axis", LEFT, TOP, LEFT, bottom)
    yield _line("axis", LEFT, bottom, right, bottom)
    yield _text((LEFT + right) / 2, HEIGHT - 12, chart.x.label, "middle")
    middle = (TOP + bottom) / 2
    turned = f' transform="rotate(-90 14 {middle:.1f})"'
    yield _text(14, middle, chart.y.label, "middle", turned)


def _level(chart: Chart, y: _Scale) -> Iterator[str]:
    if chart.level is not None:
        value, name = chart.level
        yield _line("level", LEFT, y.at(value), WIDTH - RIGHT, y.at(value))
        yield _text(WIDTH - RIGHT - 4, y.at(value) - 5, name, "end")


def _series(series: Series, x: _Scale, y: _Scale) -> str:
    points = sorted(series.points, key=lambda point: point.x)
    places = " ".join(f"{x.at(p.x):.1f},{y.at(p.y):.1f}" for p in points)
    dots = "".join(
        f'<circle cx="{x.at(p.x):.1f}" cy="{y.at(p.y):.1f}" r="3.5">'
        f"<title>{escape(p.hint, quote=False)}</title></circle>"
        for p in points
    )
    return f'<g class="{_tone(series)}"><polyline points="{places}"/>{dots}</g>'


def _tone(series: Series) -> str:
    return "rest" if series.tone is None else f"t{series.tone}"


def _legend(chart: Chart) -> Iterator[str]:
    """A row for each series with a colour, and one for all others."""
    shown = [series for series in chart.series if series.tone is not None]
    others = len(chart.series) - len(shown)
    rows = [(_tone(series), _short(series.name)) for series in shown]
    rows += [("rest", f"{others} other layers")] if others else []
    left = WIDTH - RIGHT + 14
    for place, (tone, name) in enumerate(rows):
        down = TOP + 22 + 19 * place
        yield f'<g class="{tone}"><circle cx="{left}" cy="{down}" r="4.5"/></g>'
        yield _text(left + 10, down + 4, name)


def _short(name: str) -> str:
    """The end of a long name, which is what tells layers apart."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"
