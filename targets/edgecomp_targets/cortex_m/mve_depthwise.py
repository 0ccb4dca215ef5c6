"""Depthwise 3x3 convolutions for cores with Helium."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m.replacement import Replacement, geometry

CHANNELS_AT_ONCE = 8
OUTPUTS_AT_ONCE = 8
VECTOR = 16
TAP_BYTES = 24
OFFSET_LIMIT = 1 << 16

# Instructions for one channel of a line, and for each group of outputs in it.
_LINE, _GROUP = 14, 30

Array = npt.NDArray[Any]


def depthwise(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A depthwise convolution with weights [3,3,C]; None when it is of another kind."""
    shape = work.shape
    if (
        shape.kernel != (3, 3)
        or shape.dilations != (1, 1)
        or not set(shape.strides) <= {1, 2}
        or shape.out_channels != shape.x[3]
        or not work.rescale.only_down
    ):
        return None
    along = min((1, 0), key=lambda axis: _instructions(shape, axis))
    fields = _fields(work, along)
    reach = max(fields["out_step"] * (OUTPUTS_AT_ONCE - 1), fields["plane"] * CHANNELS_AT_ONCE)
    if reach >= OFFSET_LIMIT:
        return None
    return Replacement(
        "ec_mve_depthwise",
        "edgecomp_mve_depthwise.h",
        (0,),
        {
            "constants": _constants(weights, constants, along, shape.strides[along]),
            "geometry": geometry(fields),
        },
        -(-_scratch_bytes(fields) // 4),
        _overlaps(shape, along),
    )


def _instructions(shape: ConvShape, along: int) -> int:
    """For all lines of a channel when a line goes along axis 0 (down) or 1."""
    groups = -(-shape.output_extent(along) // OUTPUTS_AT_ONCE)
    return shape.output_extent(1 - along) * (_LINE + groups * _GROUP)


def _fields(work: ConvWork, along: int) -> dict[str, int]:
    """Fields of `ec_mve_depthwise_shape` with lines along axis 0 (down) or 1."""
    shape, across = work.shape, 1 - along
    batch, height, width, channels = shape.x
    extents = (height, width)
    in_steps = (width * channels, channels)
    out_steps = (shape.output_extent(1) * channels, channels)
    count, lines = shape.output_extent(along), shape.output_extent(across)
    needed = (count - 1) * shape.strides[along] + 3
    lead = shape.pads[along]
    body = min(extents[along], needed - lead)
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
        "plane": 3 * (needed - 1) + (lines - 1) * shape.strides[across] + 3,
        "input_zero_point": work.input_zero_point,
        "zero_point": work.rescale.zero_point,
        "is_clamped": int(work.rescale.low >= work.rescale.zero_point),
        "narrow": int((work.rescale.low, work.rescale.high) != (-128, 127)),
        "low": work.rescale.low,
        "high": work.rescale.high,
    }


def _scratch_bytes(fields: dict[str, int]) -> int:
    """The planes, and what is read beyond the last: outputs are made in groups, from vectors."""
    groups = -(-fields["count"] // OUTPUTS_AT_ONCE)
    last_load = 3 * fields["stride"] * (groups * OUTPUTS_AT_ONCE - 2)
    last_line = (fields["out_lines"] - 1) * fields["line_stride"]
    return (CHANNELS_AT_ONCE - 1) * fields["plane"] + max(
        fields["plane"], last_line + last_load + VECTOR
    )


def _constants(
    weights: Array, constants: tuple[Array, ...], along: int, stride: int
) -> npt.NDArray[np.int32]:
    """An `ec_mve_depthwise_channel` for each channel."""
    channels = weights.shape[2]
    taps = np.zeros((channels, TAP_BYTES), np.int8)
    # across a line first: the elements of a pixel's line lie three apart
    ordered = weights.transpose(2, along, 1 - along).reshape(channels, 9)
    taps[:, 3 * stride : 3 * stride + 9] = ordered
    rows = [array.astype(np.int32)[:, None] for array in constants]
    packed: npt.NDArray[np.int32] = np.concatenate([*rows, taps.view("<i4")], axis=1)
    return packed.astype(np.int32)


def _overlaps(shape: ConvShape, along: int) -> tuple[Overlap, ...]:
    """As `ec_mve_depthwise` goes: eight channels of all pixels, then the next eight.

    The first pixels of the output take the place of as many of the input, channel by channel: those
    have to be in the planes when a line is written. A line down the image takes that of a column.
    """
    batch, height, width, _ = shape.x
    out_height, out_width = shape.output_extent(0), shape.output_extent(1)
    same = (height, width) == (out_height, out_width) and shape.strides == (1, 1)
    by_rows = along == 1 and all(
        (row + 1) * out_width <= min(row * shape.strides[0] + 3 - shape.pads[0], height) * width
        for row in range(out_height)
    )
    fits = batch == 1 and (same or by_rows)
    return (Overlap(0, math.prod(shape.x), in_place=True),) if fits else ()
