"""Convolutions of many pixels with short patches, for cores with the DSP extension.

Weights of 16 bits need no unpacking: more flash, fewer instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp_targets.cortex_m.dsp_conv import flattened, is_row_of_pixels
from edgecomp_targets.cortex_m.replacement import Replacement, extents, geometry, output_range
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels, scaled_constants

CHANNELS_AT_ONCE = 4
# The t of scaled sums: EC_WIDE_SHIFT.
SCALED_SHIFT = 17
MOST_WORDS = 32
"""There are kernels for patches of every even number of words of two elements up to this."""
FEW_PIXELS, MANY_PIXELS = 32, 1024
"""Output pixels for which weights twice as large are a good trade: for speed, and when balanced."""
# `ec_dsp_wide_block`, behind the patch.
BLOCK_WORDS = 2

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has few pixels or is of another kind."""
    return _replacement(work, weights, constants, FEW_PIXELS)


def large_conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same for more pixels."""
    return _replacement(work, weights, constants, MANY_PIXELS)


def _replacement(
    work: ConvWork, weights: Array, constants: tuple[Array, ...], least_pixels: int
) -> Replacement | None:
    shape = flattened(work.shape)
    pixels = shape.x[0] * shape.output_extent(0) * shape.output_extent(1)
    points = is_row_of_pixels(shape) and shape.x[3] % 4 == 0
    order = _quad_order(shape.x[3]) if points else _row_order(shape)
    size = -(-len(order) // 4) * 2
    if (
        shape.group != 1
        or shape.dilations != (1, 1)
        or pixels * work.bands < least_pixels
        or size > MOST_WORDS
        or shape.out_channels % CHANNELS_AT_ONCE
        or (not points and shape.strides[1] * shape.x[3] % 2)
    ):
        return None
    fast = fast_channels(weights.reshape(len(weights), -1), constants, work.rescale)
    channels = fast.scaled(SCALED_SHIFT) if fast is not None else None
    if channels is None:
        return None
    packed = _packed(channels, order, size)
    fields = _points_fields(shape) if points else _conv_fields(work)
    low, high = work.rescale.low, work.rescale.high
    fields |= output_range(low, high)
    rows = 0 if points else fields["pitch"] // 2 * fields["kernel_height"] + 1
    return Replacement(
        f"ec_dsp_wide_{'points' if points else 'conv'}_{size}",
        "edgecomp_dsp_wide.h",
        (0,),
        {"packed": packed, "geometry": geometry(fields)},
        size + BLOCK_WORDS + rows,
        by_pixels(shape, pixels=1, copied=True) if points else by_rows(shape, rows=1, copied=True),
    )


def _quad_order(channels: int) -> list[int]:
    """Elements of a pixel in the order of its patch, two to a word."""
    return [quad + k for quad in range(0, channels, 4) for k in (0, 2, 1, 3)]


def _row_order(shape: ConvShape) -> list[int]:
    """Elements of a kernel in the order of its patch: the last of odd rows share a word."""
    span = shape.kernel[1] * shape.x[3]
    order: list[int] = []
    held: list[int] = []
    for row in range(shape.kernel[0]):
        first = row * span
        order += range(first, first + span // 2 * 2)
        held += range(first + span // 2 * 2, first + span)
        if len(held) == 2:
            order += held
            held = []
    return order + held


def _packed(channels: Channels, order: list[int], size: int) -> npt.NDArray[np.int32]:
    """[groups, 4 + 4 * size + 8]: bias, weights and rescaling of four channels each."""
    extra = channels.extra(SCALED_SHIFT)
    taps = np.zeros((len(channels.weights), 2 * size), np.int64)
    taps[:, : len(order)] = channels.weights[:, order].astype(np.int64) << extra[:, None]
    words = taps.astype(np.int16).view("<i4").reshape(-1, CHANNELS_AT_ONCE, size)
    rescaling = scaled_constants(channels, SCALED_SHIFT).reshape(-1, CHANNELS_AT_ONCE, 3)
    bias, multiplier, addend = np.moveaxis(rescaling, 2, 0)
    pairs = np.stack([addend, multiplier], axis=2).reshape(len(bias), -1)
    weights = words.transpose(0, 2, 1).reshape(len(bias), -1)
    packed: npt.NDArray[np.int32] = np.concatenate([bias, weights, pairs], axis=1).astype(np.int32)
    return packed


def _points_fields(shape: ConvShape) -> dict[str, int]:
    """Fields of `ec_dsp_wide_points_shape` up to the range."""
    return {"pixels": shape.x[2], "filters": shape.out_channels}


def _conv_fields(work: ConvWork) -> dict[str, int]:
    """Fields of `ec_dsp_wide_conv_shape` up to the range."""
    shape = work.shape
    _, _, width, channels = shape.x
    elements = (shape.pads[1] + width + shape.pads[3]) * channels
    return {
        **extents(shape),
        "stride_height": shape.strides[0],
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "step": shape.strides[1] * channels,
        "span": shape.kernel[1] * channels,
        "pitch": elements + elements % 2,
        "zero_point": work.input_zero_point,
    }
