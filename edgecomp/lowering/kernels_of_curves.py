"""Kernels of the nodes of one int16 activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels import curves
from edgecomp.lowering.lowered import Lowered, input_shape, int_list, int_of, multiplier_of


def _slopes(node: ir.Node) -> Lowered:
    positive, negative = map(Multiplier, int_list(node, "mantissas"), int_list(node, "shifts"))
    work = curves.Slopes(
        int_of(node, "input_zero_point"),
        int_of(node, "zero_point"),
        positive,
        negative,
        bool(int_of(node, "mirrored")),
        int_of(node, "low"),
        int_of(node, "high"),
    )
    return Lowered(curves.slopes(input_shape(node), work), "elementwise")


def _interpolate(node: ir.Node) -> Lowered:
    return Lowered(curves.interpolate(input_shape(node)), "elementwise")


def _logistic(node: ir.Node) -> Lowered:
    count = int(np.prod(input_shape(node)))
    multiplier, shift = int_of(node, "multiplier"), int_of(node, "shift")
    func = curves.logistic(count, multiplier, shift, node.op_type == "Tanh")
    return Lowered(func, "curve_extern")


def _softmax(node: ir.Node) -> Lowered:
    shape = input_shape(node)
    func = curves.softmax(int(np.prod(shape[:-1])), shape[-1], multiplier_of(node))
    return Lowered(func, "softmax")


CURVES: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Slopes": _slopes,
    "Interpolate": _interpolate,
    "Sigmoid": _logistic,
    "Tanh": _logistic,
    "WideSoftmax": _softmax,
}
"""Nodes of `edgecomp.integer` of one int16 activation."""
