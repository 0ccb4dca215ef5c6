"""Sums of two tensors of one shape for cores with the DSP extension."""

from __future__ import annotations

import math

from edgecomp.lowering.kernels.elementwise import AddWork
from edgecomp.lowering.multipliers import ADD_LEFT_SHIFT
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range

HALF = (1 << 30, 0)
"""Mantissa and shift of the multiplier 1/2."""


def add(work: AddWork) -> Replacement | None:
    """An addition by `ec_dsp_add`; None as for `sum_geometry`."""
    found = sum_geometry(work)
    if found is None:
        return None
    inputs, fields = found
    constants = {"geometry": geometry(fields)}
    both = (Overlap(0, 0), Overlap(1, 0))
    return Replacement("ec_dsp_add", "edgecomp_dsp_add.h", inputs, constants, overlaps=both)


def sum_geometry(work: AddWork) -> tuple[tuple[int, int], dict[str, int]] | None:
    """Which operand comes first, and the fields of `ec_dsp_sum`.

    None for a subtraction, for broadcasting, and where the fast rescaling does not do.
    The specification gives the operand with the larger scale the multiplier 1/2.
    """
    if work.a != work.b or work.subtract:
        return None
    scales = work.scales
    multipliers = [(m.mantissa, m.shift) for m in scales.inputs]
    if HALF not in multipliers:
        return None
    half = multipliers.index(HALF)
    other = 1 - half
    mantissa, shift = multipliers[other]
    if shift > -1 or scales.output.shift > -1:
        return None
    right = -scales.output.shift
    addend = (1 << (right - 1)) + (scales.zero_point << right)
    # the sum of two operands is below 2^28; the addend must leave room for it
    if abs(addend) >= 1 << 30 or -shift > 30:
        return None
    fields = {
        "count": math.prod(work.a),
        "b_zero": scales.zero_points[other] << (ADD_LEFT_SHIFT + 1),
        "b_multiplier": mantissa,
        "b_rounding": 1 << (-shift - 1),
        "b_shift": -shift,
        "a_zero": scales.zero_points[half] << ADD_LEFT_SHIFT,
        "twice_bias": 0,
        "multiplier": scales.output.mantissa,
        "addend": addend,
        "shift": right,
        **output_range(scales.low, scales.high),
    }
    return (half, other), fields
