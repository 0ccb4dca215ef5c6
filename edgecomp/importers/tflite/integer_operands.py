"""Operands of quantized layers as the integers they are, with their scales."""

from __future__ import annotations

import numpy as np

from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.integers import Integers

INT8, INT16 = (-128, 127), (-(1 << 15), (1 << 15) - 1)
"""The least and the largest number of a type."""


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
