"""Constants of the fast rescalings: the bits of `ec_multiply_down` in a handful of instructions.

The rescaling of a sum x by mantissa m and shift -s is, with two roundings,

    y = floor((x * m + 2^30) / 2^31)            ties upwards
    z = (y + 2^(s-1) - (1 if y < 0)) >> s       ties away from zero, s >= 1

Doubled sums (`doubled`): the first rounding is the high word of 2x * m + 2^31 (SMMLAR of 2x and
m) as long as 2x fits 32 bits. The second may ask for the sign of x instead of y's: y < 0 implies
x < 0, and where x < 0 but y = 0 both (2^(s-1) - 1) >> s and 2^(s-1) >> s are 0. The output's zero
point, times 2^s, goes into the constant.

Scaled sums (`scaled_constants`): where no output below the zero point is asked for (a fused ReLU),
y < 0 gives the zero point or less with or without the 1, so it is left out. Let X = 2^k * x with
k = t + 1 - s for one t of all channels, 2^k part of the operands, and y' = floor(X * m / 2^32)
(SMMUL). Then z >= q, which is x * m >= q * 2^(s+31) - 2^(s+30) - 2^30, is
y' >= q * 2^t - 2^(t-1) - 2^(k-2), an integer as k >= 2: so

    z = (y' + 2^(t-1) + 2^(k-2)) >> t

to the bit, and t is a constant of the instruction that shifts and saturates.

Steep channels: a multiplier of 2^L / 2 or more, L >= 0, shifts sums to the left by L before the
first rounding and has no second. Weights and bias take the 2^L, and s is 0. Where outputs below
the zero point are asked for, `steep.origin` is added to doubled sums, so that no sum with y < 0
matters, and its steps are taken away in the constant. Scaled sums take more powers of two from the
weights (`_fitted`): s is 1 or more again; what stands for the second rounding is found by trying.

`tests/targets/cortex_m/test_rescale.py` checks all of it against the definition.

A channel whose output is the same for every input (all its weights zero, or its bias so large that
it always saturates) becomes weights of zero and a bias that gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import Multiplier, multiply
from edgecomp.lowering.kernels.conv import Rescale
from edgecomp_targets.cortex_m import steep

INPUT_LOW, INPUT_HIGH = -128, 127
SUM_LIMIT = 1 << 30
ADDEND_LIMIT = 1 << 30

INPUT_SCALE = 8
"""Inputs hold 2^8 of the 2^k; the weights of a channel hold the rest, 2^0 to 2^8."""
MOST_EXTRA = 8
MOST_SUMS = 1 << 20
"""Sums that are tried one by one."""
CONSTANT = (1 << 30, 5)
"""Mantissa and shift to the right of a channel that is constant: 2^-6 a step."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Channels:
    """Channels a fast rescaling does.

    Attributes:
        weights: int8 [channels, depth]; zeros where a channel is constant.
        bias, multiplier: int32 [channels].
        shift: to the right, int32 [channels]; 0 of steep channels.
        zero_point: of the output.
        part: of the bias, what is less than 1: times 2^8, 0 or more, [channels].
        reach: |sum with bias| is no more, [channels].
        only_above: no output below the zero point is asked for.
        origin: what steep channels add to twice the sum, [channels].
    """

    weights: Array
    bias: Array
    multiplier: Array
    shift: Array
    zero_point: int
    part: Array
    reach: Array
    only_above: bool
    origin: Array

    @property
    def has_usual_addends(self) -> bool:
        """Whether the zero point and the shift say what `doubled` adds, (2 z + 1) 2^s / 2."""
        return not np.any(self.origin)

    def doubled(self) -> npt.NDArray[np.int32]:
        """Twice the bias, multiplier, addend, shift of each channel [channels, 4]."""
        addend = _addend(self.shift, self.zero_point)
        addend = addend - steep.taken_away(self.origin, self.multiplier)
        rows = [2 * self.bias + self.origin, self.multiplier, addend, self.shift]
        constants: npt.NDArray[np.int32] = np.stack(rows, axis=1).astype(np.int32)
        return constants

    def extra(self, t: int) -> Array:
        """The power of two in each channel's weights for scaled sums."""
        return t + 1 - INPUT_SCALE - self.shift

    def scaled_bias(self) -> Array:
        """The bias times 2^8."""
        return (self.bias << INPUT_SCALE) + self.part

    def scaled(self, t: int) -> Channels | None:
        """The channels as scaled sums take them; None where scaled sums do not do.

        A multiplier too small for `t` loses its last bits where that changes no output; steep
        channels hand powers of two to their weights.
        """
        if not self.only_above:
            return None
        bias, multiplier, shift = self.bias.copy(), self.multiplier.copy(), self.shift.copy()
        part, weights, reach = self.part.copy(), self.weights.copy(), self.reach.copy()
        for c in np.flatnonzero((self.extra(t) < 0) | (self.shift == 0)):
            found = self._fitted(int(c), t)
            if found is None:
                return None
            total, multiplier[c], shift[c], power = found
            bias[c], part[c] = divmod(total, 1 << INPUT_SCALE)
            weights[c] <<= power
            reach[c] <<= power
        made = replace(
            self,
            weights=weights,
            bias=bias,
            part=part,
            multiplier=multiplier,
            shift=shift,
            reach=reach,
        )
        extra = made.extra(t)
        # a part of a step more than the bias says
        room = (reach + 1) << (INPUT_SCALE + extra.clip(0))
        return made if np.all((extra <= MOST_EXTRA) & (room < 1 << 31)) else None

    def _fitted(self, channel: int, t: int) -> tuple[int, int, int, int] | None:
        """Bias times 2^8, multiplier and shift of a channel, and the power its weights take."""
        weights = self.weights[channel].astype(np.int64)
        low, high = (int(bound[channel]) for bound in sum_bounds(self.weights))
        bias, exact = int(self.bias[channel]), int(self.multiplier[channel])
        given = int(self.shift[channel])
        power = steep.powers_left(weights) if given == 0 else 0
        shift = min(given + power, t + 1 - INPUT_SCALE)
        lost, extra = given + power - shift, t + 1 - INPUT_SCALE - shift
        apart = max(1, int(np.gcd.reduce(weights)))
        if (
            shift == 0
            or (high - low) // apart > MOST_SUMS
            or self.reach[channel] << power >= 1 << 30 - INPUT_SCALE
        ):
            return None
        sums = np.arange(low, high + 1, apart)
        wanted = multiply(sums + bias, Multiplier(exact, -given)) + self.zero_point
        wanted = wanted.clip(self.zero_point, 127)
        addend = int(_addend(np.array(t), self.zero_point)) + (1 << INPUT_SCALE + extra - 2)
        rises = np.flatnonzero(np.diff(wanted)) + 1
        summed = sums << INPUT_SCALE + power
        for kept in (exact >> lost, (exact >> lost) + 1):
            # the least bias with which no output rises later than it should
            total = max(
                -(-(((int(wanted[i]) << t) - addend) << 32) // (kept << extra)) - int(summed[i])
                for i in rises
            )
            steps = (((summed + total << extra) * kept) >> 32) + addend >> t
            if np.array_equal(steps.clip(self.zero_point, 127), wanted):
                return total, kept, shift, power
        return None


def _addend(shift: Array, zero_point: int) -> Array:
    """What is added before a shift to the right: a half, and the zero point."""
    one = np.int64(1)
    return (one << np.clip(shift, 0, 62) >> 1) + zero_point * (one << np.clip(shift, 0, 40))


def scaled_constants(channels: Channels, t: int) -> npt.NDArray[np.int32]:
    """Bias, multiplier, addend of each channel [channels, 3] of `Channels.scaled`."""
    exponent = INPUT_SCALE + channels.extra(t)
    start = int(_addend(np.array(t), channels.zero_point))
    bias = channels.scaled_bias() << channels.extra(t)
    rows = [bias, channels.multiplier, start + (1 << exponent - 2)]
    constants: npt.NDArray[np.int32] = np.stack(rows, axis=1).astype(np.int32)
    return constants


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


def fast_channels(weights: Array, constants: Sequence[Array], rescale: Rescale) -> Channels | None:
    """The channels of a layer as the fast rescalings take them.

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
    # beyond 32 bits a shift to the left wraps, and what lies between the ends may be anything
    furthest = np.maximum(np.abs(low + bias), np.abs(high + bias))
    is_constant &= furthest << np.maximum(shifts, 0) < 1 << 31
    steps = constant - rescale.zero_point
    bias = np.where(is_constant, steps << CONSTANT[1] + 1, bias)
    multipliers = np.where(is_constant, CONSTANT[0], multipliers)
    shifts = np.where(is_constant, -CONSTANT[1], shifts)
    weights = np.where(is_constant[:, None], 0, weights).astype(np.int8)
    lifted = steep.lifted(weights, bias, shifts)
    if lifted is None:
        return None
    weights, bias, shifts = lifted
    low, high = sum_bounds(weights)
    reach = np.maximum(np.abs(low + bias), np.abs(high + bias))
    only_above = rescale.low >= rescale.zero_point
    origin = steep.origins(multipliers, (shifts == 0) & (not only_above))
    fits = (
        (reach < SUM_LIMIT - steep.MOST_ORIGIN)
        & (np.abs(2 * bias) < 2**31)
        & (np.abs(_addend(-shifts, rescale.zero_point)) < ADDEND_LIMIT)
    )
    if origin is None or not np.all(fits):
        return None
    return Channels(
        weights,
        bias,
        multipliers,
        -shifts,
        rescale.zero_point,
        np.zeros_like(bias),
        reach,
        only_above,
        origin,
    )
