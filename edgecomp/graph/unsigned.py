"""Unsigned integers as signed ones that stand for the same real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.graph.qdq import Quantization

SIGNED: Mapping[str, tuple[str, int]] = {"uint8": ("int8", 128), "uint16": ("int16", 2**15)}
"""The signed type for each unsigned one, and how far apart their zeros are."""


def is_unsigned(quantization: Quantization | None) -> bool:
    """Whether a tensor is of a type of `SIGNED`, with one scale."""
    return quantization is not None and quantization.dtype in SIGNED and quantization.per_tensor


def signed_zero_point(quantization: Quantization) -> npt.NDArray[Any]:
    """The zero point of the signed integers for an unsigned `quantization`."""
    kind, distance = SIGNED[quantization.dtype]
    return np.asarray(int(quantization.zero_point) - distance, kind)
