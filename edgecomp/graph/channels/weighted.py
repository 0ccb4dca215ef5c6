"""Layers with weights: they make channels of their own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.channels.labels import Labels, along
from edgecomp.graph.channels.trace import Trace
from edgecomp.graph.values import elements_of, input_at, is_constant, shape_of


def conv(trace: Trace, node: ir.Node) -> None:
    """Weights [out, in / groups, *window]."""
    groups = node.attributes.get_int("group", 1)
    if not _is_plain(trace, node, groups):
        return
    source, weight = node.inputs[0], node.inputs[1]
    assert source is not None, "the operator demands it"
    assert weight is not None, "the operator demands it"
    read = trace.vector(source, 1, node)
    outputs, per_group = shape_of(weight)[:2]
    read = _whole(read, shape_of(source)[1])
    if groups == 1:
        trace.use(node, 1, read, 1)
        made = trace.makes(node, outputs)
    elif per_group == 1:
        made = np.repeat(read, outputs // groups)
    else:
        made = _grouped(trace, node, read, groups, outputs)
        trace.use(node, 1, read.reshape(groups, -1)[0], 1)
    trace.use(node, 1, made, 0, makes=True)
    _bias(trace, node, made)
    trace.give(node.outputs[0], along(made, 1, len(shape_of(node.outputs[0]))))


def conv_transpose(trace: Trace, node: ir.Node) -> None:
    """Weights [in, out / groups, *window]."""
    groups = node.attributes.get_int("group", 1)
    if not _is_plain(trace, node, groups):
        return
    source, weight = node.inputs[0], node.inputs[1]
    assert source is not None, "the operator demands it"
    assert weight is not None, "the operator demands it"
    read = _whole(trace.vector(source, 1, node), shape_of(source)[1])
    per_group = shape_of(weight)[1]
    if groups == 1:
        made = trace.makes(node, per_group)
        trace.use(node, 1, read, 0)
        trace.use(node, 1, made, 1, makes=True)
    elif len(read) == groups:
        made = np.repeat(read, per_group)
        trace.use(node, 1, read, 0, makes=True)
    else:
        made = _grouped(trace, node, read, groups, per_group * groups)
        trace.use(node, 1, read, 0)
        trace.use(node, 1, made[:per_group], 1, makes=True)
    _bias(trace, node, made)
    trace.give(node.outputs[0], along(made, 1, len(shape_of(node.outputs[0]))))


def gemm(trace: Trace, node: ir.Node) -> None:
    """Weights [in, out], or [out, in] with transB."""
    if node.attributes.get_int("transA", 0) or not is_constant(node.inputs[1]):
        trace.freeze(node, "a transposed or computed operand")
        return
    dense(trace, node, 1 if node.attributes.get_int("transB", 0) else 0)


def dense(trace: Trace, node: ir.Node, inputs_axis: int) -> None:
    """A matrix product with constant weights of two axes on the right."""
    source, weight = node.inputs[0], node.inputs[1]
    assert source is not None, "the operator demands it"
    assert weight is not None, "the operator demands it"
    read = trace.vector(source, -1, node)
    trace.use(node, 1, _whole(read, shape_of(source)[-1]), inputs_axis)
    made = trace.makes(node, shape_of(weight)[1 - inputs_axis])
    trace.use(node, 1, made, 1 - inputs_axis, makes=True)
    _bias(trace, node, made)
    trace.give(node.outputs[0], along(made, -1, len(shape_of(node.outputs[0]))))


def _is_plain(trace: Trace, node: ir.Node, groups: int) -> bool:
    """Whether weights and bias are constants; everything stays otherwise."""
    constants = [value for value in node.inputs[1:] if value is not None]
    if all(is_constant(value) for value in constants):
        return True
    trace.freeze(node, "its weights are computed")
    return False


def _whole(read: Labels | None, count: int) -> Labels:
    """Numbers for all `count` channels; one that does not vary is one that stays."""
    return np.zeros(count, np.int64) if read is None or read.size == 1 else read


def _grouped(trace: Trace, node: ir.Node, read: Labels, groups: int, outputs: int) -> Labels:
    """Every group loses the same places, so that the groups stay equal."""
    trace.numbers.unite_along(read.reshape(groups, -1), 0)
    return np.tile(trace.makes(node, outputs // groups), groups)


def _bias(trace: Trace, node: ir.Node, made: Labels) -> None:
    bias = input_at(node, 2)
    if bias is not None and elements_of(bias) == made.size:
        trace.use(node, 2, made, len(shape_of(bias)) - 1)
