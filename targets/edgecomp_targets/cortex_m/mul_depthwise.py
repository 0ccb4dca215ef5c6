"""Depthwise 3x3 convolutions for cores that multiply one number at a time: Cortex-M0+ and M3."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvWork
from edgecomp_targets.cortex_m.dsp_depthwise import overlaps_by_channels
from edgecomp_targets.cortex_m.mul_conv import channel_rows
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range
from edgecomp_targets.cortex_m.rescale import fast_channels

Array = npt.NDArray[Any]


def depthwise(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A depthwise convolution with weights [3,3,C]; None when it is of another kind."""
    shape = work.shape
    batch, height, width, channels = shape.x
    stride = shape.strides[0]
    if (
        shape.kernel != (3, 3)
        or shape.dilations != (1, 1)
        or shape.strides not in ((1, 1), (2, 2))
        or shape.out_channels != channels
        or shape.pads[1] > 1
    ):
        return None
    fast = fast_channels(weights.reshape(9, channels).T, constants, work.rescale)
    if fast is None or not fast.has_usual_addends:
        return None
    # four outputs at a time, of which the last may not be there
    words = (-(-shape.output_extent(1) // 4) * 4 + 1) * stride + 2 - stride % 2
    fields = {
        "batch": batch,
        "height": height,
        "width": width,
        "channels": channels,
        "out_height": shape.output_extent(0),
        "out_width": shape.output_extent(1),
        "stride": stride,
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "words": words,
        "zero_point": work.input_zero_point,
        "twice_zero": 2 * work.rescale.zero_point + 1,
        **output_range(work.rescale.low, work.rescale.high),
    }
    return Replacement(
        "ec_mul_depthwise",
        "edgecomp_mul_depthwise.h",
        (0,),
        {
            "taps": np.ascontiguousarray(fast.weights),
            "channels": channel_rows(fast),
            "geometry": geometry(fields),
        },
        3 * words,
        overlaps_by_channels(shape),
    )
