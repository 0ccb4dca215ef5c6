"""Operators that combine values element by element, or multiply two of them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.channels.labels import Labels, aligned, frozen, varies
from edgecomp.graph.channels.trace import Trace, Use
from edgecomp.graph.channels.weighted import dense
from edgecomp.graph.values import elements_of, is_constant, shape_of


def elementwise(trace: Trace, node: ir.Node) -> None:
    """Activations that meet have their channels in common; constants lose what they lose."""
    shape = shape_of(node.outputs[0])
    labels: Labels | None = None
    reached: tuple[int, ...] = ()
    for value in node.inputs:
        if value is None or is_constant(value):
            continue
        own = (1,) * (len(shape) - len(shape_of(value))) + shape_of(value)
        found = aligned(trace.of(value), len(shape))
        labels = found if labels is None else _meet(trace, node, labels, reached, found, own)
        reached = own if not reached else tuple(map(max, reached, own))
    assert labels is not None, "some input is no constant"
    for index, value in enumerate(node.inputs):
        if value is not None and is_constant(value) and elements_of(value) > 1:
            _constant(trace, node, index, value, labels)
    for output in node.outputs:
        if output.name:
            trace.give(output, labels)


def _meet(
    trace: Trace,
    node: ir.Node,
    first: Labels,
    first_shape: tuple[int, ...],
    second: Labels,
    second_shape: tuple[int, ...],
) -> Labels:
    """The labels of two activations of equal rank, broadcast and combined."""
    one, other = varies(first), varies(second)
    name = str(node.name)
    if any(second_shape[axis] > 1 for axis in one - other):
        trace.numbers.freeze(first, name, "it meets a value that has to stay")
    if any(first_shape[axis] > 1 for axis in other - one):
        trace.numbers.freeze(second, name, "it meets a value that has to stay")
    if one & other:
        trace.numbers.unite(first, second)
    if one <= other:
        return second
    if other <= one:
        return first
    trace.numbers.freeze(first, name, "it spans channels of two axes")
    trace.numbers.freeze(second, name, "it spans channels of two axes")
    return frozen(first.ndim)


def _constant(trace: Trace, node: ir.Node, index: int, value: ir.Value, labels: Labels) -> None:
    """A constant operand has the channels of the axes it does not broadcast."""
    shape = shape_of(value)
    own = (1,) * (labels.ndim - len(shape)) + shape
    mine = labels
    for axis in sorted(varies(labels)):
        if own[axis] == 1:
            mine = np.take(mine, [0], axis=axis)
    if varies(mine):
        if varies(mine) != varies(labels):
            trace.numbers.unite(mine, labels)
        trace.uses.append(Use(node, index, mine.reshape(mine.shape[labels.ndim - len(shape) :])))


def batch_norm(trace: Trace, node: ir.Node) -> None:
    """Scale, bias, mean and variance of each channel."""
    if not all(is_constant(value) for value in node.inputs[1:]):
        trace.freeze(node, "its statistics are computed")
        return
    vector = trace.vector(node.inputs[0], 1, node)
    if vector is not None:
        for index in range(1, 5):
            trace.use(node, index, vector, 0)
    trace.give(node.outputs[0], trace.of(node.inputs[0]))


def matmul(trace: Trace, node: ir.Node) -> None:
    """By constant weights, or of two activations as in attention."""
    left, right = node.inputs
    assert left is not None, "the operator demands it"
    assert right is not None, "the operator demands it"
    if is_constant(right) and len(shape_of(right)) == 2 and len(shape_of(left)) > 1:
        dense(trace, node, 0)
    elif is_constant(left) or is_constant(right) or min(map(len, map(shape_of, (left, right)))) < 2:
        trace.freeze(node, "a constant operand on the left, or a vector")
    else:
        _product(trace, node, left, right)


def _product(trace: Trace, node: ir.Node, left: ir.Value, right: ir.Value) -> None:
    """Of batches of matrices; all that is summed over goes, for a batch, or stays."""
    rank = len(shape_of(node.outputs[0]))
    first, second = aligned(trace.of(left), rank), aligned(trace.of(right), rank)
    rows = list((1,) * (rank - len(shape_of(left))) + shape_of(left))
    columns = list((1,) * (rank - len(shape_of(right))) + shape_of(right))
    if (first.shape[-1] > 1) != (second.shape[-2] > 1):
        for labels in (first, second):
            trace.numbers.freeze(labels, str(node.name), "one operand has to stay")
    first = trace.numbers.unite_along(first, rank - 1)
    second = trace.numbers.unite_along(second, rank - 2)
    rows[-1] = columns[-2] = 1
    trace.give(node.outputs[0], _meet(trace, node, first, tuple(rows), second, tuple(columns)))
