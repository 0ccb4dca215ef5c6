"""Constants of the fast rescaling: the bits of `ec_multiply_down` in a handful of instructions.

The rescaling of a sum x by mantissa m and shift -s is, with two roundings,

    y = floor((x * m + 2^30) / 2^31)            ties upwards
    z = (y + 2^(s-1) - (1 if y < 0)) >> s       ties away from zero, s >= 1

The first is the high word of 2x * m + 2^31 (SMMLAR of 2x and m) as long as 2x fits 32 bits. The
second may ask for the sign of x instead of y's: y < 0 implies x < 0, and where x < 0 but y = 0 both
(2^(s-1) - 1) >> s and 2^(s-1) >> s are 0. The output's zero point, times 2^s, goes into the
constant. `tests/targets/cortex_m/test_rescale.py` checks it against the definition.

A channel whose output is the same for every input (all its weights zero, or its bias so large that
it always saturates) becomes that constant: multiplier 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import Multiplier, multiply
from edgecomp.lowering.kernels.conv import Rescale

INPUT_LOW, INPUT_HIGH = -128, 127
SUM_LIMIT = 1 << 30
ADDEND_LIMIT = 1 << 30

Array = npt.NDArray[Any]


def sum_bounds(weights: Array) -> tuple[Array, Array]:
    """Smallest and largest sum of each row of int8 `weights` [channels, depth], without bias."""
    wide = weights.astype(np.int64)
    up, down = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    return up * INPUT_LOW + down * INPUT_HIGH, up * INPUT_HIGH + down * INPUT_LOW


def _outputs(sums: Array, multipliers: Array, shifts: Array, rescale: Rescale) -> Array:
    """The exact output of one sum for each channel."""
    scaled = [
        int(multiply(np.array(int(total)), Multiplier(int(mantissa), int(shift))))
        for total, mantissa, shift in zip(sums, multipliers, shifts, strict=True)
    ]
    return np.clip(np.array(scaled) + rescale.zero_point, rescale.low, rescale.high)


def channel_constants(
    weights: Array, constants: Sequence[Array], rescale: Rescale
) -> npt.NDArray[np.int32] | None:
    """Twice the bias, multiplier, addend, shift of each channel [channels, 4].

    Args:
        weights: int8 [channels, depth].
        constants: bias, multiplier and shift of each channel; a shift is to the left.
        rescale: of the output.

    Returns:
        None when some channel needs more than the fast rescaling has.
    """
    bias, multipliers, shifts = (array.astype(np.int64) for array in constants)
    low, high = sum_bounds(weights)
    constant = _outputs(low + bias, multipliers, shifts, rescale)
    is_constant = constant == _outputs(high + bias, multipliers, shifts, rescale)
    right = -shifts
    largest = np.maximum(np.abs(low + bias), np.abs(high + bias))
    addend = (np.int64(1) << np.clip(right - 1, 0, 62)) + (
        rescale.zero_point * (np.int64(1) << np.clip(right, 0, 40))
    )
    fits = (
        (right >= 1)
        & (largest < SUM_LIMIT)
        & (np.abs(2 * bias) < 2**31)
        & (np.abs(addend) < ADDEND_LIMIT)
    )
    if not np.all(is_constant | fits):
        return None
    varying = np.stack([2 * bias, multipliers, addend, right], axis=1)
    fixed = np.stack(
        [np.zeros_like(bias), np.zeros_like(bias), 2 * constant + 1, np.ones_like(bias)], axis=1
    )
    return np.where(is_constant[:, None], fixed, varying).astype(np.int32)
