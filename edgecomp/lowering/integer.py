"""QDQ groups to integer operators, on the ONNX graph, where the user's names are.

DequantizeLinear -> operator [-> activation] -> QuantizeLinear becomes one node on int8 tensors: of
domain `edgecomp.integer` where arithmetic is involved (see `integer_ops`), the same ONNX operator
where elements only move. What has no integer meaning keeps its float form between DequantizeLinear
and QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.graph.qdq import (
    Quantization,
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
from edgecomp.graph.unsigned import SIGNED, is_unsigned, signed_zero_point
from edgecomp.graph.values import dtype_of
from edgecomp.lowering.integer_builders import builder_of
from edgecomp.lowering.integer_chain import chain_table
from edgecomp.lowering.integer_edges import strip_input, strip_output, strip_state
from edgecomp.lowering.integer_group import (
    Group,
    Operand,
    add_constant,
    integer_node,
    is_activation,
    is_int8,
    requantized,
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
    return (
        Group(graph, node, activation, found, result, quantizer) if result.dtype in types else None
    )


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
    value = node.inputs[0]
    source = None if value is None else _operand(value)
    result = quantization_of(node)
    if _changes_sign(value, result):
        _flip(graph, node)
        return
    if result is None or not is_activation(result):
        return
    if source is None and value is not None and is_int8(result):
        chain = chain_table(graph, value, result)
        if chain is not None:
            _take_over(graph, chain, node)
    if source is None or source.value.is_initializer():
        return
    name = node.name or ""
    _take_over(graph, requantized(source.value, source.quantization, result, name), node)


def _changes_sign(value: ir.Value | None, result: Quantization | None) -> bool:
    """Whether a QuantizeLinear only makes signed integers unsigned or back: the same numbers."""
    before = dequantization_of(value)
    if before is None or result is None or before.scale != result.scale:
        return False
    signed, other = (result, before) if is_unsigned(before) else (before, result)
    if not is_unsigned(other) or not signed.per_tensor:
        return False
    same_width = SIGNED[other.dtype][0] == signed.dtype
    return same_width and int(signed_zero_point(other)) == int(signed.zero_point)


def _flip(graph: ir.Graph, node: ir.Node) -> None:
    """Replace DequantizeLinear, QuantizeLinear of one grid by turning the sign bit."""
    source = quantized_source(node.inputs[0])
    output = node.outputs[0]
    assert source is not None, "the value before is dequantized"
    name = node.name or str(output.name)
    to_unsigned = dtype_of(source) not in SIGNED
    wanted = output.dtype
    assert wanted is not None, "what a QuantizeLinear makes has a type"
    kind = dtype_of(output if to_unsigned else source)
    bit = add_constant(graph, f"{name} sign bit", np.array(SIGNED[kind][1], kind))
    to = {"to": int(wanted)}
    if to_unsigned:
        cast = integer_node("Cast", [source], f"{name} as bits", "Cast", to, domain="")
        cast.outputs[0].type = ir.TensorType(wanted)
        turned = integer_node("BitwiseXor", [cast.outputs[0], bit], name, "Requantize", domain="")
        nodes = [cast, turned]
    else:
        turned = integer_node("BitwiseXor", [source, bit], f"{name} turned", "Cast", domain="")
        cast = integer_node("Cast", [turned.outputs[0]], name, "Requantize", to, domain="")
        nodes = [turned, cast]
    nodes[0].outputs[0].name = f"{output.name} as bits"
    _take_over(graph, nodes, node)
