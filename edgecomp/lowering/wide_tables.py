"""Tables of functions of one int16: 513 entries, between which the kernels interpolate.

Source: TensorFlow Lite's 16-bit look-up tables, computed in float32. Each entry is moved by half
of what a straight line to the next one would be wrong by in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from edgecomp.graph.qdq import Quantization

Table = npt.NDArray[np.int16]
Singles = npt.NDArray[np.float32]
Function = Callable[[Singles], Singles]

_STEPS = 512
ENTRIES = _STEPS + 1
LOGISTIC_ENTRIES = 256
_LEAST, _LARGEST = -(2**15), 2**15 - 1


def interpolation_table(
    function: Function, source: tuple[float, int], result: tuple[float, int]
) -> Table:
    """What `function` gives every 128 steps of int16, int16 [513].

    Args:
        function: of float32, element by element.
        source, result: scale (float32) and zero point of its argument and its value.
    """
    low, high = _ends(source)
    least, most = _ends(result)
    step = (high - low) / np.float32(_STEPS)
    inverse = np.float32(2**16) / (most - least)
    with np.errstate(over="ignore"):
        at = low + np.arange(ENTRIES, dtype=np.float32) * step
        values = function(at) * inverse
        middle = _rounded(function(at[:-1] + step / 2) * inverse)
        rounded = _rounded(values)
        drawn = _rounded((values[1:] + rounded[:-1]) / 2)
        last = _rounded(function(high.reshape(1)) * inverse)
        entries = np.append(rounded[:-1] - _rounded((drawn - middle) / 2), last)
    return np.clip(entries + np.float32(result[1]), _LEAST, _LARGEST).astype(np.int16)


def _ends(grid: tuple[float, int]) -> tuple[np.float32, np.float32]:
    """The real numbers of the least and the largest int16."""
    scale, zero_point = np.float32(grid[0]), grid[1]
    return scale * np.float32(_LEAST - zero_point), scale * np.float32(_LARGEST - zero_point)


def _rounded(values: Singles) -> Singles:
    """To whole numbers, ties away from zero."""
    return np.copysign(np.floor(np.abs(values) + np.float32(0.5)), values)


def _exponential(x: Singles) -> Singles:
    return np.array([math.exp(min(float(v), 700.0)) for v in x], np.float64).astype(np.float32)


def _inverse_of_one_more(x: Singles) -> Singles:
    return np.float32(1) / (np.float32(1) + x)


def logistic_table() -> npt.NDArray[np.uint16]:
    """The logistic function at i / 24 in Q16, uint16 [256]; the last entry is nearly 1.

    As in `interpolation_table` each entry makes up for half of the middle's error.
    """
    at = np.arange(LOGISTIC_ENTRIES + 1, dtype=np.float64) / 24
    values, middle = (2**16 / (1 + np.exp(-x)) for x in (at, at[:-1] + 1 / 48))
    drawn = (values[:-1] + values[1:]) / 2
    table: npt.NDArray[np.float64] = np.floor(values[:-1] + (middle - drawn) / 2 + 0.5)
    table[-1] = 2**16 - 1
    return table.astype(np.uint16)


def softmax_tables() -> tuple[Table, Table]:
    """exp on [-10, 0], and 1 / (1 + x) on [0, 1], both from all of int16 to Q15."""
    unit, whole = (2 / 65535, 0), 65535
    exponential = interpolation_table(_exponential, (10 / whole, _LARGEST), unit)
    inverse = interpolation_table(_inverse_of_one_more, (1 / whole, _LEAST), unit)
    return exponential, inverse


_FUNCTIONS: Mapping[str, Function] = {"Exp": _exponential}

CURVES = frozenset(_FUNCTIONS)
"""Operators whose meaning of int16 is such a table, by their ONNX name."""


def curve_table(op_type: str, source: Quantization, result: Quantization) -> Table:
    """The table of an operator of `CURVES` between two tensors of int16 with one scale each."""
    ends = [(float(grid.scale), int(grid.zero_point)) for grid in (source, result)]
    return interpolation_table(_FUNCTIONS[op_type], ends[0], ends[1])
