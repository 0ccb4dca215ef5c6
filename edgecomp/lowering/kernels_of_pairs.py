"""Kernels of the nodes that combine two activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgecomp.graph.values import dtype_of
from edgecomp.lowering.kernels import comparison
from edgecomp.lowering.kernels.matmul import batch_matmul
from edgecomp.lowering.lowered import (
    Lowered,
    binary_scales,
    element_type,
    input_shape,
    output_shape,
)

RELATIONS = {
    "Equal": "==",
    "Less": "<",
    "LessOrEqual": "<=",
    "Greater": ">",
    "GreaterOrEqual": ">=",
}


def _extreme(node: ir.Node) -> Lowered:
    largest = node.op_type == "Max"
    return Lowered(
        comparison.extreme(input_shape(node), input_shape(node, 1), largest, element_type(node)),
        "elementwise",
    )


def _compare(node: ir.Node) -> Lowered:
    scales = binary_scales(node)
    func = comparison.compare(
        input_shape(node),
        input_shape(node, 1),
        RELATIONS[node.op_type],
        scales.zero_points,
        scales.inputs,
        scales.element,
    )
    return Lowered(func, "elementwise")


def _divide(node: ir.Node) -> Lowered:
    func = comparison.divide(input_shape(node), input_shape(node, 1), binary_scales(node))
    return Lowered(func, "elementwise")


def _squared_difference(node: ir.Node) -> Lowered:
    scales = binary_scales(node)
    func = comparison.squared_difference(input_shape(node), input_shape(node, 1), scales)
    return Lowered(func, "elementwise")


def _parametric_relu(node: ir.Node) -> Lowered:
    scales = binary_scales(node)
    slope = node.inputs[1]
    assert slope is not None
    func = comparison.parametric_relu(
        input_shape(node), input_shape(node, 1), scales, dtype_of(slope)
    )
    return Lowered(func, "elementwise")


def _matmul(node: ir.Node) -> Lowered:
    scales = binary_scales(node)
    left, right = input_shape(node), input_shape(node, 1)
    func = batch_matmul(left, right, scales)
    return Lowered(func, "matmul", int(np.prod(output_shape(node))) * left[-1])


PAIRS: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Max": _extreme,
    "Min": _extreme,
    **dict.fromkeys(RELATIONS, _compare),
    "Div": _divide,
    "SquaredDifference": _squared_difference,
    "PRelu": _parametric_relu,
    "BatchMatMul": _matmul,
}
"""Nodes of `edgecomp.integer` with two operands, beside Add, Sub and Mul."""
