"""Operands of quantized layers as the integers they are, with their scales."""

from __future__ import annotations

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integers import Integers

INT8, INT16 = (-128, 127), (-(1 << 15), (1 << 15) - 1)
"""The least and the largest number of a type."""


def require(context: Context, dtypes: dict[int, str]) -> None:
    """Raise unless each operand in `dtypes` has that type, and a scale."""
    for place, dtype in dtypes.items():
        if context.dtype(place) != dtype:
            raise context.refusal(
                f"its operand {place} is {context.dtype(place)}, only {dtype} is known beside an "
                "int8 input",
                "convert the model again, as float or as full int8",
            )
        if context.quantized(place) is None:
            raise context.refusal(f"its operand {place} has no scale", "convert the model again")


def scale_of(context: Context, place: int) -> np.float32:
    """The one scale of an operand."""
    scales = context.quantized(place)
    if scales is None or scales.scale.size != 1:
        raise context.refusal(f"its operand {place} has not one scale", "convert the model again")
    return np.float32(scales.scale[0])


def zero_point_of(context: Context, place: int) -> int:
    """The zero point of an operand."""
    scales = context.quantized(place)
    return 0 if scales is None else int(scales.zero_point[0])


def output_scale(context: Context) -> np.float32:
    """The scale of the first result."""
    scales = context.values.quantized(context.output())
    if scales is None:
        raise context.refusal("its output has no scale", "convert the model again")
    return np.float32(scales.scale[0])


def output_zero_point(context: Context) -> int:
    """The zero point of the first result."""
    scales = context.values.quantized(context.output())
    return 0 if scales is None else int(scales.zero_point[0])


def integers_of(context: Context, place: int) -> Integers:
    """An operand's integers, wide enough to compute with."""
    return Integers(context, context.values.integers(context.tensor(place))).cast("int32")


def weights_of(context: Context, place: int) -> Integers:
    """A constant operand's integers as int32."""
    return Integers(context, context.put(context.constant(place).astype(np.int32)))


def product(context: Context, rows: Integers, place: int) -> Integers:
    """Rows times a matrix of weights [units, depth]."""
    matrix = context.put(context.constant(place).T.astype(np.int32))
    return Integers(context, context.emit("MatMul", rows.value, matrix))
