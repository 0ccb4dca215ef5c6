"""From a stream of activations to the range integers shall cover.

A `Histogram` takes any number of values in constant memory; an estimator looks at it at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 2048
"""Bins on each side of zero; a range uses more than half of a side: 4 bins a step of int8."""

SMALLEST_SCALE = 2.0**-40
"""Floor of a scale: products of two scales stay normal float32 numbers."""

MSE_STEPS = 24
"""Shares of an end tried on the way from all of it to none, and again near the best."""

SMALLEST_SHARE = 0.05
"""How much of an end the search for the least square error keeps at least."""

MOST_CUT = 1e-3
"""Share of the values that the entropy estimator lets fall outside, where few look like many."""

Q_MIN, Q_MAX = -128, 127

Range = tuple[float, float]


WIDE_MAX = 32767
"""The largest int16; TFLite's activations of 16 bits are symmetric, and so is their range here."""


@dataclass(frozen=True)
class Affine:
    """Scale and zero point of a tensor of integers: real = scale * (q - zero_point).

    Attributes:
        scale: a float32 number.
        zero_point: what stands for 0.0.
        dtype: of the integers, int8 or int16.
    """

    scale: float
    zero_point: int
    dtype: str = "int8"

    def quantized(self, content: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`content` in integers, to the nearest."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(content / np.float32(self.scale)) + self.zero_point
        return np.asarray(np.clip(steps, limits.min, limits.max), self.dtype)


WIDE_UNIT = Affine(2.0**-15, 0, "int16")
"""What an operator whose meaning fixes its scale gives in int16: -1 to 1."""


class Histogram:
    """Counts of finite values in equal bins, an edge at zero.

    The bin width is a power of two that doubles, neighbours merging, whenever a value falls
    outside; so the result is the same in whatever order values came.

    Attributes:
        minimum, maximum: smallest and largest value seen; 0 before any.
        counts: int64 [2 * BINS], from the most negative bin up.
    """

    def __init__(self) -> None:
        self.minimum = 0.0
        self.maximum = 0.0
        self.counts: npt.NDArray[np.int64] = np.zeros(2 * BINS, dtype=np.int64)
        self._exponent: int | None = None
        self._seen = False

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self._exponent or 0)

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """The middle of each bin, float64 [2 * BINS]."""
        return (np.arange(-BINS, BINS) + 0.5) * self.width

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count `values`, float32 of any shape.

        Raises:
            ValueError: one of them is infinite or not a number.
        """
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("infinite or not a number")
        self.minimum = min(low, self.minimum) if self._seen else low
        self.maximum = max(high, self.maximum) if self._seen else high
        self._seen = True
        self._cover(max(-low, high))
        scaled = np.floor(values.ravel() * np.float32(1.0 / self.width))
        self.counts += np.bincount(scaled.astype(np.int64) + BINS, minlength=2 * BINS)

    def _cover(self, magnitude: float) -> None:
        """Widen the bins until `magnitude` is inside."""
        # frexp: magnitude < 2**exponent, and BINS * width = 2**exponent
        needed = math.frexp(max(magnitude, SMALLEST_SCALE))[1] - (BINS.bit_length() - 1)
        if self._exponent is None:
            self._exponent = needed
        for _ in range(needed - self._exponent):
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[BINS // 2 : BINS // 2 + BINS] = merged
        self._exponent = max(needed, self._exponent)


def affine(bounds: Range) -> Affine:
    """Scale and zero point of int8 for `bounds`, widened to contain 0, which is exact.

    A tensor that is always 0 gets scale 1.
    """
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if low == high:
        return Affine(1.0, 0)
    scale = float(np.float32(max((high - low) / (Q_MAX - Q_MIN), SMALLEST_SCALE)))
    zero_point = round(Q_MIN - low / scale)
    return Affine(scale, min(max(zero_point, Q_MIN), Q_MAX))


def wide_affine(histogram: Histogram) -> Affine:
    """Scale of int16 for everything that was seen; 1 for a tensor that is always 0."""
    largest = max(-histogram.minimum, histogram.maximum)
    if largest == 0.0:
        return Affine(1.0, 0, "int16")
    return Affine(float(np.float32(max(largest / WIDE_MAX, SMALLEST_SCALE))), 0, "int16")


def minmax(histogram: Histogram, percentile: float) -> Range:
    """Everything that was seen."""
    return histogram.minimum, histogram.maximum


def percentile_range(histogram: Histogram, percentile: float) -> Range:
    """All but the smallest and the largest (100 - `percentile`) per cent of the values."""
    total = histogram.counts.sum()
    share = percentile / 100.0
    edges = np.arange(-BINS, BINS + 1) * histogram.width
    below = np.concatenate([[0], np.cumsum(histogram.counts)])
    low = float(np.interp((1.0 - share) * total, below, edges))
    high = float(np.interp(share * total, below, edges))
    return max(low, histogram.minimum), min(high, histogram.maximum)


def mse(histogram: Histogram, percentile: float) -> Range:
    """The range whose int8 numbers are nearest to the values in the mean square.

    Both ends are searched in turn, over the whole range first, then near the best.
    """
    whole = (min(histogram.minimum, 0.0), max(histogram.maximum, 0.0))
    filled = histogram.counts > 0
    centers, counts = histogram.centers[filled], histogram.counts[filled]
    ends = list(whole)
    shares = [1.0, 1.0]
    for reach in (1.0, 0.05):
        for end in (1, 0):
            around = np.linspace(shares[end] - reach, shares[end] + reach, 2 * MSE_STEPS + 1)
            tried = np.unique(np.clip(around, SMALLEST_SHARE, 1.0))[::-1] if whole[end] else [1.0]
            ranges = [(share * whole[0], ends[1]) for share in tried]
            if end == 1:
                ranges = [(ends[0], share * whole[1]) for share in tried]
            errors = [_square_error(affine(each), centers, counts) for each in ranges]
            best = int(np.argmin(errors))
            shares[end], ends = float(tried[best]), list(ranges[best])
    return ends[0], ends[1]


def _square_error(
    parameters: Affine, centers: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> float:
    steps = np.rint(centers / parameters.scale) + parameters.zero_point
    back = (np.clip(steps, Q_MIN, Q_MAX) - parameters.zero_point) * parameters.scale
    return float(np.dot(counts, np.square(back - centers)))


def entropy(histogram: Histogram, percentile: float) -> Range:
    """The range whose int8 numbers are distributed most like the values: least divergence.

    Both ends are cut by the same share of themselves. Source: Migacz 2017, "8-bit Inference with
    TensorRT", the calibration by Kullback-Leibler divergence.
    """
    whole = (min(histogram.minimum, 0.0), max(histogram.maximum, 0.0))
    filled = histogram.counts > 0
    centers, counts = histogram.centers[filled], histogram.counts[filled].astype(np.float64)
    best, least = whole, math.inf
    for share in np.linspace(1.0, SMALLEST_SHARE, 4 * MSE_STEPS):
        bounds = (share * whole[0], share * whole[1])
        divergence = _divergence(affine(bounds), centers, counts)
        if divergence < least:
            best, least = bounds, divergence
    return best


def _divergence(
    parameters: Affine, centers: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> float:
    """Of the values, those outside counted at the ends, from what int8 can tell of them."""
    exact = np.rint(centers / parameters.scale) + parameters.zero_point
    steps = np.clip(exact, Q_MIN, Q_MAX)
    inside = exact == steps
    if counts[~inside].sum() > MOST_CUT * counts.sum():
        return math.inf
    places = (steps[inside] - Q_MIN).astype(np.int64)
    # an integer spreads what it counts over the bins that it stands for
    guessed = np.bincount(places, weights=counts[inside], minlength=256)
    guessed = guessed[places] / np.bincount(places, minlength=256)[places]
    seen = counts[inside]
    seen[0] += counts[exact < Q_MIN].sum()
    seen[-1] += counts[exact > Q_MAX].sum()
    seen, guessed = seen / seen.sum(), guessed / guessed.sum()
    return float((seen * np.log(seen / guessed)).sum())


Estimator = Callable[[Histogram, float], Range]

ESTIMATORS: Mapping[str, Estimator] = {
    "entropy": entropy,
    "mse": mse,
    "percentile": percentile_range,
    "minmax": minmax,
}
