"""Pooling, NHWC. Borders do not count: the average is over the elements inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import LIMITS, Multiplier
from edgecomp.lowering.kernels.common import scaled, to_element


@dataclass(frozen=True)
class PoolShape:
    """Geometry of a 2-d pooling window, NHWC; pads are top, left, bottom, right."""

    x: tuple[int, int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    out: tuple[int, int]


@dataclass(frozen=True)
class PoolWork:
    """What `max_pool` and `average_pool` compute, without a clamp."""

    shape: PoolShape
    average: bool
    dtype: str
    rounds_up: bool = False

    def build(self) -> Any:
        """The kernel."""
        if self.average:
            return average_pool(self.shape, None, self.dtype, self.rounds_up)
        return max_pool(self.shape, dtype=self.dtype)


def _inside(shape: PoolShape, row: Any, column: Any) -> Any:
    return tirx.all(row >= 0, row < shape.x[1], column >= 0, column < shape.x[2])


def _window(shape: PoolShape, h: Any, w: Any, kh: Any, kw: Any) -> tuple[Any, Any]:
    return h * shape.strides[0] + kh - shape.pads[0], w * shape.strides[1] + kw - shape.pads[1]


def _axes(shape: PoolShape) -> tuple[Any, Any]:
    return te.reduce_axis((0, shape.kernel[0]), "kh"), te.reduce_axis((0, shape.kernel[1]), "kw")


def _covers_border(shape: PoolShape) -> bool:
    def reach(axis: int) -> int:
        return (shape.out[axis] - 1) * shape.strides[axis] + shape.kernel[axis] - shape.pads[axis]

    return any(shape.pads) or reach(0) > shape.x[1] or reach(1) > shape.x[2]


def max_pool(shape: PoolShape, limits: tuple[int, int] | None = None, dtype: str = "int8") -> Any:
    """x[N,H,W,C] -> out[N,OH,OW,C], clamped to `limits`."""
    x = te.placeholder(shape.x, dtype, name="x")
    least = tirx.const(LIMITS[dtype][0], dtype)
    kh, kw = _axes(shape)
    border = _covers_border(shape)

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        row, column = _window(shape, h, w, kh, kw)
        value = x[n, row, column, c]
        if border:
            value = te.if_then_else(_inside(shape, row, column), value, least)
        return te.max(value, axis=[kh, kw])

    extent = (shape.x[0], *shape.out, shape.x[3])
    accumulator = te.compute(extent, element, name="acc")

    def clamped(*index: Any) -> Any:
        return to_element(accumulator[index].astype("int32"), 0, limits, dtype)

    out = te.compute(extent, clamped, name="out")
    return te.create_prim_func([x, out])


def average_pool(
    shape: PoolShape,
    limits: tuple[int, int] | None = None,
    dtype: str = "int8",
    rounds_up: bool = False,
) -> Any:
    """x[N,H,W,C] -> out[N,OH,OW,C], rounded to nearest with ties away from zero or up, clamped."""
    function = "ec_mean_ties_up" if rounds_up else "ec_rounded_mean"
    x = te.placeholder(shape.x, dtype, name="x")
    kh, kw = _axes(shape)
    border = _covers_border(shape)

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        row, column = _window(shape, h, w, kh, kw)
        value = x[n, row, column, c].astype("int32")
        if border:
            value = te.if_then_else(_inside(shape, row, column), value, tirx.const(0, "int32"))
        return te.sum(value, axis=[kh, kw])

    extent = (shape.x[0], *shape.out, shape.x[3])
    accumulator = te.compute(extent, element, name="acc")

    def span(position: Any, axis: int) -> Any:
        start = position * shape.strides[axis] - shape.pads[axis]
        return te.min(start + shape.kernel[axis], shape.x[1 + axis]) - te.max(start, 0)

    def mean(n: Any, h: Any, w: Any, c: Any) -> Any:
        count: Any = shape.kernel[0] * shape.kernel[1]
        if border:
            count = span(h, 0) * span(w, 1)
        value = tirx.call_extern("int32", function, accumulator[n, h, w, c], count)
        return to_element(value, 0, limits, dtype)

    out = te.compute(extent, mean, name="out")
    return te.create_prim_func([x, out])


@dataclass(frozen=True)
class MeanWork:
    """What `mean` computes."""

    shape: tuple[int, int, int, int]
    input_zero_point: int
    zero_point: int
    multiplier: Multiplier


def mean(work: MeanWork, dtype: str = "int8") -> Any:
    """x[N,H,W,C] -> out[N,1,1,C], the mean over H and W on the output's grid.

    The multiplier brings the sum of the H * W elements to the output (`mean_multiplier`): unlike
    `average_pool` the division is part of it.
    """
    batch, height, width, channels = work.shape
    x = te.placeholder(work.shape, dtype, name="x")
    kh, kw = te.reduce_axis((0, height), "kh"), te.reduce_axis((0, width), "kw")
    extent = (batch, 1, 1, channels)
    accumulator = te.compute(
        extent,
        lambda n, h, w, c: te.sum(x[n, kh, kw, c].astype("int32"), axis=[kh, kw]),
        name="acc",
    )

    def element(*index: Any) -> Any:
        centred = accumulator[index] - work.input_zero_point * height * width
        return to_element(scaled(centred, work.multiplier), work.zero_point, element=dtype)

    return te.create_prim_func([x, te.compute(extent, element, name="out")])
