"""Unsigned integers as signed ones that stand for the same real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization

SIGNED: Mapping[str, tuple[str, int]] = {"uint8": ("int8", 128), "uint16": ("int16", 2**15)}
"""The signed type for each unsigned one, and how far apart their zeros are."""


ROUNDS_UP = "edgecomp.rounds_up"
"""Metadata of a node that averages: its integers were unsigned, so ties go up and not from zero."""

AVERAGING = frozenset({"AveragePool", "GlobalAveragePool"})
"""Operators whose integer meaning rounds a quotient of the integers themselves."""


def note_rounding(value: ir.Value) -> None:
    """Note at each averaging operator that reads `value` that its integers were unsigned."""
    for use in value.uses():
        if use.node.op_type in AVERAGING and use.idx == 0:
            use.node.metadata_props[ROUNDS_UP] = "1"


def is_unsigned(quantization: Quantization | None) -> bool:
    """Whether a tensor is of a type of `SIGNED`, with one scale."""
    return quantization is not None and quantization.dtype in SIGNED and quantization.per_tensor


def signed_zero_point(quantization: Quantization) -> npt.NDArray[Any]:
    """The zero point of the signed integers for an unsigned `quantization`."""
    kind, distance = SIGNED[quantization.dtype]
    return np.asarray(int(quantization.zero_point) - distance, kind)
