"""The integer operators of one int16 activation: straight lines, curves by tables, softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization
from edgecomp.lowering import multipliers, wide_tables
from edgecomp.lowering.integer_group import (
    Group,
    add_constant,
    clamp_of,
    integer_node,
    requantized,
)

_Q15 = Quantization(np.float32(2**-15).reshape(()), np.array(0, np.int16), "int16", None)
"""What curves with values in [-1, 1] and the softmax give."""


def curve(group: Group) -> list[ir.Node] | None:
    """Any function of one int16; None where there is no integer one."""
    op_type = group.node.op_type
    if op_type in _LINES:
        return _slopes(group)
    if op_type in wide_tables.CURVES:
        return _table(group)
    return _logistic(group)


_LINES = frozenset({"Abs", "Clip", "LeakyRelu", "Relu"})


def _slopes(group: Group) -> list[ir.Node]:
    node, x, result = group.node, group.operands[0], group.result
    positive = multipliers.relu_multiplier(x.scale, result.scale)
    negative, mirrored = positive, node.op_type == "Abs"
    if node.op_type == "LeakyRelu":
        alpha = node.attributes.get_float("alpha", 0.01)
        _, negative = multipliers.leaky_relu_multipliers(x.scale, abs(alpha), result.scale)
        mirrored = alpha < 0
    clips = node if node.op_type in ("Clip", "Relu") else None
    low, high = clamp_of(clips, result)
    attributes = {
        "input_zero_point": x.zero_point,
        "zero_point": group.zero_point,
        "mantissas": [positive.mantissa, negative.mantissa],
        "shifts": [positive.shift, negative.shift],
        "mirrored": int(mirrored),
        "low": low,
        "high": high,
    }
    name = node.name or node.op_type
    return [integer_node("Slopes", [x.value], name, group.label, attributes)]


def _table(group: Group) -> list[ir.Node]:
    node, x = group.node, group.operands[0]
    table = wide_tables.curve_table(node.op_type, x.quantization, group.result)
    name = node.name or node.op_type
    constant = add_constant(group.graph, f"{name} table", table)
    return [integer_node("Interpolate", [x.value, constant], name, group.label)]


@dataclass(frozen=True)
class _Argument:
    """How an int16 becomes an argument times 3 * 2^12: x * multiplier / 2^shift."""

    multiplier: int
    shift: int


def _argument(scale: np.float32, tangent: bool) -> _Argument | None:
    """The argument's multiplier; None where it would need more than 16 bits.

    Scales that are powers of two near 2^-12 are exact; all others are brought to 15 bits.
    """
    power = _power_of_two(scale)
    if power is not None and 0 <= power + 12 <= int(tangent):
        return _Argument(3 << (power + 12), 0)
    real, shift = float(scale) * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return _Argument(int(real), shift) if real < 2**15 else None


def _power_of_two(scale: np.float32) -> int | None:
    """The logarithm of a scale that is near a power of two."""
    exact = float(np.log2(np.float64(scale)))
    return round(exact) if abs(exact - round(exact)) < 1e-3 else None


def _logistic(group: Group) -> list[ir.Node] | None:
    node, x = group.node, group.operands[0]
    argument = _argument(x.scale, node.op_type == "Tanh")
    if argument is None or x.zero_point:
        return None
    name = node.name or node.op_type
    table = add_constant(group.graph, f"{name} table", wide_tables.logistic_table())
    attributes = {"multiplier": argument.multiplier, "shift": argument.shift}
    made = integer_node(node.op_type, [x.value, table], name, group.label, attributes)
    return _from_q15(group, made)


def softmax(group: Group) -> list[ir.Node]:
    """Softmax over the last axis of int16."""
    x, name = group.operands[0], group.node.name or "Softmax"
    factor = multipliers.wide_softmax_multiplier(x.scale)
    tables = [
        add_constant(group.graph, f"{name} {what}", table)
        for what, table in zip(("exp", "inverse"), wide_tables.softmax_tables(), strict=True)
    ]
    attributes = {"mantissa": factor.mantissa, "shift": factor.shift}
    made = integer_node("WideSoftmax", [x.value, *tables], name, group.label, attributes)
    return _from_q15(group, made)


def _from_q15(group: Group, node: ir.Node) -> list[ir.Node]:
    """`node` and what brings its Q15 to the output's grid, unless that is as good as Q15."""
    if _power_of_two(np.float32(group.result.scale)) == -15 and not group.zero_point:
        return [node]
    name = f"{node.name} requantize"
    return [node, *requantized(node.outputs[0], _Q15, group.result, name)]
