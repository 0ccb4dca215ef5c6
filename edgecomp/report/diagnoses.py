"""What people read of the diagnosis of a quantization."""

from __future__ import annotations

from edgecomp.diagnosis import Diagnosis
from edgecomp.passes import parse_pass
from edgecomp.quantization_noise import ModelNoise
from edgecomp.report.tables import Lines, facts, table

MOST_ROWS = 40
"""Values shown; JSON has all of them."""


def diagnosis_lines(result: Diagnosis) -> Lines:
    """The noise of each value, worst first, then what was tried and what would help."""
    yield table(f"{parse_pass(result.spec).brief}: signal over noise", *noise_table(result.noise))
    hidden = len(result.noise.values) - MOST_ROWS
    if hidden > 0:
        yield f"and {hidden} values with less noise (--json lists all)"
    rows = [
        (t.change, "" if t.output_db is None else f"{t.output_db:.1f} dB", t.refused or "")
        for t in result.trials
    ]
    yield table("tried", ("change", "output#", "why not"), rows)
    yield facts([("output", f"{result.noise.output_db:.1f} dB as it is")])
    for finding in result.findings:
        yield finding.sentence


def noise_table(noise: ModelNoise) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the noisiest values."""
    header = ("node or input", "operator", "alone#", "accumulated#", "channels' spread#")
    worst = sorted(noise.values, key=lambda value: value.local_db)[:MOST_ROWS]
    return header, [
        (v.label, v.op, f"{v.local_db:.1f} dB", f"{v.accumulated_db:.1f} dB", f"{v.spread:.1f}x")
        for v in worst
    ]
