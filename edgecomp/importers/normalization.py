"""Normalisations with several outputs, or that shape inference does not know, in simple operators.

Equations of the ONNX operator specification: LayerNormalization-17, GroupNormalization-21,
MeanVarianceNormalization-13.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecomp.graph.build import Replacement
from edgecomp.graph.values import dtype_of, input_at, shape_of


def _centred(
    new: Replacement, source: ir.Value, axes: list[int], epsilon: float, dtype: str
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(source - mean) / sqrt(variance + epsilon), the mean, and the factor."""
    along = new.constant(axes, "int64")
    mean = new.add("ReduceMean", source, along)
    difference = new.add("Sub", source, mean)
    variance = new.add("ReduceMean", new.add("Mul", difference, difference), along)
    shifted = new.add("Add", variance, new.constant(np.asarray(epsilon, dtype)))
    factor = new.add("Reciprocal", new.add("Sqrt", shifted))
    return new.add("Mul", difference, factor), mean, factor


def expand_layer_norm(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    """Only where mean or factor are asked for: TVM knows the plain one."""
    if sum(bool(value.name) for value in node.outputs) == 1:
        return None
    source, scale = node.inputs[0], node.inputs[1]
    assert source is not None, "the first input is not optional"
    rank = len(shape_of(source))
    axis = node.attributes.get_int("axis", -1) % rank
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    result, mean, factor = _centred(new, source, list(range(axis, rank)), epsilon, dtype_of(source))
    result = new.add("Mul", result, scale)
    bias = input_at(node, 2)
    if bias is not None:
        result = new.add("Add", result, bias)
    return [result, mean, factor][: len(node.outputs)]


def expand_group_norm(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """Each group of channels by itself, then scale and bias of each channel."""
    source, scale, bias = node.inputs[:3]
    assert source is not None, "the inputs are not optional"
    shape = shape_of(source)
    groups = node.attributes.get_int("num_groups", 1)
    grouped = [shape[0], groups, math.prod(shape[1:]) // groups]
    rows = new.add("Reshape", source, new.constant(grouped, "int64"))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    result, _, _ = _centred(new, rows, [2], epsilon, dtype_of(source))
    result = new.add("Reshape", result, new.constant(shape, "int64"))
    along = new.constant([-1] + [1] * (len(shape) - 2), "int64")
    result = new.add("Mul", result, new.add("Reshape", scale, along))
    return [new.add("Add", result, new.add("Reshape", bias, along))]


def expand_mean_variance_norm(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """(x - mean) / (standard deviation + 1e-9)."""
    source = node.inputs[0]
    assert source is not None, "the input is not optional"
    axes = new.constant(list(node.attributes.get_ints("axes", [0, 2, 3])), "int64")
    difference = new.add("Sub", source, new.add("ReduceMean", source, axes))
    variance = new.add("ReduceMean", new.add("Mul", difference, difference), axes)
    small = new.constant(np.asarray(1e-9, dtype_of(source)))
    deviation = new.add("Add", new.add("Sqrt", variance), small)
    return [new.add("Div", difference, deviation)]
