"""Expressions several kernels share."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx


def requantize(accumulator: Any, multiplier: Any, shift: Any, only_down: bool) -> Any:
    """int32 `accumulator` times a fixed-point multiplier; `only_down` when every shift is <= 0."""
    function = "ec_multiply_down" if only_down else "ec_multiply"
    return tirx.call_extern("int32", function, accumulator, multiplier, shift)


def to_int8(value: Any, zero_point: int, low: int, high: int) -> Any:
    """int32 `value` plus the zero point, clamped to [low, high], as int8."""
    return tirx.call_extern("int32", "ec_clamp", value + zero_point, low, high).astype("int8")


def padded(x: Any, pads: tuple[int, int, int, int], value: int) -> Any:
    """NHWC `x` with (top, left, bottom, right) border of `value`; `x` itself without a border."""
    if not any(pads):
        return x
    top, left, bottom, right = pads
    batch, height, width, channels = (int(extent) for extent in x.shape)

    def element(n: Any, h: Any, w: Any, c: Any) -> Any:
        inside = tirx.all(h >= top, h < height + top, w >= left, w < width + left)
        return te.if_then_else(inside, x[n, h - top, w - left, c], tirx.const(value, x.dtype))

    shape = (batch, height + top + bottom, width + left + right, channels)
    return te.compute(shape, element, name="pad")
