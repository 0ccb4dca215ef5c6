"""The integer operators of two activations, beside Add, Sub and Mul."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgecomp.graph.values import constant_of, shape_of
from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import LARGEST_WIDE_SHIFT, LIMITS, Multiplier
from edgecomp.lowering.integer_group import (
    Group,
    Operand,
    add_constant,
    full_rank,
    integer_node,
    requantized,
)

_NONE = Multiplier(0, 0)
# A multiplier this large leaves a quotient no bits below it.
_LARGEST_QUOTIENT_SHIFT = 20


def _attributes(
    group: Group, inputs: tuple[Multiplier, Multiplier], output: Multiplier
) -> dict[str, Any]:
    low, high = group.limits()
    return {
        "zero_points": [operand.zero_point for operand in group.operands],
        "mantissas": [inputs[0].mantissa, inputs[1].mantissa, output.mantissa],
        "shifts": [inputs[0].shift, inputs[1].shift, output.shift],
        "zero_point": group.zero_point,
        "low": low,
        "high": high,
    }


def _pair(
    group: Group, op_type: str, inputs: tuple[Multiplier, Multiplier], output: Multiplier
) -> list[ir.Node]:
    name = group.node.name or op_type
    values = [full_rank(group, operand.value) for operand in group.operands]
    attributes = _attributes(group, inputs, output)
    node = integer_node(op_type, values, name, group.label, attributes)
    node.outputs[0].shape = group.output.shape
    return [node]


def divide(group: Group) -> list[ir.Node] | None:
    """Quotient; None where its multiplier is too large for 32 bits."""
    left, right = group.operands
    factor = multipliers.div_multiplier(left.scale, right.scale, group.result.scale)
    if factor.shift > _LARGEST_QUOTIENT_SHIFT:
        return None
    return _pair(group, "Div", (_NONE, _NONE), factor)


def squared_difference(group: Group) -> list[ir.Node]:
    """(a - b)^2."""
    left, right = group.operands
    wide = group.result.dtype == "int16"
    factors = multipliers.squared_difference_multipliers(
        left.scale,
        right.scale,
        group.result.scale,
        0 if wide else multipliers.SQUARED_DIFFERENCE_LEFT_SHIFT,
    )
    return _pair(group, "SquaredDifference", factors.inputs, factors.output)


def parametric_relu(group: Group) -> list[ir.Node] | None:
    """x, or x times a slope that is a tensor where x is negative; None as in `matmul`."""
    x, slope = group.operands
    identity, product = multipliers.prelu_multipliers(x.scale, slope.scale, group.result.scale)
    if slope.quantization.dtype == "int16" and product.shift > LARGEST_WIDE_SHIFT:
        return None
    return _pair(group, "PRelu", (identity, _NONE), product)


def matmul(group: Group) -> list[ir.Node] | None:
    """Product of two stacks of matrices; None for a vector, or a multiplier too large."""
    left, right = group.operands
    if min(len(shape_of(left.value)), len(shape_of(right.value))) < 2:
        return None
    factor = multipliers.dense_multiplier(left.scale, right.scale, group.result.scale)
    if group.result.dtype == "int16" and factor.shift > LARGEST_WIDE_SHIFT:
        return None
    name = group.node.name or "MatMul"
    attributes = _attributes(group, (_NONE, _NONE), factor)
    values = [left.value, right.value]
    node = integer_node("BatchMatMul", values, name, group.label, attributes)
    node.outputs[0].shape = group.output.shape
    return [node]


def _on_result_grid(group: Group) -> tuple[list[ir.Node], list[ir.Value]]:
    """The operands on the output's grid, and the nodes that bring them there."""
    nodes: list[ir.Node] = []
    values: list[ir.Value] = []
    for index, operand in enumerate(group.operands):
        value = operand.value
        if not operand.quantization.same_as(group.result):
            value = _constant_on_grid(group, operand) or value
            if value is operand.value:
                name = f"{group.node.name} requantize {index}"
                nodes += requantized(value, operand.quantization, group.result, name)
                value = nodes[-1].outputs[0]
        values.append(full_rank(group, value))
    return nodes, values


def _constant_on_grid(group: Group, operand: Operand) -> ir.Value | None:
    content = constant_of(operand.value)
    if content is None:
        return None
    real = operand.quantization.dequantize(content).astype(np.float64)
    steps = np.rint(real / float(group.result.scale)) + group.zero_point
    name = f"{operand.value.name} requantized"
    return add_constant(
        group.graph, name, np.clip(steps, *LIMITS[group.result.dtype]).astype(group.result.dtype)
    )


def extreme(group: Group) -> list[ir.Node]:
    """Largest or smallest of any number of tensors, compared on the output's grid."""
    nodes, values = _on_result_grid(group)
    op_type, name = group.node.op_type, group.node.name or group.node.op_type
    joined = values[0]
    if len(values) == 1:
        return [*nodes, integer_node("Identity", [joined], name, group.label, domain="")]
    for index, value in enumerate(values[1:], start=1):
        shape = np.broadcast_shapes(shape_of(joined), shape_of(value))
        last = index == len(values) - 1
        own = name if last else f"{name} {index}"
        node = integer_node(op_type, [joined, value], own, group.label)
        node.outputs[0].shape = ir.Shape(shape)
        nodes.append(node)
        joined = node.outputs[0]
    return nodes


def select(group: Group) -> list[ir.Node]:
    """Where: one of two tensors, element by element, on the output's grid."""
    nodes, values = _on_result_grid(group)
    condition = group.node.inputs[0]
    assert condition is not None
    inputs = [full_rank(group, condition), *values]
    name = group.node.name or "Where"
    node = integer_node("Select", inputs, name, group.label)
    node.outputs[0].shape, node.outputs[0].type = group.output.shape, values[0].type
    return [*nodes, node]


def compare(group: Group) -> list[ir.Node]:
    """Whether a relation holds between the real values of two tensors."""
    left, right = group.operands
    factors = multipliers.comparison_multipliers(left.scale, right.scale)
    return _pair(group, group.node.op_type, factors, _NONE)
