"""Depthwise convolutions for cores with Helium."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m import steep
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range

CHANNELS_AT_ONCE = 8
OUTPUTS_AT_ONCE = 8
TAP_LIMIT = 32
OFFSET_LIMIT = 1 << 16

CLAMPED = {1: 1, 2: 2}
SIGNED = {1: 3, 2: 4}
"""The forms of 3x3 kernels by the step along a line: see `edgecomp_mve_depthwise.h`."""
ANY_KERNEL = 5

# Instructions for one channel of a line, and for each group of outputs in it; to bring a line of
# eight channels to their planes, and for each pixel of it; of the general kernel, for each tap,
# without and with a border.
_LINE, _GROUP, _ANY_GROUP = 14, 30, 62
_SPREAD, _SPREAD_PIXEL = 90, 4
_GENERAL_TAP, _GENERAL_BORDER_TAP = 3, 9

Array = npt.NDArray[Any]


def depthwise(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A depthwise convolution with weights [KH,KW,C]; None when it is of another kind.

    None, too, for so few outputs that the general kernel takes fewer instructions.
    """
    shape = work.shape
    if (
        math.prod(shape.kernel) > TAP_LIMIT
        or shape.dilations != (1, 1)
        or shape.out_channels != shape.x[3]
    ):
        return None
    lifted = steep.lifted(weights.T, *constants[::2])
    if lifted is None:
        return None
    along = min((1, 0), key=lambda axis: _instructions(shape, axis))
    if _instructions(shape, along) > _general_instructions(shape):
        return None
    swapped, bias, shifts = lifted
    taps = _taps(swapped.T, along, shape.strides[along])
    fields = _fields(work, along, taps.shape[1])
    reach = max(fields["out_step"] * (OUTPUTS_AT_ONCE - 1), fields["plane"] * CHANNELS_AT_ONCE)
    if reach >= OFFSET_LIMIT:
        return None
    rows = [array.astype(np.int32)[:, None] for array in (bias, constants[1], shifts)]
    words = np.concatenate([*rows, taps.view("<i4").astype(np.int32)], axis=1)
    return Replacement(
        "ec_mve_depthwise",
        "edgecomp_mve_depthwise.h",
        (0,),
        {"constants": words, "geometry": geometry(fields)},
        -(-_scratch_bytes(fields) // 4),
        _overlaps(shape, along),
    )


def _form(work: ConvWork, along: int) -> int:
    """The number of the code for lines along an axis."""
    stride = work.shape.strides[along]
    if not _is_usual(work.shape, along):
        return ANY_KERNEL
    return (CLAMPED if work.rescale.low >= work.rescale.zero_point else SIGNED)[stride]


def _is_usual(shape: ConvShape, along: int) -> bool:
    """One vector has the elements of two outputs."""
    return shape.kernel == (3, 3) and shape.strides[along] in CLAMPED


def _instructions(shape: ConvShape, along: int) -> int:
    """For all lines of a channel when a line goes along axis 0 (down) or 1."""
    count, lines = shape.output_extent(along), shape.output_extent(1 - along)
    groups = -(-count // OUTPUTS_AT_ONCE)
    group = _GROUP if _is_usual(shape, along) else _ANY_GROUP
    spread = _SPREAD + _SPREAD_PIXEL * (count * shape.strides[along] + shape.kernel[along])
    spreads = lines * shape.strides[1 - along] + shape.kernel[1 - along]
    return lines * (_LINE + groups * group) + spreads * spread // CHANNELS_AT_ONCE


def _general_instructions(shape: ConvShape) -> int:
    """For a channel by the general kernel, about."""
    taps = shape.output_extent(0) * shape.output_extent(1) * math.prod(shape.kernel)
    return taps * (_GENERAL_BORDER_TAP if any(shape.pads) else _GENERAL_TAP)


def _fields(work: ConvWork, along: int, tap_bytes: int) -> dict[str, int]:
    """Fields of `ec_mve_depthwise_shape` with lines along axis 0 (down) or 1."""
    shape, across = work.shape, 1 - along
    batch, height, width, channels = shape.x
    extents = (height, width)
    in_steps = (width * channels, channels)
    out_steps = (shape.output_extent(1) * channels, channels)
    count, lines = shape.output_extent(along), shape.output_extent(across)
    kernel, kernel_lines = shape.kernel[along], shape.kernel[across]
    needed = (count - 1) * shape.strides[along] + kernel
    lead = min(shape.pads[along], needed)
    body = min(extents[along], needed - lead)
    form = _form(work, along)
    return {
        "batch": batch,
        "channels": channels,
        "in_image": height * width * channels,
        "out_image": shape.output_extent(0) * out_steps[0],
        "in_lines": extents[across],
        "in_line": in_steps[across],
        "out_lines": lines,
        "out_line": out_steps[across],
        "in_step": in_steps[along],
        "out_step": out_steps[along],
        "line_stride": shape.strides[across],
        "stride": shape.strides[along],
        "line_border": shape.pads[across],
        "lead": lead,
        "body": body,
        "tail": needed - lead - body,
        "count": count,
        "plane": kernel_lines * needed + (lines - 1) * shape.strides[across],
        "input_zero_point": work.input_zero_point,
        "zero_point": work.rescale.zero_point,
        "lines": kernel_lines,
        "taps": kernel * kernel_lines,
        "first_tap": 12 + (0 if form == ANY_KERNEL else 3 * shape.strides[along]),
        "channel_bytes": 12 + tap_bytes,
        "form": form,
        **output_range(work.rescale.low, work.rescale.high),
    }


def _scratch_bytes(fields: dict[str, int]) -> int:
    """The planes, and what is read beyond the last: outputs are made in groups, from vectors."""
    groups = -(-fields["count"] // OUTPUTS_AT_ONCE)
    last_load = fields["lines"] * fields["stride"] * (groups * OUTPUTS_AT_ONCE - 1)
    last_line = (fields["out_lines"] - 1) * fields["line_stride"]
    return (CHANNELS_AT_ONCE - 1) * fields["plane"] + max(
        fields["plane"], last_line + last_load + TAP_LIMIT
    )


def _taps(weights: Array, along: int, stride: int) -> npt.NDArray[np.int8]:
    """The bytes of each channel's taps, in the order in which they follow each other in a plane."""
    kernel, channels = weights.shape[:2], weights.shape[2]
    usual = kernel == (3, 3) and stride in CLAMPED
    begin = 3 * stride if usual else 0
    taps = np.zeros((channels, 24 if usual else TAP_LIMIT), np.int8)
    ordered = weights.transpose(2, along, 1 - along).reshape(channels, -1)
    taps[:, begin : begin + ordered.shape[1]] = ordered
    return taps


def _overlaps(shape: ConvShape, along: int) -> tuple[Overlap, ...]:
    """As `ec_mve_depthwise` goes: eight channels of all pixels, then the next eight.

    The first pixels of the output take the place of as many of the input, channel by channel: those
    have to be in the planes when a line is written. A line down the image takes that of a column.
    """
    batch, height, width, _ = shape.x
    out_height, out_width = shape.output_extent(0), shape.output_extent(1)
    same = (height, width) == (out_height, out_width) and shape.strides == (1, 1)
    by_rows = along == 1 and all(
        (row + 1) * out_width <= (row * shape.strides[0] + shape.kernel[0] - shape.pads[0]) * width
        for row in range(out_height)
    )
    fits = batch == 1 and (same or by_rows)
    return (Overlap(0, math.prod(shape.x), in_place=True),) if fits else ()
