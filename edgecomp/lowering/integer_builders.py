"""Which function makes the integer nodes of each operator of `edgecomp.graph.quantizable`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecomp.graph.qdq import dequantization_of
from edgecomp.lowering import (
    integer_curves,
    integer_image,
    integer_index,
    integer_moves,
    integer_ops,
    integer_pairs,
    integer_reduce,
)
from edgecomp.lowering.integer_group import Group
from edgecomp.lowering.tables import TABLES

Builder = Callable[[Group], list[ir.Node] | None]
"""Gives the nodes of a group, the last of which makes its output; None where it stays float."""

BUILDERS: Mapping[str, Builder] = {
    **dict.fromkeys(TABLES, integer_ops.table),
    "Conv": integer_ops.conv,
    "ConvTranspose": integer_image.conv_transpose,
    "Gemm": integer_ops.dense,
    "Add": integer_ops.binary,
    "Sub": integer_ops.binary,
    "Mul": integer_ops.binary,
    "Div": integer_pairs.divide,
    "Max": integer_pairs.extreme,
    "Min": integer_pairs.extreme,
    "PRelu": integer_pairs.parametric_relu,
    "SquaredDifference": integer_pairs.squared_difference,
    "Where": integer_pairs.select,
    "Equal": integer_pairs.compare,
    "Greater": integer_pairs.compare,
    "GreaterOrEqual": integer_pairs.compare,
    "Less": integer_pairs.compare,
    "LessOrEqual": integer_pairs.compare,
    "ReduceMean": integer_reduce.mean,
    "ReduceSum": integer_reduce.total,
    "ReduceProd": integer_reduce.product,
    "LpNormalization": integer_reduce.normalize,
    "ReduceMax": integer_reduce.extreme,
    "ReduceMin": integer_reduce.extreme,
    "ArgMax": integer_reduce.index_of_extreme,
    "ArgMin": integer_reduce.index_of_extreme,
    "Softmax": integer_ops.softmax,
    "LogSoftmax": integer_reduce.log_softmax,
    "MaxPool": integer_moves.pool,
    "AveragePool": integer_moves.pool,
    "GlobalAveragePool": integer_moves.global_pool,
    "GlobalMaxPool": integer_moves.pool,
    "Concat": integer_moves.concat,
    "Reshape": integer_moves.move,
    "Flatten": integer_moves.move,
    "Transpose": integer_moves.move,
    "Squeeze": integer_moves.move,
    "Unsqueeze": integer_moves.move,
    "Slice": integer_index.slices,
    "Pad": integer_index.pad,
    "Resize": integer_image.resize,
    "Expand": integer_index.expand,
    "Tile": integer_index.tile,
    "Gather": integer_index.gather,
    "DepthToSpace": integer_image.depth_to_space,
    "SpaceToDepth": integer_image.space_to_depth,
}


WIDE_BUILDERS: Mapping[str, Builder] = {
    **dict.fromkeys(
        ("Abs", "Clip", "Exp", "LeakyRelu", "Relu", "Sigmoid", "Tanh"), integer_curves.curve
    ),
    "Softmax": integer_curves.softmax,
}
"""The same of int16, where it is another."""


def builder_of(node: ir.Node) -> Builder:
    """The builder for `node`, by its operator and what it reads."""
    if node.op_type == "MatMul":
        return _matmul
    if _reads_int16(node) and node.op_type in WIDE_BUILDERS:
        return WIDE_BUILDERS[node.op_type]
    return BUILDERS[node.op_type]


def _reads_int16(node: ir.Node) -> bool:
    quantization = dequantization_of(node.inputs[0])
    return quantization is not None and quantization.dtype == "int16"


def _matmul(group: Group) -> list[ir.Node] | None:
    matrix = len(group.operands) == 1
    return integer_ops.dense(group) if matrix else integer_pairs.matmul(group)
