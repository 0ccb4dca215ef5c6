"""Kernels of the nodes that move elements: transposes, joins, and reads by index."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecomp.graph.values import dtype_of, shape_of
from edgecomp.lowering.kernels import indexing, movement
from edgecomp.lowering.lowered import (
    Lowered,
    element_type,
    image_shape,
    input_shape,
    int_list,
    int_of,
    output_shape,
)


def _transpose(node: ir.Node) -> Lowered:
    rank = len(input_shape(node))
    permutation = int_list(node, "perm") or tuple(reversed(range(rank)))
    return Lowered(
        movement.transpose(input_shape(node), element_type(node), permutation), "movement"
    )


def _concat(node: ir.Node) -> Lowered:
    shapes = [input_shape(node, index) for index in range(len(node.inputs))]
    axis = int_of(node, "axis") % len(shapes[0])
    return Lowered(movement.concat(shapes, element_type(node), axis), "movement")


def _identity(node: ir.Node) -> Lowered:
    return Lowered(movement.copy(input_shape(node), element_type(node)), "movement", inputs=(0,))


def _walk(node: ir.Node) -> Lowered:
    """Attributes `starts`, `steps`, `repeats`, `periods`: one entry for each axis."""
    names = ("starts", "steps", "repeats", "periods")
    columns = zip(*(int_list(node, name) for name in names), output_shape(node), strict=True)
    walks = [indexing.Walk(*column) for column in columns]
    return Lowered(indexing.walk(input_shape(node), element_type(node), walks), "movement")


def _take(node: ir.Node) -> Lowered:
    indices = node.inputs[1]
    assert indices is not None
    shape, axis = input_shape(node), int_of(node, "axis")
    func = indexing.take(shape, element_type(node), axis, shape_of(indices), dtype_of(indices))
    return Lowered(func, "movement")


def _pad(node: ir.Node) -> Lowered:
    before, after = int_list(node, "before"), int_list(node, "after")
    value = int_of(node, "value")
    func = movement.pad(input_shape(node), element_type(node), before, after, value)
    return Lowered(func, "movement")


def _select(node: ir.Node) -> Lowered:
    shapes = (input_shape(node, 0), input_shape(node, 1), input_shape(node, 2))
    return Lowered(indexing.select(*shapes, dtype_of(node.outputs[0])), "elementwise")


def _depth_to_space(node: ir.Node) -> Lowered:
    func = indexing.depth_to_space(
        image_shape(input_shape(node)),
        element_type(node),
        int_of(node, "block"),
        bool(int_of(node, "depth_first")),
    )
    return Lowered(func, "movement")


def _space_to_depth(node: ir.Node) -> Lowered:
    shape = image_shape(input_shape(node))
    func = indexing.space_to_depth(shape, element_type(node), int_of(node, "block"))
    return Lowered(func, "movement")


MOVEMENT: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Transpose": _transpose,
    "Concat": _concat,
    "Identity": _identity,
}
"""ONNX operators that move elements of any type."""

INDEXED: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Walk": _walk,
    "Take": _take,
    "Pad": _pad,
    "Select": _select,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
"""Nodes of `edgecomp.integer` that move elements."""
