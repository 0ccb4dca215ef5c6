"""Depthwise 3x3 convolutions for cores with Helium."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvWork
from edgecomp.lowering.overlaps import by_rows
from edgecomp_targets.cortex_m.dsp_conv import conv_fields
from edgecomp_targets.cortex_m.dsp_weights import quads
from edgecomp_targets.cortex_m.mve_conv import filled
from edgecomp_targets.cortex_m.replacement import Replacement, geometry

CHANNELS_AT_ONCE = 16
ORDER = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)
"""Of sixteen channels' constants: as widening even and odd lanes leaves the sums."""

Array = npt.NDArray[Any]


def depthwise(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A depthwise convolution with weights [3,3,C]; None when it is of another kind."""
    shape = work.shape
    if (
        shape.kernel != (3, 3)
        or shape.dilations != (1, 1)
        or shape.out_channels != shape.x[3]
        or not work.rescale.only_down
        or weights.min() == -128  # two such products do not fit 16 bits
    ):
        return None
    taps = filled(weights.reshape(9, -1), CHANNELS_AT_ONCE, 1)
    taps = np.ascontiguousarray(taps.reshape(9, -1, CHANNELS_AT_ONCE).transpose(1, 0, 2))
    rows = [filled(array.astype(np.int32), CHANNELS_AT_ONCE) for array in constants]
    ordered = np.stack([row.reshape(-1, CHANNELS_AT_ONCE)[:, ORDER] for row in rows], axis=1)
    fields = conv_fields(shape, work.input_zero_point, work.rescale)
    fields["out_zero_point"] = work.rescale.zero_point
    if shape.x[3] % CHANNELS_AT_ONCE:
        # sixteen channels are read where there are fewer: not from the end of the input
        fields["padded_width"] = shape.pads[1] + shape.x[2] + shape.pads[3]
    row_bytes = fields["padded_width"] * fields["channels"] * fields["kernel_height"]
    return Replacement(
        "ec_mve_depthwise",
        "edgecomp_mve_depthwise.h",
        (0,),
        {"weights": taps, "constants": ordered, "geometry": geometry(fields)},
        quads(row_bytes + CHANNELS_AT_ONCE),
        by_rows(shape, rows=1, copied=fields["padded_width"] != 0),
    )
