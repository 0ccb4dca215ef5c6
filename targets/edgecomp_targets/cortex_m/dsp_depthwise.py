"""Depthwise 3x3 convolutions for cores with the DSP extension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m.replacement import Replacement, geometry, output_range
from edgecomp_targets.cortex_m.rescale import Channels, fast_channels

# A band of rows is as high as its planes fit this, and two output rows at least.
SCRATCH_BYTES = 960
CHANNELS_AT_ONCE = 4
# The t of scaled sums: EC_DEPTHWISE_SHIFT.
SCALED_SHIFT = 16

Array = npt.NDArray[Any]


def depthwise(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A depthwise convolution with weights [3,3,C]; None when it is of another kind."""
    shape = work.shape
    channels = shape.x[3]
    if (
        shape.kernel != (3, 3)
        or shape.dilations != (1, 1)
        or shape.strides not in ((1, 1), (2, 2))
        or shape.pads[1] > 1
        or shape.out_channels != channels
        or channels % CHANNELS_AT_ONCE
    ):
        return None
    rescaling = fast_channels(weights.reshape(9, channels).T, constants, work.rescale)
    if rescaling is None:
        return None
    scaled = rescaling.scaled(SCALED_SHIFT)
    if scaled is None and not rescaling.has_usual_addends:
        return None
    packed = (
        _packed(rescaling, 2 * rescaling.bias)
        if scaled is None
        else _packed(scaled, scaled.scaled_bias())
    )
    fields = _geometry(work)
    return Replacement(
        "ec_dsp_depthwise_doubled" if scaled is None else "ec_dsp_depthwise",
        "edgecomp_dsp_depthwise.h",
        (0,),
        {"packed": packed, "geometry": geometry(fields)},
        CHANNELS_AT_ONCE * fields["rows"] * fields["words"],
        overlaps_by_channels(shape),
    )


def overlaps_by_channels(shape: ConvShape) -> tuple[Overlap, ...]:
    """Where some channels of all pixels are done, then the next.

    Input rows are copied, also those below that outputs need, before outputs go where they were.
    """
    in_place = shape.x[0] == 1 and shape.strides == (1, 1)
    same = shape.x[1:3] == (shape.output_extent(0), shape.output_extent(1))
    return (Overlap(0, math.prod(shape.x), in_place=True),) if in_place and same else ()


def _packed(channels: Channels, bias: Array) -> npt.NDArray[np.int32]:
    """[channels, 5]: a word for each row of three taps, the shift in the first's last byte; the
    bias times 2^8, or times 2 for doubled sums; the multiplier."""
    rows = np.zeros((len(channels.weights), 3, 4), np.int8)
    rows[:, :, :3] = channels.weights.reshape(-1, 3, 3)
    rows[:, 0, 3] = channels.shift
    words = rows.view("<i4").reshape(-1, 3)
    columns = [*words.T, bias, channels.multiplier]
    packed: npt.NDArray[np.int32] = np.stack(columns, axis=1).astype(np.int32)
    return packed


def _words(shape: ConvShape) -> int:
    """32-bit words of a plane's row: what its outputs read, two elements a word."""
    # an output at the last column of a word reads the word after it
    last = (shape.output_extent(1) - 1) * shape.strides[1]
    return last // 2 + 2


def _geometry(work: ConvWork) -> dict[str, int]:
    """Fields of `ec_dsp_depthwise_shape`."""
    shape = work.shape
    batch, height, width, channels = shape.x
    stride, words, out_height = shape.strides[0], _words(shape), shape.output_extent(0)
    lead = shape.pads[1]
    whole = min((width - lead) // 2, words - lead)
    rows = SCRATCH_BYTES // (4 * words * CHANNELS_AT_ONCE)
    bands = -(-out_height // max(2, (rows - 3) // stride + 1))
    band = -(-out_height // bands)
    return {
        "batch": batch,
        "height": height,
        "width": width,
        "channels": channels,
        "out_height": out_height,
        "out_width": shape.output_extent(1),
        "stride": stride,
        "pad_top": shape.pads[0],
        "lead": lead,
        "whole": whole,
        "tail": int((width - lead) % 2 == 1 and lead + whole < words),
        "words": words,
        "band": band,
        "rows": (band - 1) * stride + 3,
        "zero_point": work.input_zero_point,
        "out_zero_point": work.rescale.zero_point,
        **output_range(work.rescale.low, work.rescale.high),
    }
