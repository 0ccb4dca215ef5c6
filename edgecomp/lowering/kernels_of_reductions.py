"""Kernels of the nodes that reduce axes, or normalise along one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgecomp.lowering.kernels import reduction
from edgecomp.lowering.kernels.rows import normalize, product
from edgecomp.lowering.kernels.softmax import log_softmax
from edgecomp.lowering.lowered import (
    Lowered,
    element_type,
    input_shape,
    int_list,
    int_of,
    multiplier_of,
)


def _total(node: ir.Node) -> Lowered:
    func = reduction.total(
        input_shape(node),
        int_list(node, "axes"),
        int_of(node, "input_zero_point"),
        multiplier_of(node),
        int_of(node, "zero_point"),
        element_type(node),
    )
    return Lowered(func, "reduce")


def _extreme(node: ir.Node) -> Lowered:
    largest = node.op_type == "ReduceMax"
    func = reduction.extreme_over(
        input_shape(node), int_list(node, "axes"), largest, element_type(node)
    )
    return Lowered(func, "reduce")


def _index_of_extreme(node: ir.Node) -> Lowered:
    shape, axis = input_shape(node), int_of(node, "axis")
    outer, inner = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    largest, last = node.op_type == "ArgMax", bool(int_of(node, "last"))
    func = reduction.index_of_extreme(outer, shape[axis], inner, largest, last, element_type(node))
    return Lowered(func, "reduce_extern")


def _product(node: ir.Node) -> Lowered:
    rows, depth = input_shape(node)
    zero_points = int_of(node, "input_zero_point"), int_of(node, "zero_point")
    func = product(rows, depth, zero_points, multiplier_of(node), element_type(node))
    return Lowered(func, "reduce_extern")


def _normalize(node: ir.Node) -> Lowered:
    shape = input_shape(node)
    zero_point = int_of(node, "input_zero_point")
    func = normalize(int(np.prod(shape[:-1])), shape[-1], zero_point)
    return Lowered(func, "reduce_extern")


def _log_softmax(node: ir.Node) -> Lowered:
    shape = input_shape(node)
    scale = node.attributes["scale"].as_float()
    return Lowered(log_softmax(int(np.prod(shape[:-1])), shape[-1], scale), "softmax")


REDUCTIONS: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "ReduceTotal": _total,
    "ReduceMax": _extreme,
    "ReduceMin": _extreme,
    "ArgMax": _index_of_extreme,
    "ArgMin": _index_of_extreme,
    "LogSoftmax": _log_softmax,
    "Normalize": _normalize,
    "Product": _product,
}
"""Nodes of `edgecomp.integer` that reduce or normalise, beside Mean and Softmax."""
