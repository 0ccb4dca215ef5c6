"""k-means of numbers on a line.

Source: Lloyd 1982; the start is that of Han et al. 2016, "Deep Compression", section 3.2: evenly
spread between the smallest and the largest, which serves large weights best; the quantiles are
tried too, and the better end is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ITERATIONS = 60


def kmeans(values: Array, count: int) -> Array:
    """At most `count` centres of the `values`, ascending: the smallest squared distance found."""
    unique = np.unique(values)
    if unique.size <= count:
        return unique
    ordered = np.sort(values)
    spread = np.linspace(ordered[0], ordered[-1], count)
    quantiles = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    found = [_lloyd(ordered, start) for start in (spread, quantiles)]
    return min(
        found, key=lambda centres: float(np.square(ordered - nearest(ordered, centres)).sum())
    )


def nearest(values: Array, centres: Array) -> Array:
    """The centre nearest to each value."""
    return np.asarray(centres[places(values, centres)])


def places(values: Array, centres: Array) -> npt.NDArray[np.int64]:
    """Which of the ascending `centres` is nearest to each value."""
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, values)


def _lloyd(ordered: Array, centres: Array) -> Array:
    """Centres moved to the means of what is nearest to them, until nothing moves."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(ITERATIONS):
        edges = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        bounds = np.concatenate([[0], edges, [ordered.size]])
        counts = np.diff(bounds)
        means = np.where(counts > 0, np.diff(sums[bounds]) / np.maximum(counts, 1), centres)
        if np.array_equal(means, centres):
            break
        centres = np.sort(means)
    return np.unique(centres)
