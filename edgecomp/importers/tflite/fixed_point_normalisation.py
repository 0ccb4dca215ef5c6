"""Layer normalisation of 16-bit numbers in ONNX's operators, as TFLite's integer LSTM defines it.

The mean has 10 bits after the point and the variance none; 1 / sqrt is five Newton-Raphson steps in
Q3.28 from 1, after an even number of shifts brought the variance near 1.
"""

from __future__ import annotations

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integer_operands import INT16
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.lstm_shape import GateScales
from edgecomp.lowering.fixed_point import Multiplier

_INT32 = (-(1 << 31), (1 << 31) - 1)
_HALF_ROOT_2 = 1518500250
"""sqrt(1/2) in Q31."""


def normalised(x: Integers, weights: Integers, biases: Integers, scales: GateScales) -> Integers:
    """Rows [batch, units] of `x` with mean 0 and variance 1, times weights, plus biases."""
    context, units = x.context, x.context.of(x.value)[1]
    wide = x.cast("int64")
    mean = (_sum(wide) * 1024).quotient(units)
    spread = _sum(wide * wide) * ((1 << 20) // units) - mean * mean
    variance = spread.quotient(1 << 20)
    guard = (variance * 0) + scales.variance_guard
    multiplier, right = _inverse_root(guard.where(variance.compare("Less", 1), variance))
    # rounded like Integers.scaled, with a shift that depends on the row
    product = ((wide * 1024 - mean) * multiplier).halved(31, ties_up=True)
    power = Integers(context, context.emit("Gather", _powers(context), right.value, axis=0))
    half = power.quotient(2)
    even = _divided(product + (-half).where(product.compare("Less", 0), half), power)
    moved = (even.cast("int32") * weights).cast("int64") + biases.cast("int64")
    below = moved * 0 - 512
    rounded = (moved + (below + 1024).where(moved.compare("Greater", 0), below)).quotient(1024)
    norm = Multiplier(scales.norm.mantissa, scales.norm.shift + 12)
    return rounded.cast("int32").scaled(norm).clipped(*INT16)


def _sum(x: Integers) -> Integers:
    context = x.context
    return Integers(context, context.emit("ReduceSum", x.value, context.ints([1]), keepdims=1))


def _divided(x: Integers, divisor: Integers) -> Integers:
    return Integers(x.context, x.context.emit("Div", x.value, divisor.value))


def _powers(context: Context) -> str:
    return context.ints(1 << shift for shift in range(14))


def _inverse_root(x: Integers) -> tuple[Integers, Integers]:
    """1 / sqrt(x) for x >= 1 as a number of Q31 and a shift to the right from 0 to 13."""
    one = x.compare("Equal", 1)
    large = x.compare("Greater", (1 << 29) - 1)
    right = (x * 0 + 12).where(large, x * 0 + 11)
    near = x.quotient(4).where(large, x)
    for pairs in (8, 4, 2, 1):
        small = near.compare("Less", 1 << (29 - 2 * pairs))
        right = (right - pairs).where(small, right)
        near = (near * (1 << (2 * pairs))).where(small, near)
    half = (near.quotient(2) + 1).quotient(2)
    root = x * 0 + (1 << 28)
    for _ in range(5):
        cube = (_product(_product(root, root), root) * 64).clipped(*_INT32)
        next_root = _product(root, (1 << 28) + (1 << 27)) - _product(half, cube)
        root = (next_root * 8).clipped(*_INT32)
    mantissa = _product(root, _HALF_ROOT_2)
    mantissa = (x * 0 + _INT32[1]).where(one, mantissa)
    right = (x * 0).where(one, right)
    for shift in (1, 2):  # a shift to the left instead
        mantissa = (mantissa * (1 << shift)).where(right.compare("Equal", -shift), mantissa)
    return mantissa, (x * 0).where(right.compare("Less", 0), right)


def _product(left: Integers, right: Integers | int) -> Integers:
    """Of two Q31 numbers, rounded to nearest, ties up."""
    return (left * right).halved(31, ties_up=True)
