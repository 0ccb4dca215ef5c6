"""Real multipliers of the integer operators, from the float32 scales of their tensors.

A real multiplier becomes a Q31 mantissa, and two ways of computing it (all in double, or a product
in float32 first) round to different mantissas. Each function here computes in the precision in
which TensorFlow Lite 2.14 prepares that operator; tests/lowering/test_kernels_tflite.py proves it.
Scales are float32 values; every result is a fixed-point `Multiplier`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier

Scale = float | np.float32 | npt.NDArray[np.float32]

# Head-room the int8 inputs of an addition are given before they are brought to a common scale.
ADD_LEFT_SHIFT = 20
# The same of int16 inputs.
WIDE_ADD_LEFT_SHIFT = 15
# The same for a difference of int8 that is squared; int16 has none.
SQUARED_DIFFERENCE_LEFT_SHIFT = 7


@dataclass(frozen=True)
class SumMultipliers:
    """What an addition or subtraction scales by.

    Attributes:
        inputs: of the two operands, each at most 1/2.
        output: of their sum, which carries as many extra bits as its inputs.
    """

    inputs: tuple[Multiplier, Multiplier]
    output: Multiplier


def conv_multipliers(
    source: Scale, weights: Sequence[float] | npt.NDArray[np.float32], result: Scale
) -> list[Multiplier]:
    """One multiplier for each output channel of a (depthwise) convolution.

    All in double: source * weights[i] / result.
    """
    return [
        quantize_multiplier(_double(source) * _double(weight) / _double(result))
        for weight in np.asarray(weights, np.float32).reshape(-1)
    ]


def dense_multiplier(source: Scale, weights: Scale, result: Scale) -> Multiplier:
    """Of a fully connected layer with one weight scale: float32 product, then double quotient."""
    product = _single(source) * _single(weights)
    return quantize_multiplier(float(product) / _double(result))


def add_multipliers(
    left: Scale, right: Scale, result: Scale, left_shift: int = ADD_LEFT_SHIFT
) -> SumMultipliers:
    """Of an addition or subtraction: quotients in double by twice the larger input scale."""
    twice_largest = 2 * max(_double(left), _double(right))
    return SumMultipliers(
        inputs=(
            quantize_multiplier(_double(left) / twice_largest),
            quantize_multiplier(_double(right) / twice_largest),
        ),
        output=quantize_multiplier(twice_largest / ((1 << left_shift) * _double(result))),
    )


def mul_multiplier(left: Scale, right: Scale, result: Scale) -> Multiplier:
    """Of a product of two activations: all in float32, (left * right) / result."""
    return quantize_multiplier(float(_single(left) * _single(right) / _single(result)))


def div_multiplier(left: Scale, right: Scale, result: Scale) -> Multiplier:
    """Of a quotient of two activations: all in float32, left / (right * result)."""
    return quantize_multiplier(float(_single(left) / (_single(right) * _single(result))))


def squared_difference_multipliers(
    left: Scale, right: Scale, result: Scale, left_shift: int = SQUARED_DIFFERENCE_LEFT_SHIFT
) -> SumMultipliers:
    """Of a squared difference: as an addition, with the common scale squared."""
    twice_largest = 2 * max(_double(left), _double(right))
    extra = 1 << (2 * left_shift)
    return SumMultipliers(
        inputs=(
            quantize_multiplier(_double(left) / twice_largest),
            quantize_multiplier(_double(right) / twice_largest),
        ),
        output=quantize_multiplier(twice_largest * twice_largest / (extra * _double(result))),
    )


def prelu_multipliers(source: Scale, slope: Scale, result: Scale) -> tuple[Multiplier, Multiplier]:
    """Of arguments that are not negative, and of products with the slope: all in double."""
    product = _double(source) * _double(slope) / _double(result)
    return requantize_multiplier(source, result), quantize_multiplier(product)


def comparison_multipliers(left: Scale, right: Scale) -> tuple[Multiplier, Multiplier]:
    """Of the two sides of a comparison: their scales, halved until both are below 1."""
    halvings = max(0, math.frexp(max(_double(left), _double(right)))[1])
    first, second = (quantize_multiplier(_double(s) / 2**halvings) for s in (left, right))
    return first, second


def requantize_multiplier(source: Scale, result: Scale) -> Multiplier:
    """Of int8 to int8 with another scale: a quotient in double."""
    return quantize_multiplier(_double(source) / _double(result))


def relu_multiplier(source: Scale, result: Scale) -> Multiplier:
    """Of an activation function that keeps its argument's slope: a quotient in float32."""
    return quantize_multiplier(float(_single(source) / _single(result)))


def leaky_relu_multipliers(
    source: Scale, alpha: float, result: Scale
) -> tuple[Multiplier, Multiplier]:
    """Of positive and negative arguments: source / result, source * alpha / result, in float32."""
    negative = _single(source) * _single(alpha) / _single(result)
    return relu_multiplier(source, result), quantize_multiplier(float(negative))


def wide_softmax_multiplier(source: Scale) -> Multiplier:
    """Of a difference of int16 to an argument of the softmax's exponential, 65535 for 10."""
    return quantize_multiplier(_double(source) / (10.0 / 65535.0))


def product_multiplier(source: Scale, result: Scale, count: int) -> Multiplier:
    """Of each of `count` factors of a product: source / result^(1/count), in double."""
    return quantize_multiplier(_double(source) / math.pow(_double(result), 1.0 / count))


def mean_multiplier(source: Scale, result: Scale, count: int) -> Multiplier:
    """Of a sum of `count` elements that becomes their mean.

    The mantissa of source / result (in double) is divided by `count` in integers, after it was
    moved up by as many bits as `count` has.
    """
    whole = requantize_multiplier(source, result)
    up = min(count.bit_length() - 1, 32, 31 + whole.shift)
    return Multiplier((whole.mantissa << up) // count, whole.shift - up)


def _single(scale: Scale) -> np.float32:
    return np.float32(np.asarray(scale, np.float32).reshape(()))


def _double(scale: Scale) -> float:
    return float(_single(scale))
