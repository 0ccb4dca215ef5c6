"""Element-by-element operators in int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import broadcast_shape, scaled, to_int8, widened
from edgecomp.lowering.multipliers import ADD_LEFT_SHIFT


@dataclass(frozen=True)
class BinaryScales:
    """Fixed-point constants of a two-operand operator.

    Attributes:
        zero_points: of the two inputs.
        inputs: multipliers of the two inputs; unused by a product.
        output: multiplier of the result.
        zero_point: of the output.
        low, high: clamp in output steps.
    """

    zero_points: tuple[int, int]
    inputs: tuple[Multiplier, Multiplier]
    output: Multiplier
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class AddWork:
    """What `add` computes."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    scales: BinaryScales
    subtract: bool


def add(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales, subtract: bool) -> Any:
    """a, b -> out, with broadcasting; `subtract` computes a - b."""
    x = te.placeholder(a, "int8", name="x")
    y = te.placeholder(b, "int8", name="y")

    def term(value: Any, operand: int) -> Any:
        shifted = (value - scales.zero_points[operand]) * (1 << ADD_LEFT_SHIFT)
        return scaled(shifted, scales.inputs[operand])

    def element(*index: Any) -> Any:
        left, right = term(widened(x, index), 0), term(widened(y, index), 1)
        total = left - right if subtract else left + right
        return to_int8(scaled(total, scales.output), scales.zero_point, scales.low, scales.high)

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def multiply(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales) -> Any:
    """a, b -> out, with broadcasting."""
    x = te.placeholder(a, "int8", name="x")
    y = te.placeholder(b, "int8", name="y")

    def element(*index: Any) -> Any:
        left = widened(x, index) - scales.zero_points[0]
        right = widened(y, index) - scales.zero_points[1]
        product = scaled(left * right, scales.output)
        return to_int8(product, scales.zero_point, scales.low, scales.high)

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def requantize(shape: tuple[int, ...], zero_point: int, scale: Multiplier, to: int) -> Any:
    """x -> out: the same real values with another scale and zero point `to`."""
    x = te.placeholder(shape, "int8", name="x")

    def element(*index: Any) -> Any:
        return to_int8(scaled(x[index].astype("int32") - zero_point, scale), to, -128, 127)

    return te.create_prim_func([x, te.compute(shape, element, name="out")])


def lookup(shape: tuple[int, ...]) -> Any:
    """x, table[256] -> out: table[x + 128], any function of one int8."""
    x = te.placeholder(shape, "int8", name="x")
    table = te.placeholder((256,), "int8", name="table")
    out = te.compute(shape, lambda *index: table[x[index].astype("int32") + 128], name="out")
    return te.create_prim_func([x, table, out])


def quantize(shape: tuple[int, ...], scale: float, zero_point: int) -> Any:
    """float32 x -> int8: x / scale rounded half to even, plus the zero point, saturated."""
    x = te.placeholder(shape, "float32", name="x")

    def element(*index: Any) -> Any:
        step = tirx.const(scale, "float32")
        value = tirx.call_extern("int32", "ec_quantize", x[index], step, zero_point)
        return value.astype("int8")

    return te.create_prim_func([x, te.compute(shape, element, name="out")])


def dequantize(shape: tuple[int, ...], scale: float, zero_point: int) -> Any:
    """int8 x -> float32: scale * (x - zero point)."""
    x = te.placeholder(shape, "int8", name="x")

    def element(*index: Any) -> Any:
        steps = x[index].astype("int32") - zero_point
        return steps.astype("float32") * tirx.const(scale, "float32")

    return te.create_prim_func([x, te.compute(shape, element, name="out")])
