"""The fast rescaling against the definition, for any channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import Multiplier, multiply
from edgecomp.lowering.kernels.conv import Rescale
from edgecomp_targets.cortex_m.dsp_weights import pack_weights
from edgecomp_targets.cortex_m.rescale import fast_channels, scaled_constants, sum_bounds
from edgecomp_targets.cortex_m.steep import lifted


def _doubled(total: int, constants: npt.NDArray[np.int32]) -> int:
    """What `ec_dsp_rescale` computes of a sum without its bias, in 32 bits, and the clamp."""
    bias, multiplier, addend, shift = (int(value) for value in constants)
    twice = 2 * total + bias
    assert -(2**31) <= twice < 2**31
    high = (twice * multiplier + 2**31) >> 32
    before = addend + (-1 if twice < 0 else 0) + high
    assert -(2**31) <= before < 2**31
    return max(-128, min(127, before >> shift))


def _times(weights: npt.NDArray[np.int8], of: npt.NDArray[np.int8]) -> int:
    """How many times the weights of one channel are those it began with; 0 where they are zeros."""
    nonzero = of.astype(int) != 0
    if not nonzero.any():
        return 1
    times = set(weights.astype(int)[nonzero] // of.astype(int)[nonzero])
    assert len(times) == 1
    return int(times.pop())


def _scaled(total: int, constants: npt.NDArray[np.int32], extra: int, shift: int) -> int:
    """What `ec_dsp_scaled_step` computes of a sum without its bias, in 32 bits, and the clamp."""
    bias, multiplier, addend = (int(value) for value in constants)
    scaled = (total << 8 + extra) + bias
    assert -(2**31) <= scaled < 2**31
    high = addend + (scaled * multiplier >> 32)
    assert -(2**31) <= high < 2**31
    return max(-128, min(127, high >> shift))


@settings(max_examples=300)
@given(
    weights=st.one_of(
        st.lists(st.integers(-128, 127), min_size=1, max_size=12),
        st.lists(st.integers(-8, 7), min_size=1, max_size=12),
    ),
    bias=st.one_of(st.integers(-(2**20), 2**20), st.integers(-(2**30), 2**30)),
    mantissa=st.integers(2**30, 2**31 - 1),
    shift=st.one_of(st.integers(-10, -1), st.integers(-31, 7)),
    zero_point=st.integers(-128, 127),
    above=st.booleans(),
    data=st.data(),
)
def test_every_sum_has_the_bits_of_the_definition(
    weights: list[int],
    bias: int,
    mantissa: int,
    shift: int,
    zero_point: int,
    above: bool,
    data: st.DataObject,
) -> None:
    matrix = np.array([weights], np.int8)
    least = zero_point if above else -128
    rescale = Rescale(zero_point, least, 127, shift <= 0)
    arrays = (np.array([bias], np.int32), np.array([mantissa], np.int32), np.array([shift], "int8"))
    channels = fast_channels(matrix, arrays, rescale)
    if channels is None:
        return
    low, high = sum_bounds(matrix)
    near = st.integers(max(int(low[0]), -bias - 3), min(int(high[0]), -bias + 3))
    anywhere = st.integers(int(low[0]), int(high[0]))
    close = low[0] <= -bias + 3 and high[0] >= -bias - 3
    total = data.draw(st.one_of(near, anywhere) if close else anywhere)
    # a sum is a multiple of what all weights are multiples of
    total -= total % max(1, int(np.gcd.reduce(matrix[0].astype(int))))
    exact = int(multiply(np.array(total + bias), Multiplier(mantissa, shift))) + zero_point
    wanted = max(least, min(127, exact))
    summed = total * _times(channels.weights[0], matrix[0])
    assert max(least, _doubled(summed, channels.doubled()[0])) == wanted
    for t in (16, 17):
        scaled = channels.scaled(t)
        if scaled is not None:
            constants = scaled_constants(scaled, t)[0]
            summed = total * _times(scaled.weights[0], matrix[0])
            assert max(least, _scaled(summed, constants, int(scaled.extra(t)[0]), t)) == wanted


@given(
    st.integers(1, 5).flatmap(
        lambda depth: st.lists(
            st.lists(st.integers(-128, 127), min_size=depth, max_size=depth), min_size=1, max_size=5
        )
    )
)
def test_packed_weights_hold_both_channels(rows: list[list[int]]) -> None:
    weights = np.array(rows, np.int8)
    packed = pack_weights(weights)
    if packed is None:
        assert (weights == -128).any()
        return
    halves = packed.view("<i2").reshape(len(packed), -1, 2, 2)
    # a quad is the pairs (k0, k2), (k1, k3)
    both = halves.transpose(0, 1, 3, 2).reshape(len(packed), -1).astype(np.int64)
    first = both.astype(np.int8).astype(np.int64)
    second = (both - first) >> 8
    depth = weights.shape[1]
    np.testing.assert_array_equal(first[:, :depth], weights[0::2])
    np.testing.assert_array_equal(second[: len(weights) // 2, :depth], weights[1::2])
    assert not first[:, depth:].any()
    assert not second[:, depth:].any()


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("least", [-128, 5])
def test_small_weights_may_have_multipliers_above_one(shift: int, least: int) -> None:
    random = np.random.default_rng(shift)
    weights = random.integers(-8, 8, (16, 9)).astype(np.int8)
    bias = random.integers(-50, 50, 16).astype(np.int32)
    multipliers = random.integers(2**30 + 2**20, 2**31, 16).astype(np.int32)
    rescale = Rescale(5, least, 127, shift <= 0)
    shifts = np.full(16, shift, np.int8)
    channels = fast_channels(weights, (bias, multipliers, shifts), rescale)
    assert channels is not None
    assert channels.has_usual_addends == (least == 5)
    assert lifted(weights, bias, shifts) is not None
    assert (channels.scaled(16) is not None) == (least == 5 and shift < 2)


def test_a_channel_that_saturates_at_both_ends_may_wrap_between() -> None:
    """2^30 shifted to the left by one: negative sums give the highest output, others the least."""
    weights = np.array([[7, -5, 2]], np.int8)
    constants = (np.array([1 << 30]), np.array([1367441994]), np.array([1]))
    assert fast_channels(weights, constants, Rescale(-128, 5, 90, False)) is None
