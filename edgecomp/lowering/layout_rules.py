"""What a change from NCHW to NHWC means to each integer operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from edgecomp.graph.values import shape_of
from edgecomp.lowering.integer_group import DOMAIN

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)

IMAGE = frozenset(
    {
        "AveragePool",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "DepthwiseConv",
        "MaxPool",
        "Mean",
        "ResizeLinear",
        "SpaceToDepth",
    }
)
"""Integer operators that are defined on NHWC images."""

ELEMENTWISE = frozenset(
    {
        "Add",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Interpolate",
        "Less",
        "LessOrEqual",
        "Lookup",
        "Max",
        "Min",
        "Mul",
        "PRelu",
        "Requantize",
        "Select",
        "Sigmoid",
        "Slopes",
        "SquaredDifference",
        "Sub",
        "Tanh",
    }
)
"""Integer operators to which the order of the axes means nothing."""

LISTED: Mapping[str, tuple[str, ...]] = {
    "Pad": ("before", "after"),
    "Walk": ("starts", "steps", "repeats", "periods"),
}
"""Attributes with an entry for each axis."""

NAMED: Mapping[str, tuple[str, ...]] = {
    "Concat": ("axis",),
    "ReduceMax": ("axes",),
    "ReduceMin": ("axes",),
    "ReduceTotal": ("axes",),
    "Take": ("axis",),
}
"""Attributes that name axes."""

_ONE_ACTIVATION = frozenset(
    {
        *("Interpolate", "Lookup", "Requantize", "Sigmoid", "Slopes", "Tanh"),
        *("ReduceMax", "ReduceMin", "ReduceTotal", "Take", *IMAGE, *LISTED),
    }
)


def activations(node: ir.Node) -> tuple[ir.Value, ...]:
    """The inputs of an integer or moving node that have a layout."""
    wanted = node.inputs[:1] if node.op_type in _ONE_ACTIVATION else node.inputs
    return tuple(value for value in wanted if value is not None)


def can_follow(node: ir.Node) -> bool:
    """Whether `node` computes the same with the axes of its activations in another order."""
    if node.domain == "":
        return node.op_type in ("Concat", "Identity")
    known = node.op_type in ELEMENTWISE or node.op_type in LISTED or node.op_type in NAMED
    if node.domain != DOMAIN or not known:
        return False
    ranks = {len(shape_of(value)) for value in (*activations(node), node.outputs[0])}
    return ranks == {4}


def turned(node: ir.Node) -> dict[str, Any]:
    """The attributes of `node` when its activations are NHWC."""
    attributes = {key: attribute.value for key, attribute in node.attributes.items()}
    for name in LISTED.get(node.op_type, ()):
        values = list(attributes[name])
        attributes[name] = [values[axis] for axis in TO_NHWC]
    for name in NAMED.get(node.op_type, ()):
        value = attributes[name]
        if isinstance(value, int):
            attributes[name] = TO_NHWC.index(value)
        else:
            attributes[name] = sorted(TO_NHWC.index(int(axis)) for axis in value)
    return attributes
