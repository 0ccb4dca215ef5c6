"""Histograms, and the int8 ranges made of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecomp.passes.ranges import BINS, ESTIMATORS, Histogram, affine

finite = st.floats(-(2.0**99), 2.0**99, width=32)
ordinary = st.floats(-(2.0**40), 2.0**40, width=32).filter(lambda x: x == 0 or abs(x) > 1e-9)
chunks = st.lists(hnp.arrays(np.float32, st.integers(1, 20), elements=ordinary), min_size=1)


def histogram_of(*arrays: npt.NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array)
    return histogram


@given(chunks)
def test_every_value_is_counted_in_its_bin(arrays: list[npt.NDArray[np.float32]]) -> None:
    histogram = histogram_of(*arrays)
    values = np.concatenate(arrays)
    assert histogram.counts.sum() == values.size
    assert histogram.minimum == values.min()
    assert histogram.maximum == values.max()
    places = np.floor(values.astype(np.float64) / histogram.width).astype(int) + BINS
    expected = np.bincount(places, minlength=2 * BINS)
    assert np.array_equal(histogram.counts, expected)


@given(chunks, st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_matter(arrays: list[npt.NDArray[np.float32]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(arrays)
    random.shuffle(shuffled)
    first, second = histogram_of(*arrays), histogram_of(*shuffled)
    assert first.width == second.width
    assert np.array_equal(first.counts, second.counts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="infinite or not a number"):
        histogram_of(np.array([1, bad], np.float32))


@given(finite, finite)
def test_zero_is_exact_and_the_range_is_covered(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    parameters = affine((low, high))
    scale, zero_point = parameters.scale, parameters.zero_point
    assert -128 <= zero_point <= 127
    assert scale == np.float32(scale)
    assert scale > 0
    assert (-128 - zero_point) * scale <= min(low, 0) + scale * 0.51
    assert (127 - zero_point) * scale >= max(high, 0) - scale * 0.51


def test_a_tensor_that_is_always_zero() -> None:
    for estimate in ESTIMATORS.values():
        assert affine(estimate(histogram_of(np.zeros(9, np.float32)), 99.99)).scale == 1.0


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("constant", [1e-30, 0.7, -3.0, 1e20])
def test_a_constant_tensor_keeps_its_value(name: str, constant: float) -> None:
    histogram = histogram_of(np.full(1000, constant, np.float32))
    parameters = affine(ESTIMATORS[name](histogram, 99.99))
    step = np.clip(np.rint(constant / parameters.scale) + parameters.zero_point, -128, 127)
    back = (step - parameters.zero_point) * parameters.scale
    assert back == pytest.approx(constant, rel=0.01, abs=2.0**-40)


def test_ranges_lie_within_what_was_seen(rng: np.random.Generator) -> None:
    values = rng.standard_t(2, size=100_000).astype(np.float32)
    histogram = histogram_of(values)
    whole = ESTIMATORS["minmax"](histogram, 99.99)
    assert whole == (values.min(), values.max())
    for name in ("mse", "percentile"):
        low, high = ESTIMATORS[name](histogram, 99.9)
        assert whole[0] < low < 0 < high < whole[1], name


def test_percentile_leaves_out_its_share(rng: np.random.Generator) -> None:
    values = rng.uniform(-1, 3, size=200_000).astype(np.float32)
    low, high = ESTIMATORS["percentile"](histogram_of(values), 90.0)
    assert low == pytest.approx(np.quantile(values, 0.1), abs=0.01)
    assert high == pytest.approx(np.quantile(values, 0.9), abs=0.01)


def test_mse_is_never_worse_than_the_whole_range(rng: np.random.Generator) -> None:
    for values in (
        rng.normal(size=50_000),
        np.maximum(rng.normal(size=50_000), 0),
        rng.standard_t(3, size=50_000),
        np.concatenate([rng.normal(size=50_000), [1000.0]]),
    ):
        histogram = histogram_of(values.astype(np.float32))
        errors = {}
        for name in ("mse", "minmax"):
            parameters = affine(ESTIMATORS[name](histogram, 99.99))
            steps = np.rint(values / parameters.scale) + parameters.zero_point
            back = (np.clip(steps, -128, 127) - parameters.zero_point) * parameters.scale
            errors[name] = float(np.mean((back - values) ** 2))
        assert errors["mse"] <= errors["minmax"] * 1.01
