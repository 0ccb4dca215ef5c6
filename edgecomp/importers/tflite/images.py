"""Operators on images: convolutions, pools and resizing, with their padding spelled out.

ONNX has images as [batch, channels, height, width]; what they read and give is in that layout.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import tflite

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.hybrid import Grid, is_hybrid, quantized_at_run_time, scaled_back
from edgecomp.importers.tflite.values import Layout
from edgecomp.importers.tflite.weights import bias_of, weights_of

# TfLiteTransposeConvParams: TfLitePadding, stride_width, stride_height
_TRANSPOSE_PARAMETERS = struct.Struct("<3i")
_CUSTOM_SAME = 1

# No image of a model comes near; a list of neighbours of every pixel stays small
_MAX_SIDE = 2**16


@dataclass(frozen=True)
class Window:
    """Strides, dilations and pads of a sliding window, height first; pads as ONNX orders them."""

    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]


def window(context: Context, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a convolution or pool over an image of `size`.

    SAME makes ceil(size / stride) outputs, and pads an odd pixel at the end.
    """
    strides = (int(context.option("StrideH", 1)), int(context.option("StrideW", 1)))
    dilations = (
        int(context.option("DilationHFactor", 1)),
        int(context.option("DilationWFactor", 1)),
    )
    if min(*strides, *dilations, *kernel) < 1:
        raise context.refusal("a stride, a dilation or the window is below 1")
    same = int(context.option("Padding")) == tflite.Padding.SAME
    before, after = [0, 0], [0, 0]
    for i in range(2):
        if same:
            reach = (kernel[i] - 1) * dilations[i] + 1
            total = max((-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i], 0)
            before[i], after[i] = total // 2, total - total // 2
    return Window(strides, dilations, (before[0], before[1], after[0], after[1]))


