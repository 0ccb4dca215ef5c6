"""Element-by-element operators on two tensors that compare, divide or choose a slope."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.common import SUM_TYPES, broadcast_shape, scaled, widened
from edgecomp.lowering.kernels.elementwise import BinaryScales
from edgecomp.lowering.multipliers import SQUARED_DIFFERENCE_LEFT_SHIFT

# Head-room the inputs of a comparison are given before they are brought to a common scale.
COMPARISON_LEFT_SHIFT = 8


def _operands(a: tuple[int, ...], b: tuple[int, ...], element: str = "int8") -> tuple[Any, Any]:
    return te.placeholder(a, element, name="x"), te.placeholder(b, element, name="y")


def extreme(a: tuple[int, ...], b: tuple[int, ...], largest: bool, dtype: str = "int8") -> Any:
    """a, b -> out, the larger (or the smaller) of two integers on one grid, with broadcasting."""
    x, y = _operands(a, b, dtype)
    pick = te.max if largest else te.min

    def element(*index: Any) -> Any:
        return pick(widened(x, index), widened(y, index)).astype(dtype)

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def compare(
    a: tuple[int, ...],
    b: tuple[int, ...],
    relation: str,
    zero_points: tuple[int, int],
    multipliers: tuple[Multiplier, Multiplier],
    dtype: str = "int8",
) -> Any:
    """a, b -> bool out: `relation` ("==", "<", "<=", ">", ">=") of the rescaled values."""
    x, y = _operands(a, b, dtype)
    relations = {
        "==": lambda p, q: p == q,
        "<": lambda p, q: p < q,
        "<=": lambda p, q: p <= q,
        ">": lambda p, q: p > q,
        ">=": lambda p, q: p >= q,
    }

    def term(tensor: Any, index: tuple[Any, ...], operand: int) -> Any:
        centred = widened(tensor, index) - zero_points[operand]
        return scaled(centred * (1 << COMPARISON_LEFT_SHIFT), multipliers[operand])

    def element(*index: Any) -> Any:
        holds = relations[relation](term(x, index, 0), term(y, index, 1))
        return tirx.Select(holds, tirx.const(1, "bool"), tirx.const(0, "bool"))

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def squared_difference(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales) -> Any:
    """a, b -> out = (a - b)^2, with broadcasting."""
    x, y = _operands(a, b, scales.element)
    # 255^2 * 2^14 fits 32 bits, and so does 65535^2 / 4
    left_shift = SQUARED_DIFFERENCE_LEFT_SHIFT if scales.element == "int8" else 0

    def term(value: Any, operand: int) -> Any:
        shifted = (value - scales.zero_points[operand]) * (1 << left_shift)
        return scaled(shifted, scales.inputs[operand])

    def element(*index: Any) -> Any:
        difference = term(widened(x, index), 0) - term(widened(y, index), 1)
        square = scaled(difference * difference, scales.output)
        return scales.placed(square)

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def divide(a: tuple[int, ...], b: tuple[int, ...], scales: BinaryScales) -> Any:
    """a, b -> out = a / b, with broadcasting; x / 0 saturates, 0 / 0 is 0."""
    x, y = _operands(a, b)

    def element(*index: Any) -> Any:
        quotient = tirx.call_extern(
            "int32",
            "ec_divide",
            widened(x, index) - scales.zero_points[0],
            widened(y, index) - scales.zero_points[1],
            scales.output.mantissa,
            scales.output.shift,
        )
        return scales.placed(quotient)

    return te.create_prim_func([x, y, te.compute(broadcast_shape(a, b), element, name="out")])


def parametric_relu(
    a: tuple[int, ...],
    slope: tuple[int, ...],
    scales: BinaryScales,
    slope_dtype: str = "int8",
) -> Any:
    """x, slope -> out: x where it is not negative, else x * slope, with broadcasting."""
    x = te.placeholder(a, scales.element, name="x")
    alpha = te.placeholder(slope, slope_dtype, name="y")
    # two int16 without their zero points may have 17 bits each
    wide = SUM_TYPES[slope_dtype]

    def element(*index: Any) -> Any:
        value = widened(x, index) - scales.zero_points[0]
        slope = widened(alpha, index) - scales.zero_points[1]
        steep = scaled(value.astype(wide) * slope.astype(wide), scales.output)
        return scales.placed(tirx.Select(value >= 0, scaled(value, scales.inputs[0]), steep))

    out = te.compute(broadcast_shape(a, slope), element, name="out")
    return te.create_prim_func([x, alpha, out])
