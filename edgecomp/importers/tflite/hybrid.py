"""Dynamic-range layers: int8 weights, and float activations quantized when the model runs.

TFLite finds the scale of each batch entry as it comes (SymmetricQuantizeFloats and
AsymmetricQuantizeFloats of its reference kernels), multiplies integers, and scales the sums back.
Here the same numbers are computed in float, where integers of this size are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from edgecomp.importers.tflite.context import Context


class Grid(Enum):
    """How activations are quantized at run time."""

    SYMMETRIC = "127 steps on each side of zero"
    ASYMMETRIC = "256 steps between the least and the largest, with a zero point"


def is_hybrid(context: Context, weights_at: int) -> bool:
    """Whether the layer has 8-bit weights and float activations."""
    return context.dtype(0) == "float32" and context.quantized(weights_at) is not None


def run_time_grid(context: Context) -> Grid:
    """What the operator's options ask for."""
    asymmetric = context.option("AsymmetricQuantizeInputs", False)
    return Grid.ASYMMETRIC if asymmetric else Grid.SYMMETRIC


def quantized_at_run_time(
    context: Context, value: str, grid: Grid, axes: Sequence[int]
) -> tuple[str, str]:
    """Integers of `value` less their zero point, and the scale of each, both float32.

    Args:
        axes: reduced to find the scale; the others keep scales of their own.
    """
    if grid is Grid.SYMMETRIC:
        return _symmetric(context, value, axes)
    return _asymmetric(context, value, axes)


def _symmetric(context: Context, value: str, axes: Sequence[int]) -> tuple[str, str]:
    emit, like = context.emit, context.like
    extent = emit("ReduceMax", emit("Abs", value), context.ints(axes), keepdims=1)
    steps = like(value, 127.0)
    empty = emit("Equal", extent, like(value, 0.0))
    extent = emit("Where", empty, steps, extent)
    exact = emit("Mul", value, emit("Div", steps, extent))
    integers = emit("Clip", _rounded(context, exact), like(value, -127.0), steps)
    return integers, emit("Div", extent, steps)


def _asymmetric(context: Context, value: str, axes: Sequence[int]) -> tuple[str, str]:
    emit, like = context.emit, context.like
    zero = like(value, 0.0)
    low = emit("Min", emit("ReduceMin", value, context.ints(axes), keepdims=1), zero)
    high = emit("Max", emit("ReduceMax", value, context.ints(axes), keepdims=1), zero)
    extent = emit("Sub", high, low)
    scale = emit("Div", extent, like(value, 255.0))
    empty = emit("Equal", extent, zero)
    scale = emit("Where", empty, like(value, 1.0), scale)
    below, above = emit("Div", low, scale), emit("Div", high, scale)
    # the zero point comes from the end of the range that loses less by it
    from_low = emit("Sub", like(value, -128.0), below)
    from_high = emit("Sub", like(value, 127.0), above)
    error_low = emit("Sub", like(value, 128.0), below)
    error_high = emit("Add", like(value, 127.0), above)
    exact = emit("Where", emit("Less", error_low, error_high), from_low, from_high)
    least, most = like(value, -128.0), like(value, 127.0)
    zero_point = emit("Clip", _rounded(context, exact), least, most)
    zero_point = emit("Where", empty, zero, zero_point)
    steps = emit("Mul", value, emit("Div", like(value, 1.0), scale))
    shifted = _rounded(context, emit("Add", zero_point, steps))
    integers = emit("Clip", shifted, least, most)
    return emit("Sub", integers, zero_point), scale


def _rounded(context: Context, value: str) -> str:
    """Rounded to nearest, ties away from zero: floor(|x| + the float32 before 1/2) and sign."""
    almost_half = context.like(value, float(np.nextafter(np.float32(0.5), np.float32(0))))
    whole = context.emit("Floor", context.emit("Add", context.emit("Abs", value), almost_half))
    return context.emit("Mul", context.emit("Sign", value), whole)


def scaled_back(
    context: Context, value: str, scale: str, bias: Sequence[str], shape: Sequence[int]
) -> str:
    """`value` times the scale of the activations, plus the bias brought to `shape`."""
    value = context.emit("Mul", value, scale)
    for vector in bias:
        value = context.emit("Add", value, context.emit("Reshape", vector, context.ints(shape)))
    return value
