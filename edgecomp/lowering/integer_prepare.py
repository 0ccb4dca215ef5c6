"""Rewrites of a QDQ graph that bring more of it into the form of one operator between DQ and Q.

All of them keep the meaning: an operator that only moves elements gives the same numbers before a
DequantizeLinear as after it, and some chains of operators have one integer definition.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgecomp.graph.edit import add_constant
from edgecomp.graph.qdq import (
    dequantization_of,
    quantized_source,
    requantizer_of,
)
from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.graph.values import constant_input, is_constant, shape_of
from edgecomp.lowering.integer_group import is_activation, is_int8

# Their outputs are elements of their first input, so its scale is theirs.
MOVES = frozenset(
    {
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "MaxPool",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)


def prepare(graph: ir.Graph) -> None:
    """Apply the rewrites to `graph`, in place."""
    for node in list(graph):
        if node.domain == "" and node.op_type in _FUSIONS:
            _FUSIONS[node.op_type](graph, node)
    for node in list(graph):
        if node.domain == "" and node.op_type == "Split" and _reads_activation(node):
            _split_to_slices(graph, node)
    for node in list(graph):
        if node.domain == "" and node.op_type in MOVES and _reads_activation(node):
            _quantize_result(graph, node)


def _reads_activation(node: ir.Node) -> bool:
    """Whether the first input is a dequantized activation with one scale."""
    quantization = dequantization_of(node.inputs[0])
    known = is_constant(quantized_source(node.inputs[0]))
    return is_activation(quantization) and not known


def _reads_int8(node: ir.Node) -> bool:
    return _reads_activation(node) and is_int8(dequantization_of(node.inputs[0]))


def _split_to_slices(graph: ir.Graph, node: ir.Node) -> None:
    """One Slice for each output of a Split."""
    source = node.inputs[0]
    assert source is not None
    axis = node.attributes.get_int("axis", 0) % len(shape_of(source))
    start = 0
    for index, output in enumerate(node.outputs):
        end = start + shape_of(output)[axis]
        bounds = [
            add_constant(graph, f"{output.name} {what}", np.array([number], np.int64))
            for what, number in (("start", start), ("end", end), ("axis", axis))
        ]
        name = f"{node.name or 'Split'} {index}"
        part = ir.node("Slice", [source, *bounds], name=name)
        _replace(graph, node, output, part)
        start = end
    graph.remove(node, safe=True)


def _replace(graph: ir.Graph, before: ir.Node, output: ir.Value, node: ir.Node) -> None:
    """Let `node` make `output`."""
    made, name = node.outputs[0], output.name
    made.shape, made.type = output.shape, output.type
    graph.insert_before(before, node)
    output.replace_all_uses_with(made, replace_graph_outputs=True)
    output.name, made.name = f"{name} before", name


def _quantize_result(graph: ir.Graph, node: ir.Node) -> None:
    """Quantize what `node` moves by its input's own parameters, where nothing does so yet."""
    output, source = node.outputs[0], node.inputs[0]
    assert source is not None
    dequantize = source.producer()
    assert dequantize is not None
    if len(node.outputs) > 1 or requantizer_of(output) is not None:
        return
    parameters = dequantize.inputs[1:]
    name = output.name
    quantized = ir.node("QuantizeLinear", [output, *parameters], name=f"{name} quantize")
    restored = ir.node(
        "DequantizeLinear", [quantized.outputs[0], *parameters], name=f"{name} dequantize"
    )
    stored = quantized_source(source)
    assert stored is not None
    quantized.outputs[0].shape, quantized.outputs[0].type = output.shape, stored.type
    restored.outputs[0].shape, restored.outputs[0].type = output.shape, output.type
    output.replace_all_uses_with(restored.outputs[0], replace_graph_outputs=True)
    quantized.replace_input_with(0, output)
    output.name, restored.outputs[0].name = f"{name} before", name
    quantized.outputs[0].name = f"{name} quantized"
    graph.insert_after(node, [quantized, restored])


def _only_reader_quantizes(value: ir.Value) -> bool:
    return requantizer_of(value) is not None


def _squared_difference(graph: ir.Graph, node: ir.Node) -> None:
    """Sub, then its own square, between DequantizeLinear and QuantizeLinear."""
    difference = node.inputs[0]
    producer = None if difference is None else difference.producer()
    if producer is None or producer.op_type != "Sub" or not _squares(node):
        return
    dequantized = all(is_activation(dequantization_of(value)) for value in producer.inputs)
    if dequantized and _only_reader_quantizes(node.outputs[0]):
        _fuse(graph, node, "SquaredDifference", list(producer.inputs))


def _squares(node: ir.Node) -> bool:
    if node.op_type == "Mul":
        return node.inputs[0] is node.inputs[1]
    exponent = constant_input(node, 1)
    return exponent is not None and bool(np.all(exponent == 2))


def _reciprocal_root(graph: ir.Graph, node: ir.Node) -> None:
    """Sqrt, then Reciprocal, between DequantizeLinear and QuantizeLinear."""
    root = node.inputs[0]
    producer = None if root is None else root.producer()
    if producer is None or producer.op_type != "Sqrt" or not _reads_int8(producer):
        return
    if _only_reader_quantizes(node.outputs[0]):
        _fuse(graph, node, "Rsqrt", list(producer.inputs))


def _fuse(graph: ir.Graph, node: ir.Node, op_type: str, inputs: list[ir.Value | None]) -> None:
    fused = ir.node(op_type, inputs, domain=OWN_DOMAIN, name=node.name)
    _replace(graph, node, node.outputs[0], fused)
    graph.remove(node, safe=True)


_FUSIONS: dict[str, Callable[[ir.Graph, ir.Node], None]] = {
    "Mul": _squared_difference,
    "Pow": _squared_difference,
    "Reciprocal": _reciprocal_root,
}
