"""Charts: round ticks around all numbers, points where they belong, names that cannot do harm."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.report.chart import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Chart, Point, Series, svg
from edgecomp.report.chart import ticks as ticks_of
from edgecomp.report.units import short_text

SPACE = "{http://www.w3.org/2000/svg}"
numbers = st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: round(number, 6))
PLAIN = Axis("share", short_text)


@settings(max_examples=200)
@given(numbers, numbers)
def test_ticks_are_few_even_and_around(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = ticks_of(low, high)
    step = found[1] - found[0]
    slack = 1e-6 * max(abs(low), abs(high), step)
    assert 2 <= len(found) <= 12
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert all(abs(b - a - step) < slack for a, b in itertools.pairwise(found))


@settings(max_examples=50)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_points_lie_within_the_axes(places: list[tuple[float, float]]) -> None:
    points = tuple(Point(x, y, "here") for x, y in places)
    root = ElementTree.fromstring(svg([Chart("t", PLAIN, PLAIN, (Series("s", points, 0),))]))
    drawn = [dot for dot in root.iter(f"{SPACE}circle") if dot.find(f"{SPACE}title") is not None]
    assert len(drawn) == len(points)
    for dot in drawn:
        assert LEFT - 0.1 <= float(dot.attrib["cx"]) <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= float(dot.attrib["cy"]) <= HEIGHT


def test_names_are_text() -> None:
    """A layer may be called anything; nothing of it becomes markup."""
    point = Point(1.0, 2.0, "<b>&")
    series = Series('"<script>alert(1)</script>', (point,), None)
    text = svg([Chart("a < b & c", PLAIN, PLAIN, (series,), (1.5, "</svg>"))])
    root = ElementTree.fromstring(text)
    assert root.find(f".//{SPACE}script") is None
    assert "1 other layers" in [each.text for each in root.iter(f"{SPACE}text")]
    assert "a < b & c" in [each.text for each in root.iter(f"{SPACE}text")]


def test_a_long_name_keeps_its_end() -> None:
    name = "model/" * 10 + "last_conv"
    text = svg([Chart("t", PLAIN, PLAIN, (Series(name, (Point(0, 0, "h"),), 0),))])
    assert "/last_conv" in text
    assert name not in text
