"""Channels whose multiplier is 1 or more: their weights and bias take the power of two."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_WEIGHT = 127
"""Weights are symmetric where they are made larger."""
FAR_SUM = 600
"""With a multiplier of 1/2 or more and any zero point, sums further from 0 saturate the output."""
MOST_ORIGIN = 1 << 17
MOST_TRIED = 64

Array = npt.NDArray[Any]


def lifted(weights: Array, bias: Array, shifts: Array) -> tuple[Array, Array, Array] | None:
    """Weights, bias and shifts of the same channels without a shift to the left.

    Exact: the first rounding sees the same sums.

    Args:
        weights: int8 [channels, ...].
        bias, shifts: of each channel; a shift is to the left.

    Returns:
        None where some weight would not fit 8 bits.
    """
    power = np.maximum(shifts.astype(np.int64), 0)
    total = bias.astype(np.int64) << power
    wide = weights.astype(np.int64) << power.reshape(-1, *[1] * (weights.ndim - 1))
    grown = power > 0
    if np.any(np.abs(wide[grown]) > MOST_WEIGHT) or np.any(np.abs(total[grown]) >= 1 << 30):
        return None
    narrow = np.minimum(shifts, 0).astype(shifts.dtype)
    return wide.astype(np.int8), total.astype(bias.dtype), narrow


def powers_left(weights: Array) -> int:
    """The largest power of two that one channel's weights can take."""
    largest = max(1, int(np.abs(weights.astype(np.int64)).max()))
    return max(0, (MOST_WEIGHT // largest).bit_length() - 1)


def origins(multipliers: Array, wanted: Array) -> Array | None:
    """`origin` of the channels that want one, else 0; None where there is none."""
    found = [origin(int(m)) if want else 0 for m, want in zip(multipliers, wanted, strict=True)]
    return None if None in found else np.array(found, np.int64)


def taken_away(offset: Any, multiplier: Any) -> Any:
    """The output steps of `offset`: of one or of each channel."""
    return offset * multiplier + (1 << 31) >> 32


@lru_cache(maxsize=4096)
def origin(multiplier: int) -> int | None:
    """What may be added to twice any sum, and its product taken away from the output.

    With b for it, ((2x + b) * multiplier + 2^31) / 2^32, rounded down, less `taken_away` is
    (x * multiplier + 2^30) / 2^31, rounded down, for every sum x that does not saturate the
    output; and 2x + b is positive.

    Args:
        multiplier: 2^30 or more, less than 2^31.

    Returns:
        None where none was found, as for multipliers that are next to a tie for every odd sum.
    """
    sums = np.arange(-FAR_SUM, FAR_SUM + 1, dtype=np.int64)
    wanted = sums * multiplier + (1 << 30) >> 31
    offsets = np.arange(2 * FAR_SUM, MOST_ORIGIN, dtype=np.int64)
    # how far the product is from a whole output, in either direction
    rest = (offsets * multiplier).astype(np.int32).astype(np.int64)
    for place in np.argsort(np.abs(rest), kind="stable")[:MOST_TRIED]:
        offset = offsets[place]
        found = (2 * sums + offset) * multiplier + (1 << 31) >> 32
        if np.array_equal(found - taken_away(offset, multiplier), wanted):
            return int(offset)
    return None
