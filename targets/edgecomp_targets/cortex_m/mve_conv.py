"""Convolutions and dense layers for cores with Helium."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork, DenseWork, Rescale
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m import int4, steep
from edgecomp_targets.cortex_m.mve_stream import (
    FILTERS_AT_ONCE,
    LANES,
    Patch,
    fits_int4,
    form_of,
    has_one_scale,
    one_row,
    order_of,
    patch_of,
    stream_of,
)
from edgecomp_targets.cortex_m.replacement import Replacement, extents, geometry, output_range

PATCHES_AT_ONCE = 8
TAPS_AT_ONCE = 8
TAP_LIMIT = 1 << 16

# Instructions for two pixels: to gather eight elements of both, and what comes with it.
_GATHER, _GATHERED = 10, 36

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has groups or dilation."""
    return _conv(work, weights, constants, two_in_a_byte=False)


def conv_int4(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more, too."""
    return _conv(work, weights, constants, two_in_a_byte=True)


def _conv(
    work: ConvWork, weights: Array, constants: tuple[Array, ...], two_in_a_byte: bool
) -> Replacement | None:
    if work.shape.group != 1 or work.shape.dilations != (1, 1):
        return None
    shape = _flattened(work.shape)
    return _replacement(
        shape, work.input_zero_point, work.rescale, weights, constants, two_in_a_byte
    )


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]: a convolution with a pixel for each row."""
    shape = _pointwise(work.rows, work.depth, work.units)
    return _replacement(shape, 0, work.rescale, weights, constants, two_in_a_byte=False)


def dense_int4(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more."""
    shape = _pointwise(work.rows, work.depth, work.units)
    return _replacement(shape, 0, work.rescale, weights, constants, two_in_a_byte=True)


def _pointwise(pixels: int, channels: int, filters: int) -> ConvShape:
    """A 1x1 convolution of one row of pixels."""
    return ConvShape((1, 1, pixels, channels), filters, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)


def _flattened(shape: ConvShape) -> ConvShape:
    """A 1x1 convolution over whole vectors as one row of pixels, so that all of them pair up."""
    batch, height, width, channels = shape.x
    plain = shape.kernel == shape.strides == (1, 1) and not any(shape.pads)
    if plain and channels % LANES == 0:
        return _pointwise(batch * height * width, channels, shape.out_channels)
    return shape


def _replacement(
    shape: ConvShape,
    zero_point: int,
    rescale: Rescale,
    weights: Array,
    constants: tuple[Array, ...],
    two_in_a_byte: bool,
) -> Replacement | None:
    lifted = steep.lifted(weights, *constants[::2])
    if lifted is None or (two_in_a_byte and not fits_int4(lifted[0])):
        return None
    weights, bias, shifts = lifted
    constants = (bias, constants[1], shifts)
    patch, taps = _patch(shape)
    if patch.alone and has_one_scale(constants):
        patch = replace(patch, one_scale=True)
    # rows are copied for their border, and so that nothing beyond the input's end is read
    copied = any(shape.pads) or (not taps.size and patch.row_bytes > patch.span)
    waiting = PATCHES_AT_ONCE if taps.size else 0
    fields = conv_fields(shape, zero_point, rescale) | {
        "padded_width": padded_width(shape) if copied else 0,
        "patch": patch.row_bytes if taps.size else 0,
        "groups": -(-taps.size // TAPS_AT_ONCE),
        "patches": waiting,
        "form": form_of(patch, rescale),
        "vectors": patch.vectors,
        "multiplier": int(constants[1][0]),
        "shift": int(constants[2][0]),
    }
    slack = patch.row_bytes - patch.span
    rows_bytes = shape.kernel[0] * padded_width(shape) * shape.x[3] + slack if copied else 0
    filters = weights.reshape(len(weights), patch.rows, patch.span)
    return Replacement(
        "ec_mve_conv_int4" if two_in_a_byte else "ec_mve_conv",
        "edgecomp_mve_conv.h",
        (0,),
        {
            "stream": stream_of(patch, filters, constants, two_in_a_byte),
            "taps": np.pad(taps, (0, -taps.size % TAPS_AT_ONCE))
            if taps.size
            else np.zeros(1, np.uint16),
            "geometry": geometry(fields),
        },
        max(1, -(-(waiting * patch.row_bytes + rows_bytes) // 4)),
        _overlaps(shape, copied),
        int4.NAME if two_in_a_byte else "",
        None if two_in_a_byte else order_of(patch),
    )


def _overlaps(shape: ConvShape, copied: bool) -> tuple[Overlap, ...]:
    """As `ec_mve_conv` goes: two pixels of a row at a time, which are read for all filters."""
    one_row_of_pixels = shape.x[1] == shape.output_extent(0) == 1
    if one_row_of_pixels and shape.kernel == shape.strides == (1, 1) and not copied:
        return by_pixels(shape, pixels=2, copied=False)
    return by_rows(shape, rows=1, copied=copied)


def _pixels(shape: ConvShape) -> int:
    """Of all outputs."""
    return shape.x[0] * shape.output_extent(0) * shape.output_extent(1)


def padded_width(shape: ConvShape) -> int:
    """Of a row with its border."""
    return shape.pads[1] + shape.x[2] + shape.pads[3]


def _patch(shape: ConvShape) -> tuple[Patch, Array]:
    """How patches are read, and where their elements are if they are gathered (else none)."""
    channels = shape.x[3]
    if _pixels(shape) == 1 and shape.kernel == (1, 1):
        return one_row(channels), np.zeros(0, np.uint16)
    pitch, span = padded_width(shape) * channels, shape.kernel[1] * channels
    taps = (np.arange(shape.kernel[0])[:, None] * pitch + np.arange(span)).reshape(-1)
    blocks = -(-shape.out_channels // FILTERS_AT_ONCE)
    rows, gathered = patch_of(shape.kernel[0], span, pitch), patch_of(1, taps.size, 0)
    gathering = _GATHERED + _GATHER * gathered.row_bytes // TAPS_AT_ONCE
    cheaper = gathering + blocks * gathered.instructions < blocks * rows.instructions
    if cheaper and taps[-1] < TAP_LIMIT:
        return gathered, taps.astype(np.uint16)
    return rows, np.zeros(0, np.uint16)


def conv_fields(shape: ConvShape, zero_point: int, rescale: Rescale) -> dict[str, int]:
    """Fields of `ec_mve_conv_shape`, in its order; some are still to be filled in."""
    return {
        **extents(shape),
        "stride_height": shape.strides[0],
        "stride_width": shape.strides[1],
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "padded_width": 0,
        "patch": 0,
        "groups": 0,
        "patches": 0,
        "input_zero_point": zero_point,
        "zero_point": rescale.zero_point,
        "form": 0,
        "vectors": 0,
        "multiplier": 0,
        "shift": 0,
        **output_range(rescale.low, rescale.high),
    }
