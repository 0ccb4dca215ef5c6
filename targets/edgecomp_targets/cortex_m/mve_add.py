"""Sums of two tensors of one shape for cores with Helium."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import multiply
from edgecomp.lowering.kernels.elementwise import AddWork
from edgecomp.lowering.multipliers import ADD_LEFT_SHIFT
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m import dsp_add
from edgecomp_targets.cortex_m.dsp_add import HALF
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range

TABLE_ELEMENTS = 1024
"""A sum of fewer is not worth the flash of a table."""

Array = npt.NDArray[Any]


def add(work: AddWork) -> Replacement | None:
    """An addition by `ec_mve_add`, small ones by `ec_dsp_add`.

    None for a subtraction, for broadcasting, and where neither operand has the multiplier 1/2: the
    specification gives it to the one with the larger scale.
    """
    scales = work.scales
    multipliers = [(m.mantissa, m.shift) for m in scales.inputs]
    if math.prod(work.a) < TABLE_ELEMENTS:
        return dsp_add.add(work)
    if work.a != work.b or work.subtract or HALF not in multipliers or scales.output.shift > -1:
        return None
    half = multipliers.index(HALF)
    fields = {
        "count": math.prod(work.a),
        "multiplier": scales.output.mantissa,
        "shift": scales.output.shift,
        "zero_point": scales.zero_point,
        "is_clamped": int(scales.low >= scales.zero_point),
        **output_range(scales.low, scales.high),
    }
    return Replacement(
        "ec_mve_add",
        "edgecomp_mve_add.h",
        (half, 1 - half),
        {"terms": _terms(work, half), "geometry": geometry(fields)},
        overlaps=(Overlap(0, 0), Overlap(1, 0)),
    )


def _terms(work: AddWork, half: int) -> npt.NDArray[np.int32]:
    """What each value of the other operand adds to half a step of operand `half`, from -128 on."""
    zero_points = work.scales.zero_points
    steps = np.arange(-128, 128, dtype=np.int64) - zero_points[1 - half]
    terms = multiply(steps << ADD_LEFT_SHIFT, work.scales.inputs[1 - half])
    halves = zero_points[half] << (ADD_LEFT_SHIFT - 1)
    return (terms - halves).astype(np.int32)
