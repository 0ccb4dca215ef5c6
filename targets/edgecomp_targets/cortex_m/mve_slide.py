"""3x3 convolutions by steps of one pixel for cores with Helium: `edgecomp_mve_slide.h`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.lowering.overlaps import by_rows
from edgecomp_targets.cortex_m import int4, mve_conv, steep
from edgecomp_targets.cortex_m.mve_conv import conv_fields, padded_width
from edgecomp_targets.cortex_m.mve_stream import (
    LANES,
    blocks_of,
    fits_int4,
    mixed_bias,
    mixed_weights,
)
from edgecomp_targets.cortex_m.replacement import Replacement, geometry
from edgecomp_targets.cortex_m.weight_order import UNIT, WeightOrder

CHANNELS = (16, 32, 64)
PIXELS_AT_ONCE = 4
FILTERS_AT_ONCE = 2
OFFSET_LIMIT = 1 << 16

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C], by `mve_conv.conv` where it is of another kind."""
    if not _fits(work.shape):
        return mve_conv.conv(work, weights, *constants)
    return _slide(work, weights, constants, two_in_a_byte=False)


def conv_int4(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more, too."""
    if not _fits(work.shape):
        return mve_conv.conv_int4(work, weights, *constants)
    return _slide(work, weights, constants, two_in_a_byte=True)


def _slide(
    work: ConvWork, weights: Array, constants: Sequence[Array], two_in_a_byte: bool
) -> Replacement | None:
    shape = work.shape
    lifted = steep.lifted(weights, *constants[::2])
    if lifted is None or (two_in_a_byte and not fits_int4(lifted[0])):
        return None
    weights, bias, shifts = lifted
    fields = conv_fields(shape, work.input_zero_point, work.rescale)
    fields["padded_width"] = padded_width(shape)
    pitch = padded_width(shape) * shape.x[3]
    return Replacement(
        "ec_mve_slide_int4" if two_in_a_byte else "ec_mve_slide",
        "edgecomp_mve_slide.h",
        (0,),
        {
            "stream": _stream(weights, (bias, constants[1], shifts), pitch, two_in_a_byte),
            "geometry": geometry(fields),
        },
        3 * pitch // 4,
        by_rows(shape, rows=1, copied=True),
        weights=int4.NAME if two_in_a_byte else "",
        order=None if two_in_a_byte else _order(shape.x[3]),
    )


def _fits(shape: ConvShape) -> bool:
    return (
        shape.group == 1
        and (shape.kernel, shape.strides, shape.dilations) == ((3, 3), (1, 1), (1, 1))
        and shape.x[3] in CHANNELS
        and shape.output_extent(1) % PIXELS_AT_ONCE == 0
        and shape.out_channels * PIXELS_AT_ONCE < OFFSET_LIMIT
    )


def _order(channels: int) -> WeightOrder:
    """Where the weights lie in `_stream`."""
    groups = 3 * channels // LANES
    rows = ((2 * PIXELS_AT_ONCE, groups), (1, groups), (1, groups))
    behind = 1 + 2 * FILTERS_AT_ONCE + 1
    return WeightOrder((*rows, (behind, 0)), lanes=FILTERS_AT_ONCE, run=LANES // UNIT)


def _stream(
    weights: Array, constants: Sequence[Array], pitch: int, two_in_a_byte: bool
) -> npt.NDArray[np.int32]:
    """The stream of int8 `weights` [filters, 3, 3, channels]; rows are `pitch` bytes apart."""
    filters, _, _, channels = weights.shape
    # [filters, rows, taps, chunks, lanes] to [rows, chunks, taps, filters, lanes]
    parts = weights.reshape(filters, 3, 3, channels // LANES, LANES).transpose(1, 3, 2, 0, 4)
    ways = [2 * pitch, 2 * pitch, 2 * (-2 * pitch) + 1]
    words: list[npt.NDArray[np.int32]] = []
    for block, step in blocks_of(filters, FILTERS_AT_ONCE):
        bias, multiplier, shift = (array[block].astype(np.int32) for array in constants)
        words.append(np.repeat(mixed_bias(bias) if two_in_a_byte else bias, PIXELS_AT_ONCE))
        for row, way in zip(parts, ways, strict=True):
            mixed = np.ascontiguousarray(row[:, :, block])
            mixed = mixed_weights(mixed) if two_in_a_byte else mixed
            words += [mixed.reshape(-1).view("<i4").astype(np.int32), np.array([way], np.int32)]
        words += [multiplier, shift, step]
    return np.concatenate(words)
