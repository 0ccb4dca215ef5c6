"""What tests of kernels draw: several cases at a time, for these are compiled together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import Phase, settings
from hypothesis import strategies as st

# Operators compiled together; a failure is not shrunk: that would compile for minutes.
BATCH = 12
compiled = settings(
    max_examples=4, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)

Array = npt.NDArray[Any]
Grid = tuple[float, int]
Image = tuple[int, int, int, int]

scales = st.floats(-3.5, -0.01).map(lambda exponent: float(np.float32(10**exponent)))
grids = st.tuples(scales, st.integers(-128, 127))
seeds = st.integers(0, 2**32 - 1)
extents = st.integers(1, 9)
images = st.tuples(st.integers(1, 2), extents, extents, extents)


def batches(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """`BATCH` cases, each with a value of every strategy."""
    return st.lists(st.tuples(*strategies), min_size=BATCH, max_size=BATCH)


def int8(seed: int, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    """Random int8 of each shape."""
    generator = np.random.default_rng(seed)
    return tuple(generator.integers(-128, 128, shape).astype(np.int8) for shape in shapes)
