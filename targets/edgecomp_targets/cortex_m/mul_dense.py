"""Dense layers of one row for cores that multiply one number at a time: Cortex-M0+ and M3."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import DenseWork
from edgecomp_targets.cortex_m.dsp_dense import unit_constants
from edgecomp_targets.cortex_m.mul_conv import WEIGHT_OFFSET
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range
from edgecomp_targets.cortex_m.rescale import fast_channels

UNITS_AT_ONCE = 4

Array = npt.NDArray[Any]


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]; None when it has more rows, or K is no multiple of 4."""
    if work.rows != 1 or work.depth % 4:
        return None
    units = fast_channels(weights, constants, work.rescale)
    if units is None:
        return None
    named, own = unit_constants(units)
    low, high = work.rescale.low, work.rescale.high
    fields = {
        "depth": work.depth,
        "units": work.units,
        "own_rescaling": int(own),
        **output_range(low, high),
    }
    return Replacement(
        "ec_mul_dense",
        "edgecomp_mul_dense.h",
        (0,),
        {"weights": _packed(units.weights), **named, "geometry": geometry(fields)},
    )


def _packed(weights: Array) -> npt.NDArray[np.uint8]:
    """[units / 4, depth, 4]: weights plus an offset that makes them unsigned."""
    filled = np.pad(weights.astype(np.int64), [(0, -len(weights) % UNITS_AT_ONCE), (0, 0)])
    groups = filled.reshape(-1, UNITS_AT_ONCE, filled.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(groups + WEIGHT_OFFSET).astype(np.uint8)
