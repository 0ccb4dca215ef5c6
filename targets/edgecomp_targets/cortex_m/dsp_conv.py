"""Convolutions and dense layers for cores with the DSP extension."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvShape, ConvWork, DenseWork, Rescale
from edgecomp.lowering.overlaps import by_pixels, by_rows
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m import int4
from edgecomp_targets.cortex_m.dsp_weights import INT4, INT8, Storage, quads
from edgecomp_targets.cortex_m.replacement import Replacement, extents, geometry, output_range
from edgecomp_targets.cortex_m.rescale import fast_channels
from edgecomp_targets.cortex_m.weight_order import WeightOrder

Array = npt.NDArray[Any]


def conv(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """A convolution with weights [O,KH,KW,C]; None when it has groups or dilation."""
    return _conv(INT8, work, weights, constants)


def conv_int4(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more, too."""
    return _conv(INT4, work, weights, constants)


def large_conv_int4(work: ConvWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same for many filters."""
    many = work.shape.out_channels >= int4.MANY_FILTERS
    return _conv(INT4, work, weights, constants) if many else None


def _conv(
    storage: Storage, work: ConvWork, weights: Array, constants: tuple[Array, ...]
) -> Replacement | None:
    if work.shape.group != 1 or work.shape.dilations != (1, 1):
        return None
    shape = flattened(work.shape)
    return _replacement(storage, shape, work.input_zero_point, work.rescale, weights, constants)


def dense(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """A dense layer with weights [O,K]: a convolution with a pixel for each row."""
    shape = pointwise(work.rows, work.depth, work.units)
    return _replacement(INT8, shape, 0, work.rescale, weights, constants)


def dense_int4(work: DenseWork, weights: Array, *constants: Array) -> Replacement | None:
    """The same with weights of four bits; None when they are of more."""
    shape = pointwise(work.rows, work.depth, work.units)
    return _replacement(INT4, shape, 0, work.rescale, weights, constants)


def pointwise(pixels: int, channels: int, filters: int) -> ConvShape:
    """A 1x1 convolution of one row of pixels."""
    return ConvShape((1, 1, pixels, channels), filters, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)


def flattened(shape: ConvShape) -> ConvShape:
    """A 1x1 convolution over whole words as one row of pixels, so that all of them pair up."""
    batch, height, width, channels = shape.x
    plain = shape.kernel == shape.strides == (1, 1) and not any(shape.pads)
    if plain and channels % 4 == 0:
        return pointwise(batch * height * width, channels, shape.out_channels)
    return shape


def _replacement(
    storage: Storage,
    shape: ConvShape,
    zero_point: int,
    rescale: Rescale,
    weights: Array,
    constants: tuple[Array, ...],
) -> Replacement | None:
    matrix = weights.reshape(len(weights), -1)
    channels = fast_channels(matrix, constants, rescale)
    packed = storage.pack(channels.weights) if channels is not None else None
    if channels is None or packed is None:
        return None
    fields = conv_fields(shape, zero_point, rescale, whole_words=True)
    return Replacement(
        f"ec_dsp_conv{storage.suffix}",
        "edgecomp_dsp_conv.h",
        (0,),
        {
            "packed": packed,
            "channels": storage.whole_groups(channels.doubled()),
            "geometry": geometry(fields),
        },
        _scratch_words(fields, storage.block_words),
        _overlaps(shape, fields["padded_width"] != 0),
        storage.name,
        order=WeightOrder(((0, 1),), run=fields["quads"], pairs=True) if storage is INT8 else None,
    )


def is_row_of_pixels(shape: ConvShape) -> bool:
    """Whether `shape` is a pointwise convolution as `pointwise` makes it."""
    return shape.x[1] == 1 and shape.kernel == shape.strides == (1, 1) and not any(shape.pads)


def _overlaps(shape: ConvShape, padded: bool) -> tuple[Overlap, ...]:
    """As `ec_dsp_conv` goes: two pixels are expanded, then written; a border copies rows."""
    if is_row_of_pixels(shape) and not padded:
        return by_pixels(shape, pixels=2, copied=True)
    pairs_rows = shape.output_extent(1) % 2 and shape.output_extent(0) > 1
    return by_rows(shape, rows=2 if pairs_rows else 1, copied=padded)


def conv_fields(
    shape: ConvShape, zero_point: int, rescale: Rescale, whole_words: bool = False
) -> dict[str, int]:
    """Fields of `ec_conv_shape`; with `whole_words` patches are read by words."""
    _, _, width, channels = shape.x
    span = shape.kernel[1] * channels
    # what is read by words must not leave the rows
    padded = any(shape.pads) or (whole_words and span % 4 != 0)
    return {
        **extents(shape),
        "stride_height": shape.strides[0],
        "stride_width": shape.strides[1],
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "span": span,
        "quads": quads(span * shape.kernel[0]),
        "padded_width": shape.pads[1] + width + shape.pads[3] if padded else 0,
        "zero_point": zero_point,
        **output_range(rescale.low, rescale.high),
    }


def _scratch_words(fields: dict[str, int], block_words: int) -> int:
    """Two expanded patches with a block, rows with their border, two patches of bytes."""
    if fields["padded_width"] == 0:
        pixels = fields["out_width"] * fields["out_height"]
        return fields["quads"] * (4 if pixels > 1 else 2) + block_words
    rows = fields["kernel_height"]
    if fields["out_width"] % 2 and fields["out_height"] > 1:
        rows += fields["stride_height"]
    row_words = quads(fields["padded_width"] * fields["channels"] * rows + 4)
    byte_patches = 2 * (fields["quads"] + 1) * (fields["span"] % 4 != 0)
    return fields["quads"] * 4 + block_words + row_words + byte_patches
