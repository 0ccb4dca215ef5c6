"""Real multipliers as integers: quantities of the TensorFlow Lite 8-bit quantization specification.

Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, section 2.2, and the TFLite specification.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LIMITS: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "int16": (-(2**15), 2**15 - 1)}
"""The least and the largest number of each type activations have."""


LARGEST_WIDE_SHIFT = 14
"""Of a multiplier of 64-bit sums: its 16-bit mantissa is shifted right by a bit at least."""


@dataclass(frozen=True)
class Multiplier:
    """mantissa * 2^(shift - 31), mantissa in [2^30, 2^31) or 0."""

    mantissa: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """The Q31 mantissa and power of two nearest to `real` >= 0 (a double)."""
    if real == 0.0:
        return Multiplier(0, 0)
    fraction, shift = math.frexp(real)
    mantissa = round_half_away(fraction * (1 << 31))
    if mantissa == 1 << 31:
        mantissa //= 2
        shift += 1
    if shift < -31:
        return Multiplier(0, 0)
    if shift > 30:
        return Multiplier((1 << 31) - 1, 30)
    return Multiplier(mantissa, shift)


def round_half_away(x: float) -> int:
    """The integer nearest to `x`, ties away from zero."""
    return math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def quantize_value(real: float, scale: float, zero_point: int) -> int:
    """`real` on the grid of (scale, zero_point), not clipped; float32 division, ties away."""
    return round_half_away(float(np.float32(real) / np.float32(scale))) + zero_point


def multiply(values: npt.NDArray[np.int64], by: Multiplier) -> npt.NDArray[np.int64]:
    """`values` times a multiplier with the two roundings the integer kernels have (`ec_multiply`).

    First the Q31 product, ties upwards, then the shift to the right, ties away from zero. Exact as
    long as values * 2^shift fits 32 bits.
    """
    shifted = values << max(by.shift, 0)
    product = (shifted * by.mantissa + (1 << 30)) >> 31
    return rounding_divide(product, max(-by.shift, 0))


def rounding_divide(values: npt.NDArray[np.int64], exponent: int) -> npt.NDArray[np.int64]:
    """values / 2^exponent, rounded to nearest, ties away from zero."""
    half = (1 << exponent) >> 1
    return np.asarray(np.sign(values) * ((np.abs(values) + half) >> exponent), np.int64)
