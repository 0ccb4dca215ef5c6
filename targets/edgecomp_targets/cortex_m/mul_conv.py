"""Convolutions for cores that multiply one number at a time: Cortex-M0+ and M3."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp_targets.cortex_m.dsp_conv import flattened, is_row_of_pixels
from edgecomp_targets.cortex_m.dsp_weights import quads
from edgecomp_targets.cortex_m.replacement import Replacement, extents, geometry, output_range
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels
from edgecomp_targets.cortex_m.weight_order import WeightOrder

PIXELS_AT_ONCE = 4
WEIGHT_OFFSET = 128

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has groups or dilation.

    None, too, where an addend of its own is needed: the constants have no place for it.
    """
    if work.shape.group != 1 or work.shape.dilations != (1, 1):
        return None
    channels = fast_channels(weights.reshape(len(weights), -1), constants, work.rescale)
    if channels is None or not channels.has_usual_addends:
        return None
    shape = flattened(work.shape)
    depth = channels.weights.shape[1]
    fields = pixel_fields(shape, work, depth)
    overlaps = (
        by_pixels(shape, pixels=PIXELS_AT_ONCE, copied=True)
        if is_row_of_pixels(shape)
        else by_rows(shape, rows=1, copied=False)
    )
    return Replacement(
        "ec_mul_conv",
        "edgecomp_mul_conv.h",
        (0,),
        {
            "weights": _packed(channels.weights),
            "channels": channel_rows(channels),
            "geometry": geometry(fields),
        },
        PIXELS_AT_ONCE * 4 * quads(depth),
        overlaps,
        order=_order(quads(depth)),
    )


def channel_rows(channels: Channels) -> npt.NDArray[np.int32]:
    """Twice the bias, multiplier, shift of each channel [channels, 3]: `ec_mul_channel`."""
    return np.ascontiguousarray(channels.doubled()[:, (0, 1, 3)])


def _packed(weights: Array) -> npt.NDArray[np.uint8]:
    """[channels, 4 * quads]: weights plus an offset that makes them unsigned."""
    filled = np.pad(weights.astype(np.int64), [(0, 0), (0, -weights.shape[1] % 4)])
    return (filled + WEIGHT_OFFSET).astype(np.uint8)


def _order(filled: int) -> WeightOrder:
    """Of filters of so many quads; where those are odd, of two filters."""
    return WeightOrder(((0, 1),), run=filled if filled % 2 else filled // 2, zero=-WEIGHT_OFFSET)


def pixel_fields(shape: ConvShape, work: ConvWork, depth: int) -> dict[str, int]:
    """Fields of `ec_mul_conv_shape`."""
    rescale = work.rescale
    return {
        **extents(shape),
        "kernel_width": shape.kernel[1],
        "stride_height": shape.strides[0],
        "stride_width": shape.strides[1],
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "quads": quads(depth),
        "zero_point": work.input_zero_point,
        "twice_zero": 2 * rescale.zero_point + 1,
        "points": int(is_row_of_pixels(shape)),
        **output_range(rescale.low, rescale.high),
    }
