"""Transposed convolution, as a sum over the inputs an output element hears of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te

from edgecomp.lowering.kernels.common import padded
from edgecomp.lowering.kernels.conv import Rescale, channel_constants, rescaled


@dataclass(frozen=True)
class TransposeConvShape:
    """Geometry of a 2-d transposed convolution, NHWC.

    Attributes:
        x: input shape.
        out: height, width and channels of the output.
        kernel, strides: height and width; the kernel is a multiple of the stride, zeros added.
        pads: how many of the first rows and columns of the full output are cut off.
        group: input and output channels are split into this many independent groups.
    """

    x: tuple[int, int, int, int]
    out: tuple[int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    group: int

    @property
    def taps(self) -> tuple[int, int]:
        """How many input rows and columns reach one output element."""
        return self.kernel[0] // self.strides[0], self.kernel[1] // self.strides[1]

    def border(self) -> tuple[int, int, int, int]:
        """Input border (top, left, bottom, right) that outputs at the edges would hear of."""
        before = [taps - 1 for taps in self.taps]
        last = [
            (self.out[i] - 1 + self.pads[i]) // self.strides[i] - (self.x[1 + i] - 1)
            for i in range(2)
        ]
        return before[0], before[1], max(0, last[0]), max(0, last[1])


def conv2d_transpose(
    shape: TransposeConvShape, input_zero_point: int, rescale: Rescale, weights: str = "int8"
) -> Any:
    """x[N,H,W,C], w[O,KH,KW,C/group], bias[O], multiplier[O], shift[O] -> out[N,OH,OW,O].

    The zero point is not in the bias: which taps an output element sums depends on its place.
    """
    x = te.placeholder(shape.x, rescale.element, name="x")
    channels = shape.out[2]
    in_group, out_group = shape.x[3] // shape.group, channels // shape.group
    w = te.placeholder((channels, *shape.kernel, in_group), weights, name="w")
    bias, multiplier, shift = channel_constants(channels, rescale.sum_type)
    border = shape.border()
    source = padded(x, border, input_zero_point)
    th = te.reduce_axis((0, shape.taps[0]), "th")
    tw = te.reduce_axis((0, shape.taps[1]), "tw")
    ic = te.reduce_axis((0, in_group), "ic")
    (stride_h, stride_w), (top, left) = shape.strides, shape.pads

    def element(n: Any, h: Any, wd: Any, o: Any) -> Any:
        row = te.floordiv(h + top, stride_h) - th + border[0]
        column = te.floordiv(wd + left, stride_w) - tw + border[1]
        kh = te.floormod(h + top, stride_h) + th * stride_h
        kw = te.floormod(wd + left, stride_w) + tw * stride_w
        first = 0 if shape.group == 1 else te.floordiv(o, out_group) * in_group
        value = source[n, row, column, first + ic].astype("int32") - input_zero_point
        product = value * w[o, kh, kw, ic].astype("int32")
        return te.sum(product.astype(rescale.sum_type), axis=[th, tw, ic])

    accumulator = te.compute((shape.x[0], *shape.out), element, name="acc")
    out = rescaled(accumulator, bias, multiplier, shift, rescale)
    return te.create_prim_func([x, w, bias, multiplier, shift, out])
