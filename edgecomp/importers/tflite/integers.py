"""Integer arithmetic in ONNX's operators: sums, products and shifts with TFLite's roundings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import helper

from edgecomp.importers.tflite.context import Context
from edgecomp.lowering.fixed_point import Multiplier


@dataclass(frozen=True)
class Integers:
    """A tensor of int32 or int64 that computes element by element.

    Attributes:
        context: the operator it belongs to.
        value: its name in the graph.
    """

    context: Context
    value: str

    def __add__(self, other: Integers | int) -> Integers:
        return self._with("Add", other)

    def __sub__(self, other: Integers | int) -> Integers:
        return self._with("Sub", other)

    def __mul__(self, other: Integers | int) -> Integers:
        return self._with("Mul", other)

    def __neg__(self) -> Integers:
        return self * -1

    def clipped(self, low: int, high: int) -> Integers:
        """Within `low` and `high`."""
        return self._with("Max", low)._with("Min", high)

    def cast(self, dtype: str) -> Integers:
        """The same numbers of another type, in which they fit."""
        kind = np.dtype(dtype)
        if self.context.values.builder.dtype(self.value) == kind:
            return self
        number = helper.np_dtype_to_tensor_dtype(kind)
        return self._named(self.context.emit("Cast", self.value, to=number))

    def where(self, condition: str, otherwise: Integers | int) -> Integers:
        """These numbers where `condition` holds, else the others."""
        other = self._operand(otherwise)
        return self._named(self.context.emit("Where", condition, self.value, other))

    def compare(self, op_type: str, other: int) -> str:
        """A condition: "Less", "Equal", "Greater" than `other`."""
        return self.context.emit(op_type, self.value, self._operand(other))

    def quotient(self, divisor: int) -> Integers:
        """Divided by a number, rounded towards zero."""
        return self._with("Div", divisor)

    def halved(self, bits: int, *, ties_up: bool = False) -> Integers:
        """Divided by 2^bits and rounded to nearest, ties away from zero or up."""
        if bits == 0:
            return self
        half = 1 << (bits - 1)
        below = self._named(self._operand(int(ties_up) - half))
        half_of_sign = below.where(self.compare("Less", 0), half)
        return (self + half_of_sign).quotient(1 << bits)

    def scaled(self, by: Multiplier) -> Integers:
        """Times a multiplier: the product in Q31, ties up, then a shift, ties away from zero.

        The numbers times 2^shift must fit in 32 bits.
        """
        wide = self.cast("int64") * (by.mantissa << max(by.shift, 0))
        return wide.halved(31, ties_up=True).halved(max(-by.shift, 0)).cast("int32")

    def _with(self, op_type: str, other: Integers | int) -> Integers:
        return self._named(self.context.emit(op_type, self.value, self._operand(other)))

    def _operand(self, other: Integers | int) -> str:
        return other.value if isinstance(other, Integers) else self.context.like(self.value, other)

    def _named(self, value: str) -> Integers:
        return replace(self, value=value)
