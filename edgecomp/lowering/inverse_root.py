"""1 / sqrt(x) of quantized numbers, as the TensorFlow Lite 8-bit operator defines it.

Five Newton-Raphson steps from 1 in fixed point (Q3.28), after x was brought near 1 by an even
number of shifts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import Multiplier, multiply, quantize_multiplier

_HALF_ROOT_2 = 1518500250  # sqrt(2) / 2, Q0.31
_THREE_HALVES = (1 << 28) + (1 << 27)  # Q3.28
# Bits the root is given before it is brought to the output.
_EXTRA_BITS = 20


def inverse_roots(
    values: npt.NDArray[np.int64], source: np.float32, result: np.float32
) -> npt.NDArray[np.int64]:
    """1 / sqrt(source * value) in steps of `result`, not clipped; 0 and below give 2^20."""
    to_output = quantize_multiplier(1.0 / float(np.sqrt(source) * result))
    down = Multiplier(to_output.mantissa, to_output.shift - _EXTRA_BITS)
    steps = []
    for value in values.tolist():
        if value <= 0:
            steps.append(1 << 20)
            continue
        root = _inverse_root(value)
        wide = multiply(np.array(1), Multiplier(root.mantissa, root.shift + _EXTRA_BITS))
        steps.append(int(multiply(wide, down)))
    return np.array(steps, np.int64)


def _inverse_root(x: int) -> Multiplier:
    """1 / sqrt(x) for 1 <= x < 2^29."""
    if x == 1:
        return Multiplier((1 << 31) - 1, 0)
    pairs = (31 - x.bit_length()) // 2 - 1
    right = 11 - pairs
    scaled = (x << (2 * pairs)) >> 1
    half = _rounding_half(scaled)
    root = 1 << 28
    for _ in range(5):
        cube = _saturated(_product(_product(root, root), root) << 6)
        root = _saturated((_product(_THREE_HALVES, root) - _product(half, cube)) << 3)
    mantissa = _product(root, _HALF_ROOT_2)
    if right < 0:
        return Multiplier(mantissa << -right, 0)
    return Multiplier(mantissa, -right)


def _product(a: int, b: int) -> int:
    return (a * b + (1 << 30)) >> 31


def _rounding_half(x: int) -> int:
    return (x + 1) >> 1


def _saturated(x: int) -> int:
    return min(max(x, -(1 << 31)), (1 << 31) - 1)
