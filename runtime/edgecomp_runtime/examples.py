"""A sample to time a program with, when the user gives none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]


def example_inputs(specs: Sequence[TensorSpec]) -> list[Array]:
    """One sample for programs whose time does not depend on it: the same on every call.

    Quantized inputs span their whole range and float inputs are normally distributed; integers
    without a scale, which may index a table, are 0.

    Args:
        specs: the program's inputs.

    Returns:
        One raw array for each input.
    """
    generator = np.random.default_rng(0)
    return [_example(spec, generator) for spec in specs]


def _example(spec: TensorSpec, generator: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if spec.scale is not None:
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, spec.shape, dtype, endpoint=True)
    if dtype.kind == "f":
        return generator.standard_normal(spec.shape).astype(dtype)
    return np.zeros(spec.shape, dtype)
