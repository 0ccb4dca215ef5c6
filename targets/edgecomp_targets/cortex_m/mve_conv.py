"""Convolutions and dense layers for cores with Helium."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork, DenseWork, Rescale
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m.dsp_conv import conv_fields, flattened, is_row_of_pixels, pointwise
from edgecomp_targets.cortex_m.dsp_weights import quads
from edgecomp_targets.cortex_m.replacement import Replacement, geometry

LANES = 16
CHANNELS_AT_ONCE = 4

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has groups or dilation."""
    if work.shape.group != 1 or work.shape.dilations != (1, 1):
        return None
    shape = flattened(work.shape)
    return _replacement(shape, work.input_zero_point, work.rescale, weights, constants)


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]: a convolution with a pixel for each row."""
    shape = pointwise(work.rows, work.depth, work.units)
    return _replacement(shape, 0, work.rescale, weights, constants)


def filled(array: Array, multiple: int, axis: int = 0) -> Array:
    """`array` with zeros at the end of `axis`, up to a multiple of `multiple`."""
    missing = -array.shape[axis] % multiple
    return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])


def _replacement(
    shape: ConvShape,
    zero_point: int,
    rescale: Rescale,
    weights: Array,
    constants: tuple[Array, ...],
) -> Replacement | None:
    if not rescale.only_down:
        return None
    matrix = filled(filled(weights.reshape(len(weights), -1), LANES, 1), CHANNELS_AT_ONCE)
    bias, multiplier, shift = (filled(array, CHANNELS_AT_ONCE) for array in constants)
    fields = conv_fields(shape, zero_point, rescale)
    depth = matrix.shape[1]
    # a patch of whole vectors in one row of the input needs no copy
    in_place = shape.kernel[0] == 1 and not fields["padded_width"] and fields["span"] == depth
    fields |= {"depth": depth, "in_place": int(in_place), "out_zero_point": rescale.zero_point}
    row_bytes = fields["padded_width"] * fields["channels"] * fields["kernel_height"]
    return Replacement(
        "ec_mve_conv",
        "edgecomp_mve_conv.h",
        (0,),
        {
            "weights": matrix,
            "bias": bias,
            "multiplier": multiplier,
            "shift": shift,
            "geometry": geometry(fields),
        },
        max(1, (0 if in_place else 2 * quads(depth)) + quads(row_bytes)),
        _overlaps(shape, fields["padded_width"] != 0, in_place),
    )


def _overlaps(shape: ConvShape, padded: bool, in_place: bool) -> tuple[Overlap, ...]:
    """As `ec_mve_conv` goes: two pixels at a time, gathered before they are written or not."""
    if is_row_of_pixels(shape) and not padded:
        return by_pixels(shape, pixels=2, copied=not in_place)
    return by_rows(shape, rows=1, copied=padded)
