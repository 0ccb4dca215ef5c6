"""Convolution and dense layers: sums, per-channel fixed-point rescaling.

Activations are int8, with 32-bit sums and biases, or int16, with 64-bit ones. Weights are int8;
int16 where a model has such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te

from edgecomp.lowering.kernels.common import SUM_TYPES, padded, requantize, to_element


@dataclass(frozen=True)
class Rescale:
    """How sums become activations.

    Attributes:
        zero_point: of the output.
        low, high: clamp in output steps; the fused activation is in it.
        only_down: no channel's multiplier is 1 or more.
        element: type of the activations read and made, int8 or int16.
    """

    zero_point: int
    low: int
    high: int
    only_down: bool
    element: str = "int8"

    @property
    def sum_type(self) -> str:
        """Type of the sums and the bias."""
        return SUM_TYPES[self.element]


@dataclass(frozen=True)
class ConvShape:
    """Geometry of a 2-d convolution, NHWC.

    Attributes:
        x: input shape.
        out_channels: number of filters.
        kernel, strides, dilations: height and width.
        pads: top, left, bottom, right.
        group: input and output channels are split into this many independent groups.
    """

    x: tuple[int, int, int, int]
    out_channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    group: int

    @property
    def is_depthwise(self) -> bool:
        """Each input channel makes its own output channels."""
        return self.group > 1 and self.group == self.x[3]

    def output_extent(self, axis: int) -> int:
        """Output height (axis 0) or width (axis 1)."""
        padded_extent = self.x[1 + axis] + self.pads[axis] + self.pads[axis + 2]
        window = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        return (padded_extent - window) // self.strides[axis] + 1


@dataclass(frozen=True)
class ConvWork:
    """What `conv2d` and `depthwise_conv2d` compute.

    Attributes:
        shape: the geometry.
        input_zero_point: what the border holds.
        rescale: how sums become activations.
        bands: how many calls of about this size use the same weights.
    """

    shape: ConvShape
    input_zero_point: int
    rescale: Rescale
    bands: int = 1


@dataclass(frozen=True)
class DenseWork:
    """What `dense` computes: `rows` times `units` sums over `depth`."""

    rows: int
    depth: int
    units: int
    rescale: Rescale


def rescaled(accumulator: Any, bias: Any, multiplier: Any, shift: Any, rescale: Rescale) -> Any:
    """Sums [..., O] plus a bias, times a multiplier for each channel, as activations."""

    def element(*index: Any) -> Any:
        channel = index[-1]
        total = accumulator[index] + bias[channel]
        factor = multiplier[channel], shift[channel].astype("int32")
        scaled = requantize(total, *factor, rescale.only_down)
        return to_element(scaled, rescale.zero_point, (rescale.low, rescale.high), rescale.element)

    return te.compute(accumulator.shape, element, name="out")


def channel_constants(channels: int, bias: str = "int32") -> tuple[Any, Any, Any]:
    """Placeholders bias[O], multiplier[O], shift[O]."""
    return (
        te.placeholder((channels,), bias, name="bias"),
        te.placeholder((channels,), "int32", name="multiplier"),
        te.placeholder((channels,), "int8", name="shift"),
    )


def conv2d(shape: ConvShape, input_zero_point: int, rescale: Rescale, weights: str = "int8") -> Any:
    """x[N,H,W,C], w[O,KH,KW,C/group], bias[O], multiplier[O], shift[O] -> out[N,OH,OW,O].

    The input's zero point is in the bias already; the border holds the zero point.
    """
    x = te.placeholder(shape.x, rescale.element, name="x")
    in_group = shape.x[3] // shape.group
    out_group = shape.out_channels // shape.group
    w = te.placeholder((shape.out_channels, *shape.kernel, in_group), weights, name="w")
    bias, multiplier, shift = channel_constants(shape.out_channels, rescale.sum_type)
    source = padded(x, shape.pads, input_zero_point)
    kh = te.reduce_axis((0, shape.kernel[0]), "kh")
    kw = te.reduce_axis((0, shape.kernel[1]), "kw")
    ic = te.reduce_axis((0, in_group), "ic")

    def element(n: Any, h: Any, wd: Any, o: Any) -> Any:
        row = h * shape.strides[0] + kh * shape.dilations[0]
        column = wd * shape.strides[1] + kw * shape.dilations[1]
        first = 0 if shape.group == 1 else te.floordiv(o, out_group) * in_group
        product = source[n, row, column, first + ic].astype("int32") * w[o, kh, kw, ic].astype(
            "int32"
        )
        return te.sum(product.astype(rescale.sum_type), axis=[kh, kw, ic])

    extent = (shape.x[0], shape.output_extent(0), shape.output_extent(1), shape.out_channels)
    accumulator = te.compute(extent, element, name="acc")
    out = rescaled(accumulator, bias, multiplier, shift, rescale)
    return te.create_prim_func([x, w, bias, multiplier, shift, out])


def depthwise_conv2d(
    shape: ConvShape, input_zero_point: int, rescale: Rescale, weights: str = "int8"
) -> Any:
    """x[N,H,W,C], w[KH,KW,O], bias[O], multiplier[O], shift[O] -> out[N,OH,OW,O], O = C * m."""
    x = te.placeholder(shape.x, rescale.element, name="x")
    w = te.placeholder((*shape.kernel, shape.out_channels), weights, name="w")
    bias, multiplier, shift = channel_constants(shape.out_channels, rescale.sum_type)
    times = shape.out_channels // shape.x[3]
    source = padded(x, shape.pads, input_zero_point)
    kh = te.reduce_axis((0, shape.kernel[0]), "kh")
    kw = te.reduce_axis((0, shape.kernel[1]), "kw")

    def element(n: Any, h: Any, wd: Any, o: Any) -> Any:
        row = h * shape.strides[0] + kh * shape.dilations[0]
        column = wd * shape.strides[1] + kw * shape.dilations[1]
        channel = o if times == 1 else te.floordiv(o, times)
        product = source[n, row, column, channel].astype("int32") * w[kh, kw, o].astype("int32")
        return te.sum(product.astype(rescale.sum_type), axis=[kh, kw])

    extent = (shape.x[0], shape.output_extent(0), shape.output_extent(1), shape.out_channels)
    accumulator = te.compute(extent, element, name="acc")
    out = rescaled(accumulator, bias, multiplier, shift, rescale)
    return te.create_prim_func([x, w, bias, multiplier, shift, out])


def dense(rows: int, depth: int, units: int, rescale: Rescale, weights: str = "int8") -> Any:
    """x[M,K], w[O,K], bias[O], multiplier[O], shift[O] -> out[M,O]."""
    x = te.placeholder((rows, depth), rescale.element, name="x")
    w = te.placeholder((units, depth), weights, name="w")
    bias, multiplier, shift = channel_constants(units, rescale.sum_type)
    k = te.reduce_axis((0, depth), "k")

    def element(m: Any, o: Any) -> Any:
        product = x[m, k].astype("int32") * w[o, k].astype("int32")
        return te.sum(product.astype(rescale.sum_type), axis=k)

    accumulator = te.compute((rows, units), element, name="acc")
    out = rescaled(accumulator, bias, multiplier, shift, rescale)
    return te.create_prim_func([x, w, bias, multiplier, shift, out])
