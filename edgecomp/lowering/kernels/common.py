"""Expressions several kernels share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import LIMITS, Multiplier

SUM_TYPES: Mapping[str, str] = {"int8": "int32", "int16": "int64"}
"""What products of activations of each type are added up in."""


def requantize(accumulator: Any, multiplier: Any, shift: Any, only_down: bool) -> Any:
    """`accumulator` times a fixed-point multiplier, as int32: with the roundings of its own width.

    Args:
        accumulator: int32, or int64 as sums of int16 products are.
        multiplier, shift: one multiplier, or one for the channel.
        only_down: whether every shift is <= 0.
    """
    if str(accumulator.ty.dtype) == "int64":
        return tirx.call_extern("int32", "ec_multiply_wide", accumulator, multiplier, shift)
    function = "ec_multiply_down" if only_down else "ec_multiply"
    return tirx.call_extern("int32", function, accumulator, multiplier, shift)


def to_element(
    value: Any, zero_point: int, limits: tuple[int, int] | None = None, element: str = "int8"
) -> Any:
    """int32 `value` plus the zero point, clamped to `limits` (the type's own), as int8 or int16."""
    low, high = LIMITS[element] if limits is None else limits
    return tirx.call_extern("int32", "ec_clamp", value + zero_point, low, high).astype(element)


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


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape numpy broadcasting gives."""
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))


def broadcast_index(shape: tuple[int, ...], index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where broadcasting finds the element at `index` of the result in a tensor of `shape`."""
    last = index[len(index) - len(shape) :]
    return tuple(0 if n == 1 else i for n, i in zip(shape, last, strict=True))


def widened(tensor: Any, index: tuple[Any, ...]) -> Any:
    """Element of `tensor` that broadcasting puts at `index`, as int32."""
    shape = tuple(int(n) for n in tensor.shape)
    return tensor[broadcast_index(shape, index)].astype("int32")


def scaled(value: Any, multiplier: Multiplier) -> Any:
    """`value` times a constant fixed-point multiplier."""
    return requantize(value, multiplier.mantissa, multiplier.shift, multiplier.shift <= 0)
