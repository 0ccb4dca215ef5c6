"""Whether raw arrays are what a program takes: checked before any native or emulated code runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.errors import InputError, raise_if_any
from edgecomp_runtime.manifest import TensorSpec


def checked_inputs(
    inputs: Sequence[npt.NDArray[Any]], specs: Sequence[TensorSpec]
) -> list[npt.NDArray[Any]]:
    """`inputs` as C-contiguous arrays in this machine's byte order.

    Raises:
        InputError: another number of inputs, or an input of another shape or dtype; all of it.
    """
    if len(inputs) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise InputError(f"the program takes {len(specs)} inputs ({names}), {len(inputs)} given")
    reasons = []
    for array, spec in zip(inputs, specs):
        if array.shape != spec.shape or array.dtype.newbyteorder("=") != np.dtype(spec.dtype):
            reasons.append(
                f"{spec.name}: the program takes {spec.dtype} {list(spec.shape)}, "
                f"not {array.dtype} {list(array.shape)}"
            )
    raise_if_any(InputError, reasons)
    return [
        np.ascontiguousarray(array, spec.dtype).reshape(spec.shape)
        for array, spec in zip(inputs, specs)
    ]
