"""Figures as people read them: bytes, seconds, joules, counts, shares."""

from __future__ import annotations

from collections.abc import Sequence

NONE = "-"
"""What stands where there is no figure."""
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def bytes_text(count: float | None) -> str:
    """`17.8 KiB`; infinite is `no limit`."""
    if count is None:
        return NONE
    if count == float("inf"):
        return "no limit"
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size:
            amount = count / size
            return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"
    return f"{count:.0f} B"


def count_text(count: float | None) -> str:
    """`729,258`."""
    return NONE if count is None else f"{count:,.0f}"


def clock_text(hertz: float) -> str:
    """`120 MHz`."""
    return f"{hertz / 1e9:.4g} GHz" if hertz >= 1e9 else f"{hertz / 1e6:.4g} MHz"


def small_text(value: float | None, unit: str) -> str:
    """Seconds, joules or watts with a prefix: `9.42 ms`."""
    if value is None:
        return NONE
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def short_text(number: float) -> str:
    """`1.5M`, `20k`, `0.25`: a number at an axis."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.4g}{suffix}"
    return f"{number:.4g}"


def share_text(share: float | None) -> str:
    """`98.89 %`."""
    return NONE if share is None else f"{100 * share:.2f} %"


def shape_text(shape: Sequence[int]) -> str:
    """`1 x 3 x 224 x 224`."""
    return " x ".join(str(axis) for axis in shape) or "scalar"
