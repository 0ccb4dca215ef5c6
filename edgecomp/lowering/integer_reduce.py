"""The integer operators that reduce axes: sums, means, extremes and where these are."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization
from edgecomp.graph.values import constant_input, shape_of
from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import LARGEST_WIDE_SHIFT
from edgecomp.lowering.integer_group import Group, integer_node, requantized, reshape_node
from edgecomp.lowering.integer_moves import mean as spatial_mean
from edgecomp.lowering.integer_moves import on_own_grid


def _axes(group: Group) -> tuple[int, ...]:
    """The axes the node reduces, not negative, in order."""
    rank = len(shape_of(group.operands[0].value))
    given = constant_input(group.node, 1)
    if given is not None and given.size:
        return tuple(sorted({int(axis) % rank for axis in given.reshape(-1)}))
    none = group.node.attributes.get_int("noop_with_empty_axes", 0) == 1
    return () if none else tuple(range(rank))


def _shaped(group: Group, node: ir.Node, axes: tuple[int, ...]) -> list[ir.Node]:
    """`node`, which keeps the reduced axes, brought to the output's shape."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape_of(group.operands[0].value)))
    node.outputs[0].shape = ir.Shape(kept)
    out = shape_of(group.output)
    if out == kept:
        return [node]
    return [node, reshape_node(group.graph, node.outputs[0], out, f"{node.name} shape")]


def _unchanged(group: Group) -> list[ir.Node]:
    x, name = group.operands[0], group.node.name or group.node.op_type
    return requantized(x.value, x.quantization, group.result, name)


def mean(group: Group) -> list[ir.Node]:
    """Mean over constant axes."""
    axes = _axes(group)
    if not axes:
        return _unchanged(group)
    if axes == (2, 3) and len(shape_of(group.operands[0].value)) == 4:
        return spatial_mean(group)
    return _total(group, axes, divide=True)


def total(group: Group) -> list[ir.Node]:
    """Sum over constant axes."""
    axes = _axes(group)
    return _total(group, axes, divide=False) if axes else _unchanged(group)


def _total(group: Group, axes: tuple[int, ...], divide: bool) -> list[ir.Node]:
    x = group.operands[0]
    count = int(np.prod([shape_of(x.value)[axis] for axis in axes]))
    factor = multipliers.mean_multiplier(x.scale, group.result.scale, count if divide else 1)
    attributes = {
        "axes": list(axes),
        "input_zero_point": x.zero_point,
        "mantissa": factor.mantissa,
        "shift": factor.shift,
        "zero_point": group.zero_point,
    }
    name = group.node.name or group.node.op_type
    return _shaped(
        group, integer_node("ReduceTotal", [x.value], name, group.label, attributes), axes
    )


def product(group: Group) -> list[ir.Node] | None:
    """Product over constant axes; None where its factors' multiplier is too large."""
    axes, x = _axes(group), group.operands[0]
    if not axes:
        return _unchanged(group)
    shape, name = shape_of(x.value), group.node.name or "ReduceProd"
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    count = int(np.prod([shape[axis] for axis in axes]))
    factor = multipliers.product_multiplier(x.scale, group.result.scale, count)
    if factor.shift > LARGEST_WIDE_SHIFT or not count:
        return None
    attributes = {
        "input_zero_point": x.zero_point,
        "mantissa": factor.mantissa,
        "shift": factor.shift,
        "zero_point": group.zero_point,
    }
    order = [*kept, *axes]
    turned = integer_node(
        "Transpose", [x.value], f"{name} turned", "Transpose", {"perm": order}, ""
    )
    turned.outputs[0].shape = ir.Shape([shape[axis] for axis in order])
    rows = int(np.prod([shape[axis] for axis in kept]))
    flat = reshape_node(group.graph, turned.outputs[0], (rows, count), f"{name} rows")
    made = integer_node("Product", [flat.outputs[0]], name, group.label, attributes)
    made.outputs[0].shape = ir.Shape([rows])
    out = shape_of(group.output)
    return [turned, flat, made, reshape_node(group.graph, made.outputs[0], out, f"{name} shape")]


def extreme(group: Group) -> list[ir.Node]:
    """Largest or smallest over constant axes."""
    axes, x = _axes(group), group.operands[0]
    if not axes:
        return _unchanged(group)
    op_type = group.node.op_type
    name = group.node.name or op_type
    node = integer_node(op_type, [x.value], name, group.label, {"axes": list(axes)})
    return on_own_grid(group, _shaped(group, node, axes), group.output)


def index_of_extreme(group: Group) -> list[ir.Node]:
    """ArgMax and ArgMin: int64 indices along one axis."""
    node, x = group.node, group.operands[0].value
    shape = shape_of(x)
    axis = node.attributes.get_int("axis", 0) % len(shape)
    attributes = {"axis": axis, "last": node.attributes.get_int("select_last_index", 0)}
    name = node.name or node.op_type
    made = integer_node(node.op_type, [x], name, group.label, attributes)
    kept = (*shape[:axis], 1, *shape[axis + 1 :])
    made.outputs[0].shape, made.outputs[0].type = ir.Shape(kept), group.output.type
    out = shape_of(group.output)
    if out == kept:
        return [made]
    return [made, reshape_node(group.graph, made.outputs[0], out, f"{name} shape")]


def normalize(group: Group) -> list[ir.Node]:
    """Division by the Euclidean norm along the last axis; its own result has scale 1/128."""
    x, name = group.operands[0], group.node.name or "LpNormalization"
    attributes = {"input_zero_point": x.zero_point}
    node = integer_node("Normalize", [x.value], name, group.label, attributes)
    fixed = Quantization(np.float32(1 / 128).reshape(()), np.array(0, np.int8), "int8", None)
    if group.result.same_as(fixed):
        return [node]
    return [node, *requantized(node.outputs[0], fixed, group.result, f"{name} requantize")]


def log_softmax(group: Group) -> list[ir.Node]:
    """Logarithm of the softmax over the last axis; its own result has scale 16/256."""
    name = group.node.name or "LogSoftmax"
    x = group.operands[0]
    attributes = {"scale": float(x.scale)}
    node = integer_node("LogSoftmax", [x.value], name, group.label, attributes)
    fixed = Quantization(np.float32(16 / 256).reshape(()), np.array(127, np.int8), "int8", None)
    if group.result.same_as(fixed):
        return [node]
    return [node, *requantized(node.outputs[0], fixed, group.result, f"{name} requantize")]
