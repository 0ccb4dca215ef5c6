"""Sensitivities as charts: the accuracy, or the divergence, of each layer against what it saves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgecomp.passes import parse_pass
from edgecomp.passes.base import Pass
from edgecomp.passes.options import options_of
from edgecomp.report.chart import TONES, Axis, Chart, Point, Series
from edgecomp.report.units import short_text
from edgecomp.sensitivity import Sensitivity

Number = Callable[[Sensitivity], float | None]


@dataclass(frozen=True)
class Measure:
    """Something that rows have a number of: how to get it, and its axis."""

    of: Number
    axis: Axis


ACCURACY = Measure(lambda row: row.accuracy, Axis("accuracy", lambda share: f"{share:.1%}"))
DECIBELS = Measure(lambda row: row.sqnr_db, Axis("SQNR of the outputs, dB", short_text))
WORK = (
    Measure(lambda row: row.saved_instructions, Axis("instructions saved, modelled", short_text)),
    Measure(lambda row: row.saved_macs, Axis("multiply-accumulates saved", short_text)),
)
"""What a device saves of its work: the first that is known and not nothing is drawn."""
BYTES = Measure(lambda row: row.saved_bytes, Axis("bytes of constants saved", short_text))


def sensitivity_charts(rows: Sequence[Sensitivity]) -> list[Chart]:
    """Charts of each pass: against an option that varies, work saved and bytes saved.

    A layer is a line through what was found of it; refused layers and unharmed ones without labels,
    whose divergence is infinitely small, are not drawn.
    """
    named = [(row, parse_pass(row.spec)) for row in rows if row.refused is None]
    return [
        chart
        for name in dict.fromkeys(each.name for _, each in named)
        for chart in _of_pass(name, [(row, each) for row, each in named if each.name == name])
    ]


Rows = Sequence[tuple[Sensitivity, Pass]]


def _of_pass(name: str, rows: Rows) -> Iterator[Chart]:
    quality = ACCURACY if all(row.accuracy is not None for row, _ in rows) else DECIBELS
    if not any(quality.of(row) is not None for row, _ in rows):
        return
    varied = _varied([each for _, each in rows])
    numbers = [option for option in varied if _is_number(rows[0][1], option)]
    if len(numbers) == 1:
        values = {row: float(getattr(each, numbers[0])) for row, each in rows}
        rest = [option for option in varied if option != numbers[0]]
        measure = Measure(values.get, Axis(f"{name}: {numbers[0]}", short_text))
        yield _chart(name, rows, quality, measure, rest)
        varied = rest
    work = (saving for saving in WORK if any(saving.of(row) for row, _ in rows))
    for saving in (*itertools.islice(work, 1), BYTES):
        if any(saving.of(row) for row, _ in rows):
            yield _chart(name, rows, quality, saving, varied)


def _varied(passes: Sequence[Pass]) -> list[str]:
    """The options that are not the same in all of `passes`, which are of one class."""
    names = [option.name for option in options_of(type(passes[0]))]
    return [name for name in names if len({getattr(each, name) for each in passes}) > 1]


def _is_number(each: Pass, option: str) -> bool:
    found = next(o for o in options_of(type(each)) if o.name == option)
    return found.type in (int, float) and not found.many


def _chart(name: str, rows: Rows, quality: Measure, over: Measure, told: Sequence[str]) -> Chart:
    """A line for each layer and each value of the options in `told`."""
    lines: dict[str, list[Point]] = {}
    for row, each in rows:
        x, y = over.of(row), quality.of(row)
        if x is not None and y is not None:
            label = ", ".join([row.node, *(f"{o}={getattr(each, o)}" for o in told)])
            hint = f"{row.node}, {each.brief}: {over.axis.text(x)}, {quality.axis.text(y)}"
            lines.setdefault(label, []).append(Point(x, y, hint))
    worst = sorted(lines, key=lambda label: min(point.y for point in lines[label]))
    series = tuple(
        Series(label, tuple(lines[label]), place if place < len(TONES) else None)
        for place, label in enumerate(worst)
    )
    before = next((row.accuracy_before for row, _ in rows if row.accuracy_before is not None), None)
    level = None if before is None or quality is not ACCURACY else (before, "as it came")
    title = f"{name}: {quality.axis.label} against {over.axis.label.removeprefix(f'{name}: ')}"
    return Chart(title, over.axis, quality.axis, series, level)
