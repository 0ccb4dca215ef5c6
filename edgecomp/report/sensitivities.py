"""What people read of sensitivities: a table with bars."""

from __future__ import annotations

from edgecomp.commands.sensitivity import Sensitivities
from edgecomp.passes import parse_pass
from edgecomp.report.tables import Lines, facts, table
from edgecomp.report.units import bytes_text, count_text
from edgecomp.sensitivity import Sensitivity

MOST_DECIBELS, LONGEST = 60.0, 20
"""A bar has its greatest length, in characters, at 0 dB, and none from so many decibels on."""


def sensitivity_lines(result: Sensitivities) -> Lines:
    """A table for each pass: the layers that hurt most come first."""
    for spec in dict.fromkeys(row.spec for row in result.rows):
        rows = sorted((row for row in result.rows if row.spec == spec), key=_hurt)
        header = ("layer", "harm", "SQNR#", "accuracy#", "bytes saved#", "MACs saved#",
                  "instructions saved, modelled#", "why not")  # fmt: skip
        yield table(parse_pass(spec).brief, header, [_cells(row) for row in rows])
    files = [path for path in (result.written.results, result.written.plot) if path is not None]
    if files:
        yield facts([("written", ", ".join(map(str, files)))])


def _hurt(row: Sensitivity) -> tuple[bool, float]:
    return row.refused is not None, float("inf") if row.sqnr_db is None else row.sqnr_db


def _cells(row: Sensitivity) -> tuple[str, ...]:
    ratio = MOST_DECIBELS if row.sqnr_db is None else row.sqnr_db
    harm = 1 - min(max(ratio, 0.0), MOST_DECIBELS) / MOST_DECIBELS
    counts = (row.saved_macs, row.saved_instructions)
    return (
        row.node,
        "#" * round(harm * LONGEST),
        "" if row.sqnr_db is None else f"{row.sqnr_db:.1f} dB",
        "" if row.accuracy is None else f"{row.accuracy:.2%}",
        "" if row.saved_bytes is None else bytes_text(row.saved_bytes),
        *("" if count is None else count_text(count) for count in counts),
        row.refused or "",
    )