def conv_2d(context: Context) -> None:
    """CONV_2D, with groups where the filter has fewer channels than the image."""
    shape = context.values.tensors[context.tensor(1)].shape
    channels = context.shape(0)[-1]
    if len(shape) != 4 or not shape[3] or channels % shape[3] or not shape[0]:
        raise context.refusal("its filter does not fit the image", "convert the model again")
    _convolve(context, (0, 3, 1, 2), channels // shape[3])


def depthwise_conv_2d(context: Context) -> None:
    """DEPTHWISE_CONV_2D: a group for each channel of the image."""
    shape = context.values.tensors[context.tensor(1)].shape
    channels = context.shape(0)[-1]
    if len(shape) != 4 or shape[0] != 1 or not channels or shape[3] % channels:
        raise context.refusal("its filter does not fit the image", "convert the model again")
    _convolve(context, (3, 0, 1, 2), channels)


def _convolve(context: Context, order: tuple[int, int, int, int], group: int) -> None:
    """A Conv whose filter is the file's with its axes in `order`: [outputs, inputs, h, w]."""
    image = context.read(0, Layout.IMAGE)
    if len(context.of(image)) != 4:
        raise context.refusal("it does not read an image", "convert the model again")
    weights = weights_of(context, 1, order)
    kernel = context.of(weights)[2:]
    geometry = window(context, context.of(image)[2:], kernel)
    attributes = {
        "kernel_shape": list(kernel),
        "strides": list(geometry.strides),
        "dilations": list(geometry.dilations),
        "pads": list(geometry.pads),
        "group": group,
    }
    bias = bias_of(context, 2, 1)
    if is_hybrid(context, 1):
        depthwise = context.operator.name == "DEPTHWISE_CONV_2D"
        grid = Grid.ASYMMETRIC if depthwise or _differ(context, 1) else Grid.SYMMETRIC
        integers, scale = quantized_at_run_time(context, image, grid, (1, 2, 3))
        value = context.main("Conv", integers, weights, **attributes)
        value = scaled_back(context, value, scale, bias, (1, -1, 1, 1))
    else:
        value = context.main("Conv", image, weights, *bias, **attributes)
    context.give(context.activated(value), Layout.IMAGE)


def _differ(context: Context, place: int) -> bool:
    """Whether the channels of a filter have different scales."""
    scales = context.quantized(place)
    return scales is not None and bool((scales.scale != scales.scale[0]).any())


def transpose_conv(context: Context) -> None:
    """TRANSPOSE_CONV: operands are the result's shape, the filter, the image and a bias."""
    out = context.integers(0)
    _transpose_conv(context, 2, 1, 3, (out[1], out[2]))


def _transpose_conv(
    context: Context, image_at: int, filter_at: int, bias_at: int, out: tuple[int, int]
) -> None:
    image = context.read(image_at, Layout.IMAGE)
    weights = weights_of(context, filter_at, (3, 0, 1, 2), channel_axis=1)
    kernel, size = context.of(weights)[2:], context.of(image)[2:]
    geometry = window(context, out, kernel)
    before, after, extra = list(geometry.pads[:2]), [0, 0], [0, 0]
    for i in range(2):
        cut = geometry.strides[i] * (size[i] - 1) + kernel[i] - before[i] - out[i]
        after[i], extra[i] = max(cut, 0), max(-cut, 0)
        if extra[i] >= geometry.strides[i] and extra[i]:
            raise context.refusal("its result is larger than the filter reaches")
    value = context.main(
        "ConvTranspose",
        image,
        weights,
        *bias_of(context, bias_at, filter_at, image_at),
        kernel_shape=list(kernel),
        strides=list(geometry.strides),
        pads=[*before, *after],
        output_padding=extra,
    )
    context.give(context.activated(value), Layout.IMAGE)


def convolution_2d_transpose_bias(context: Context) -> None:
    """MediaPipe's custom transposed convolution: options are padding and strides, no out shape."""
    if len(context.operator.custom) < _TRANSPOSE_PARAMETERS.size:
        raise context.refusal("its options are too short", "convert the model again")
    padding, width, height = _TRANSPOSE_PARAMETERS.unpack_from(context.operator.custom)
    if padding != _CUSTOM_SAME or min(width, height) < 1:
        raise context.refusal("it has another padding than SAME, or no stride")
    options = {"Padding": tflite.Padding.SAME, "StrideW": width, "StrideH": height}
    context = Context(replace(context.operator, options=options), context.values)
    size = context.shape(0)[1:3]
    _transpose_conv(context, 0, 1, 2, (size[0] * height, size[1] * width))


def _pool(context: Context, op_type: str) -> None:
    image = context.read(0, Layout.IMAGE)
    kernel = (int(context.option("FilterHeight")), int(context.option("FilterWidth")))
    geometry = window(context, context.of(image)[2:], kernel)
    value = context.main(
        op_type,
        image,
        kernel_shape=list(kernel),
        strides=list(geometry.strides),
        pads=list(geometry.pads),
    )
    if context.quantized(0) is not None and context.option("FusedActivationFunction"):
        # pools keep their input's scale, so the activation is a step of its own after it
        value = context.on_grid(value, context.tensor(0))
    context.give(context.activated(value), Layout.IMAGE, moved_from=0)


def average_pool_2d(context: Context) -> None:
    """AVERAGE_POOL_2D; the border does not count."""
    _pool(context, "AveragePool")


def max_pool_2d(context: Context) -> None:
    """MAX_POOL_2D."""
    _pool(context, "MaxPool")


def _sizes(context: Context, image: str, size: Sequence[int]) -> str:
    return context.ints([*context.of(image)[:2], *size])


def resize_bilinear(context: Context) -> None:
    """RESIZE_BILINEAR."""
    mode = "asymmetric"
    if context.option("AlignCorners", False):
        mode = "align_corners"
    elif context.option("HalfPixelCenters", False):
        mode = "half_pixel"
    image = context.read(0, Layout.IMAGE)
    sizes = _sizes(context, image, context.integers(1))
    value = context.main(
        "Resize", image, "", "", sizes, mode="linear", coordinate_transformation_mode=mode
    )
    context.give(value, Layout.IMAGE, moved_from=0)


def resize_nearest_neighbor(context: Context) -> None:
    """RESIZE_NEAREST_NEIGHBOR: a Gather along each axis.

    The reference kernel finds the neighbour in float32, and so it is done here, at compile time:
    Resize leaves the rounding of a coordinate between two pixels to whoever computes it.
    """
    image = context.read(0, Layout.IMAGE)
    size = context.of(image)[2:]
    value = image
    for i, count in enumerate(context.integers(1)):
        picked = context.put(_neighbours(context, size[i], count), "int64")
        gather = context.main if i else context.emit
        value = gather("Gather", value, picked, axis=2 + i)
    context.give(value, Layout.IMAGE, moved_from=0)


def _neighbours(context: Context, size: int, count: int) -> Array:
    """Which of `size` pixels is the neighbour of each of `count`."""
    if not 0 < count <= _MAX_SIDE:
        raise context.refusal(f"an image of {count} pixels along a side cannot be made")
    aligned = bool(context.option("AlignCorners", False)) and count > 1
    half = np.float32(0.5 if context.option("HalfPixelCenters", False) else 0.0)
    scale = (
        np.float32(size - 1) / np.float32(count - 1)
        if aligned
        else (np.float32(size) / np.float32(count))
    )
    exact = (np.arange(count, dtype=np.float32) + half) * scale
    whole = np.floor(exact + np.float32(0.5)) if aligned else np.floor(exact)
    nearest: Array = np.clip(whole.astype(np.int64), 0, size - 1)
    return nearest


def depth_to_space(context: Context) -> None:
    """DEPTH_TO_SPACE: channels of one pixel become a block, block position first (ONNX's DCR)."""
    image = context.read(0, Layout.IMAGE)
    size = int(context.option("BlockSize"))
    value = context.main("DepthToSpace", image, blocksize=size, mode="DCR")
    context.give(value, Layout.IMAGE, moved_from=0)


def space_to_depth(context: Context) -> None:
    """SPACE_TO_DEPTH."""
    image = context.read(0, Layout.IMAGE)
    value = context.main("SpaceToDepth", image, blocksize=int(context.option("BlockSize")))
    context.give(value, Layout.IMAGE, moved_from=0)
