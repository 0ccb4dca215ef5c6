"""The parameters of a graph: what was learned, as against shapes, limits and scales."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgecomp.graph.palette import is_palette
from edgecomp.graph.qdq import is_dequantize, is_quantize
from edgecomp.graph.values import elements_of, is_constant

_ARGUMENTS: Mapping[str, frozenset[int]] = {
    "Clip": frozenset({1, 2}),
    "Pad": frozenset({2}),
    "Resize": frozenset({1, 2}),
    "OneHot": frozenset({1, 2}),
    "Range": frozenset({0, 1, 2}),
    "Dropout": frozenset({1, 2}),
    "HybridLstm": frozenset({3, 4}),
    "HybridSvdf": frozenset({2, 3}),
    "IntegerLstm": frozenset({3, 7}),
    "IntegerSvdf": frozenset({2, 4}),
}
"""Inputs that hold numbers but no parameters."""
_INTEGER_WEIGHTS = frozenset(
    {
        *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
        *("HybridLstm", "HybridSvdf", "IntegerLstm", "IntegerSvdf"),
    }
)
"""Operators whose integer constants are weights."""


def parameters_of(node: ir.Node) -> tuple[ir.Value, ...]:
    """The constants `node` learned: floats, or integers that a DequantizeLinear makes floats of.

    A constant behind a DequantizeLinear belongs to the node that reads the floats.
    """
    if is_quantize(node) or is_dequantize(node):
        return ()
    arguments = _ARGUMENTS.get(node.op_type, frozenset())
    found = []
    for index, value in enumerate(node.inputs):
        if value is None or index in arguments:
            continue
        producer = value.producer()
        if producer is not None and is_dequantize(producer):
            source = producer.inputs[0]
            if source is not None and is_constant(source):
                found.append(source)
        elif is_constant(value) and _is_learned(node, value):
            found.append(value)
    return tuple(found)


def _is_learned(node: ir.Node, value: ir.Value) -> bool:
    """Floats are; so are the integer weights of an integer convolution or matrix product."""
    if value.dtype is not None and value.dtype.is_floating_point():
        return not node.op_type.startswith("QLinear")
    return node.op_type in _INTEGER_WEIGHTS and elements_of(value) > 1


def counted_parameters(node: ir.Node) -> tuple[ir.Value, ...]:
    """Constants of `node` with an element for each parameter: of a palette, its indices."""
    if is_palette(node):
        return tuple(value for value in node.inputs[:1] if value is not None)
    return parameters_of(node)


def count_parameters(graph: ir.Graph) -> int:
    """Elements of all parameters of the graph; one that several nodes read counts once."""
    found = {value for node in graph for value in counted_parameters(node)}
    return sum(elements_of(value) for value in found)
