"""Operators that TFLite defines on the integers as they lie in tensors, whatever their scales."""

from __future__ import annotations

import math

import numpy as np
import tflite
from onnx import helper

from edgecomp.importers.tflite.context import ACTIVATIONS, Context
from edgecomp.importers.tflite.integer_operands import (
    INT16,
    integers_of,
    scale_of,
    zero_point_of,
)
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.schema import DTYPES
from edgecomp.lowering.fixed_point import quantize_value
from edgecomp.lowering.multipliers import requantize_multiplier


def all_quantized(context: Context) -> bool:
    """Whether every operand and the first result are integers with scales."""
    return all(
        context.values.quantized(index) is not None
        for index in (*map(context.tensor, range(context.count)), context.output())
    )


def give_integers(context: Context, result: Integers) -> None:
    """Let `result`, of which the low bits count, be the integers of the first result."""
    dtype = context.values.tensors[context.output()].dtype
    context.values.write_integers(context.output(), result.cast(dtype).value)


def _made(context: Context, op_type: str, *operands: Integers) -> Integers:
    name = context.main(op_type, *(operand.value for operand in operands))
    return Integers(context, name)


def divisor(context: Context, value: str) -> str:
    """Integers to divide by; TFLite stops at a zero, which counts as one here."""
    zero, one = context.like(value, 0), context.like(value, 1)
    return context.emit("Where", context.emit("Equal", value, zero), one, value)


def _pair(context: Context) -> tuple[Integers, Integers]:
    right = integers_of(context, 1)
    return integers_of(context, 0), Integers(context, divisor(context, right.value))


def floor_divide(context: Context) -> None:
    """FLOOR_DIV of quantized tensors."""
    left, right = _pair(context)
    rest = Integers(context, context.emit("Mod", left.value, right.value))
    give_integers(context, _made(context, "Div", left - rest, right))


def floor_modulo(context: Context) -> None:
    """FLOOR_MOD of quantized tensors: the remainder has the divisor's sign."""
    give_integers(context, _made(context, "Mod", *_pair(context)))


def compares_raw(context: Context) -> bool:
    """Whether TFLite compares int16 on different grids as they are.

    tflite-runtime 2.14 does; where it has no kernel, TFLM's brings them to one grid.
    """
    known = context.operator.name in ("EQUAL", "GREATER_EQUAL", "LESS")
    wide = known and all(context.dtype(place) == "int16" for place in range(2))
    return wide and not same_grid(context, context.tensor(0), context.tensor(1))


def compare(context: Context, op_type: str) -> None:
    """A comparison of the integers."""
    context.give(
        context.main(op_type, integers_of(context, 0).value, integers_of(context, 1).value)
    )


def same_grid(context: Context, left: int, right: int) -> bool:
    """Whether two tensors have the same scale and zero point; or one of them has none."""
    one, other = context.values.quantized(left), context.values.quantized(right)
    if one is None or other is None:
        return True
    alike = np.array_equal(one.scale, other.scale)
    return alike and np.array_equal(one.zero_point, other.zero_point)


def total(context: Context, axes: list[int], keep: bool) -> None:
    """SUM, of which the low bits are kept."""
    source = integers_of(context, 0)
    value = context.main("ReduceSum", source.value, context.ints(axes), keepdims=int(keep))
    give_integers(context, Integers(context, value))


def quantizes_to_int32(context: Context) -> bool:
    """Whether a QUANTIZE makes int32 of other integers."""
    result = context.values.tensors[context.output()]
    return context.quantized(0) is not None and result.dtype == "int32" and bool(result.scales)


def quantize_to_int32(context: Context) -> None:
    """QUANTIZE: the same numbers in steps of another scale."""
    scales = context.values.tensors[context.output()].scales
    assert scales is not None, "asked only of results with a scale"
    factor = requantize_multiplier(scale_of(context, 0), scales.scale[0])
    steps = (integers_of(context, 0) - zero_point_of(context, 0)).scaled(factor)
    give_integers(context, steps + int(scales.zero_point[0]))


def adds_powers_of_two(context: Context) -> tuple[int, int] | None:
    """Right shifts of the operands of an int16 ADD or SUB by shifts; None where it is by scales.

    TFLite adds by shifts where every scale is a power of two and no newer converter forbids it.
    """
    places = (context.tensor(0), context.tensor(1), context.output())
    grids = [context.values.quantized(index) for index in places]
    types = {context.values.tensors[index].dtype for index in places}
    if types != {"int16"} or not context.option("PotScaleInt16", True):
        return None
    powers = [_power_of_two(g.scale) for g in grids if g is not None and not g.zero_point.any()]
    known = [power for power in powers if power is not None]
    if len(known) < len(grids) or context.shape(0) != context.shape(1):
        return None
    shifts = known[2] - known[0], known[2] - known[1]
    return shifts if min(shifts) == 0 else None


def _power_of_two(scale: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int | None:
    exact = math.log2(float(scale[0]))
    return round(exact) if scale.size == 1 and abs(exact - round(exact)) < 1e-3 else None


def add_powers_of_two(context: Context, shifts: tuple[int, int]) -> None:
    """ADD or SUB of int16: one operand is shifted, rounded to nearest, ties away from zero."""
    left, right = (integers_of(context, place).halved(shifts[place]) for place in range(2))
    op_type = "Add" if context.operator.name == "ADD" else "Sub"
    result = _made(context, op_type, left, right)
    give_integers(context, result.clipped(*_activation_range(context)))


def _activation_range(context: Context) -> tuple[int, int]:
    """The clamp of an int16 result, by its fused activation."""
    low, high = INT16
    number = int(context.option("FusedActivationFunction"))
    activation = ACTIVATIONS.get(number)
    if activation is None or number == tflite.ActivationFunctionType.TANH:
        return low, high
    scales = context.values.quantized(context.output())
    assert scales is not None, "both operands and the result have scales"
    scale, bounds = float(scales.scale[0]), activation[1] or (0.0, math.inf)
    low = max(low, quantize_value(bounds[0], scale, 0))
    return low, high if math.isinf(bounds[1]) else min(high, quantize_value(bounds[1], scale, 0))


def cast(context: Context) -> None:
    """CAST, to the element type of the result: of the integers themselves, whatever their scale."""
    source, result = context.tensor(0), context.output()
    made = context.main("Cast", context.values.integers(source), to=result_type(context))
    context.values.write_integers(result, made)


def result_type(context: Context) -> int:
    """ONNX's number for the element type of the first result."""
    dtype = context.values.tensors[context.output()].dtype
    if dtype not in DTYPES.values() or dtype in ("string", "resource", "variant", "int4"):
        raise context.refusal(f"a result of type {dtype} is not known")
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
