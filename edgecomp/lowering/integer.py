"""QDQ groups to integer operators, on the ONNX graph, where the user's names are.

DequantizeLinear -> operator [-> activation] -> QuantizeLinear becomes one node on int8 tensors: of
domain `edgecomp.integer` where arithmetic is involved (see `integer_ops`), the same ONNX operator
where elements only move. What has no integer meaning keeps its float form between DequantizeLinear
and QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.graph.qdq import (
    dequantization_of,
    is_quantize,
    quantization_of,
    quantized_source,
    requantizer_of,
)
from edgecomp.graph.quantizable import (
    Role,
    activation_inputs,
    fused_activation,
    rule_of,
    why_float,
)
from edgecomp.lowering.integer_builders import builder_of
from edgecomp.lowering.integer_chain import chain_table
from edgecomp.lowering.integer_edges import strip_input, strip_output, strip_state
from edgecomp.lowering.integer_grids import regrid
from edgecomp.lowering.integer_group import (
    Group,
    Operand,
    is_activation,
    is_int8,
)
from edgecomp.lowering.integer_prepare import prepare
from edgecomp.model import Model


def lower_integer(model: Model, integer_io: bool) -> Model:
    """`model` with its QDQ groups as integer nodes.

    Args:
        model: any imported model; one without QDQ comes back as it is.
        integer_io: take and give int8 where the model quantizes its inputs and outputs at once.

    Returns:
        A model whose signature says which inputs and outputs are int8, with scale and zero point.
    """
    graph = model.graph.clone()
    prepare(graph.graph)
    for node in list(graph.graph):
        if is_quantize(node):
            _lower_requantize(graph.graph, node)
        elif rule_of(node) is not None and why_float(node) is None:
            group = _match(graph.graph, node)
            if group is not None:
                _replace(group)
    inputs, outputs = model.inputs, model.outputs
    if integer_io:
        inputs = tuple(strip_input(graph.graph, spec) for spec in inputs)
        outputs = tuple(strip_output(graph.graph, spec) for spec in outputs)
    states = tuple(strip_state(graph.graph, state) for state in model.states)
    common.RemoveUnusedNodesPass()(graph)
    return replace(model, graph=graph, inputs=inputs, outputs=outputs, states=states)


def _operand(value: ir.Value) -> Operand | None:
    source, quantization = quantized_source(value), dequantization_of(value)
    if source is None or quantization is None or not is_activation(quantization):
        return None
    return Operand(source, quantization)


def _match(graph: ir.Graph, node: ir.Node) -> Group | None:
    """The group around `node`, or None when it is not quantized on every side."""
    rule = rule_of(node)
    operands = [_operand(value) for value in activation_inputs(node)]
    found = tuple(operand for operand in operands if operand is not None)
    # slopes are weights, whose type is their own
    data = found[:1] if node.op_type == "PRelu" else found
    types = {operand.quantization.dtype for operand in data}
    if rule is None or None in operands or len(types) != 1:
        return None
    if rule.role is Role.ANSWER:
        return Group(graph, node, None, found, found[0].quantization, node)
    activation = fused_activation(node)
    tail = (activation or node).outputs[0]
    quantizer = requantizer_of(tail)
    if quantizer is None and activation is not None:
        activation, quantizer = None, requantizer_of(node.outputs[0])
    result = None if quantizer is None else quantization_of(quantizer)
    if quantizer is None or result is None or not is_activation(result):
        return None
    if result.dtype not in types and node.op_type != "Softmax":
        return None
    return Group(graph, node, activation, found, result, quantizer)


def _replace(group: Group) -> None:
    """Put the integer nodes of `group` before its QuantizeLinear and let them make its output."""
    nodes = builder_of(group.node)(group)
    if nodes is not None:
        _take_over(group.graph, nodes, group.quantizer)


def _take_over(graph: ir.Graph, nodes: Sequence[ir.Node], old: ir.Node) -> None:
    new, previous = nodes[-1].outputs[0], old.outputs[0]
    new.shape, new.type = previous.shape, previous.type
    graph.insert_before(old, nodes)
    name = previous.name
    previous.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(old, safe=True)
    new.name = name


def _lower_requantize(graph: ir.Graph, node: ir.Node) -> None:
    """QuantizeLinear of a DequantizeLinear, or of a function of one: the same on another grid."""
    value, result = node.inputs[0], quantization_of(node)
    nodes = regrid(graph, node)
    if nodes is None and value is not None and result is not None and is_int8(result):
        nodes = chain_table(graph, value, result) if _operand(value) is None else None
    if nodes is not None:
        _take_over(graph, nodes, node)
