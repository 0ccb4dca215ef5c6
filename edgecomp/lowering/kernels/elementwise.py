"""Element-by-element operators in int8 and int16."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import broadcast_shape, scaled, to_element, widened
from edgecomp.lowering.multipliers import ADD_LEFT_SHIFT, WIDE_ADD_LEFT_SHIFT


@dataclass(frozen=True)
class BinaryScales:
    """Fixed-point constants of a two-operand operator.

    Attributes:
        zero_points: of the two inputs.
        inputs: multipliers of the two inputs; unused by a product.
        output: multiplier of the result.
        zero_point: of the output.
        low, high: clamp in output steps.
        element: type of the inputs and the output, int8 or int16.
    """

    zero_points: tuple[int, int]
    inputs: tuple[Multiplier, Multiplier]
    output: Multiplier
    zero_point: int
    low: int
    high: int
    element: str = "int8"

    def placed(self, value: Any) -> Any:
        """int32 `value` on the output's grid, clamped."""
        return to_element(value, self.zero_point, (self.low, self.high), self.element)


@dataclass(frozen=True)
class AddWork:
    """What `add` computes."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    scales: BinaryScales
    subtract: bool


@dataclass(frozen=True)
class MapWork:
    """An operator whose every element depends on the operands' elements at the same place.

    Attributes:
        shape: of the output and the first `operands` operands; the others are constants.
        kernel: makes TIR for another shape.
        operands: how many operands have the shape.
        elements: types of what is read and of what is written.
    """

    shape: tuple[int, ...]
    kernel: Callable[[tuple[int, ...]], Any]
    operands: int = 1
    elements: tuple[str, str] = ("int8", "int8")

    def build(self) -> Any:
        """The kernel."""
        return self.kernel(self.shape)


def add(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales, subtract: bool) -> Any:
    """a, b -> out, with broadcasting; `subtract` computes a - b."""
    x = te.placeholder(a, scales.element, name="x")
    y = te.placeholder(b, scales.element, name="y")
    head_room = 1 << (ADD_LEFT_SHIFT if scales.element == "int8" else WIDE_ADD_LEFT_SHIFT)

    def term(value: Any, operand: int) -> Any:
        shifted = (value - scales.zero_points[operand]) * head_room
        return scaled(shifted, scales.inputs[operand])

    def element(*index: Any) -> Any:
        left, right = term(widened(x, index), 0), term(widened(y, index), 1)
        total = left - right if subtract else left + right
        return scales.placed(scaled(total, scales.output))

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def multiply(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales) -> Any:
    """a, b -> out, with broadcasting."""
    x = te.placeholder(a, scales.element, name="x")
    y = te.placeholder(b, scales.element, name="y")

    def element(*index: Any) -> Any:
        left = widened(x, index) - scales.zero_points[0]
        right = widened(y, index) - scales.zero_points[1]
        return scales.placed(scaled(left * right, scales.output))

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def requantize(
    shape: tuple[int, ...],
    zero_point: int,
    scale: Multiplier,
    to: int,
    elements: tuple[str, str] = ("int8", "int8"),
) -> Any:
    """x -> out: the same real values with another scale, zero point `to` and element type."""
    x = te.placeholder(shape, elements[0], name="x")

    def element(*index: Any) -> Any:
        centred = x[index].astype("int32") - zero_point
        return to_element(scaled(centred, scale), to, element=elements[1])

    return te.create_prim_func([x, te.compute(shape, element, name="out")])


def lookup(shape: tuple[int, ...]) -> Any:
    """x, table[256] -> out: table[x + 128], any function of one int8."""
    x = te.placeholder(shape, "int8", name="x")
    table = te.placeholder((256,), "int8", name="table")
    out = te.compute(shape, lambda *index: table[x[index].astype("int32") + 128], name="out")
    return te.create_prim_func([x, table, out])


def quantize(shape: tuple[int, ...], scale: float, zero_point: int, to: str = "int8") -> Any:
    """float32 x -> out: x / scale rounded half to even, plus the zero point, saturated."""
    x = te.placeholder(shape, "float32", name="x")
    function = "ec_quantize" if to == "int8" else "ec_quantize_wide"

    def element(*index: Any) -> Any:
        step = tirx.const(scale, "float32")
        return tirx.call_extern("int32", function, x[index], step, zero_point).astype(to)

    return te.create_prim_func([x, te.compute(shape, element, name="out")])


def dequantize(shape: tuple[int, ...], scale: float, zero_point: int, source: str = "int8") -> Any:
    """x -> float32: scale * (x - zero point)."""
    x = te.placeholder(shape, source, name="x")

    def element(*index: Any) -> Any:
        steps = x[index].astype("int32") - zero_point
        return steps.astype("float32") * tirx.const(scale, "float32")

    return te.create_prim_func([x, te.compute(shape, element, name="out")])
