"""QDQ groups to integer operators, on the ONNX graph, where the user's names are.

DequantizeLinear -> operator [-> activation] -> QuantizeLinear becomes one node on int8 tensors: of
domain `edgecomp.integer` where arithmetic is involved (see `integer_ops`), the same ONNX operator
where elements only move. What has no integer meaning keeps its float form between DequantizeLinear
and QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.graph.qdq import (
    Quantization,
    dequantization_of,
    is_dequantize,
    is_quantize,
    quantization_of,
    quantized_source,
    requantizer_of,
)
from edgecomp.graph.quantizable import activation_inputs, fused_activation, why_float
from edgecomp.lowering import integer_moves, integer_ops
from edgecomp.lowering.integer_group import Group, Operand, requantized
from edgecomp.model import Model
from edgecomp_runtime.manifest import TensorSpec

BUILDERS: Mapping[str, Callable[[Group], list[ir.Node] | None]] = {
    "Conv": integer_ops.conv,
    "Gemm": integer_ops.dense,
    "MatMul": integer_ops.dense,
    "Add": integer_ops.binary,
    "Sub": integer_ops.binary,
    "Mul": integer_ops.binary,
    "Softmax": integer_ops.softmax,
    "Relu": integer_ops.table,
    "Clip": integer_ops.table,
    "LeakyRelu": integer_ops.table,
    "Elu": integer_ops.table,
    "HardSwish": integer_ops.table,
    "HardSigmoid": integer_ops.table,
    "Sigmoid": integer_ops.table,
    "Tanh": integer_ops.table,
    "ReduceMean": integer_moves.mean,
    "MaxPool": integer_moves.pool,
    "AveragePool": integer_moves.pool,
    "GlobalAveragePool": integer_moves.global_pool,
    "Concat": integer_moves.concat,
    "Reshape": integer_moves.move,
    "Flatten": integer_moves.move,
    "Transpose": integer_moves.move,
    "Squeeze": integer_moves.move,
    "Unsqueeze": integer_moves.move,
    "Slice": integer_moves.move,
    "Pad": integer_moves.pad,
}
"""What each operator of `edgecomp.graph.quantizable.RULES` becomes."""


def is_int8(quantization: Quantization | None) -> bool:
    """Whether the tensor is int8 with one scale."""
    return quantization is not None and quantization.dtype == "int8" and quantization.per_tensor


def lower_integer(model: Model, integer_io: bool) -> Model:
    """`model` with its QDQ groups as integer nodes.

    Args:
        model: any imported model; one without QDQ comes back as it is.
        integer_io: take and give int8 where the model quantizes its inputs and outputs at once.

    Returns:
        A model whose signature says which inputs and outputs are int8, with scale and zero point.
    """
    graph = model.graph.clone()
    for node in list(graph.graph):
        if is_quantize(node):
            _lower_requantize(graph.graph, node)
        elif node.op_type in BUILDERS and why_float(node) is None:
            group = _match(graph.graph, node)
            if group is not None:
                _replace(group)
    inputs, outputs = model.inputs, model.outputs
    if integer_io:
        inputs = tuple(_strip_input(graph.graph, spec) for spec in inputs)
        outputs = tuple(_strip_output(graph.graph, spec, i) for i, spec in enumerate(outputs))
    common.RemoveUnusedNodesPass()(graph)
    return replace(model, graph=graph, inputs=inputs, outputs=outputs)


def _operand(value: ir.Value) -> Operand | None:
    source, quantization = quantized_source(value), dequantization_of(value)
    if source is None or quantization is None or not is_int8(quantization):
        return None
    return Operand(source, quantization)


def _match(graph: ir.Graph, node: ir.Node) -> Group | None:
    """The group around `node`, or None when it is not quantized on every side."""
    operands = [_operand(value) for value in activation_inputs(node)]
    activation = fused_activation(node)
    tail = (activation or node).outputs[0]
    quantizer = requantizer_of(tail)
    if quantizer is None and activation is not None:
        activation, quantizer = None, requantizer_of(node.outputs[0])
    result = None if quantizer is None else quantization_of(quantizer)
    if quantizer is None or result is None or not is_int8(result) or None in operands:
        return None
    found = tuple(operand for operand in operands if operand is not None)
    return Group(graph, node, activation, found, result, quantizer)


def _replace(group: Group) -> None:
    """Put the integer nodes of `group` before its QuantizeLinear and let them make its output."""
    nodes = BUILDERS[group.node.op_type](group)
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
    """QuantizeLinear of a DequantizeLinear: the same values on another grid."""
    value = node.inputs[0]
    source = None if value is None else _operand(value)
    result = quantization_of(node)
    if source is None or result is None or not is_int8(result) or source.value.is_initializer():
        return
    name = node.name or ""
    _take_over(graph, requantized(source.value, source.quantization, result, name), node)


def _quantized_spec(spec: TensorSpec, quantization: Quantization) -> TensorSpec:
    return replace(
        spec,
        dtype=quantization.dtype,
        scale=float(quantization.scale),
        zero_point=int(quantization.zero_point),
    )


def _strip_input(graph: ir.Graph, spec: TensorSpec) -> TensorSpec:
    """Let the program take the integers that a QuantizeLinear alone makes of this input."""
    value = next(v for v in graph.inputs if v.name == spec.name)
    quantizer = requantizer_of(value)
    quantization = None if quantizer is None else quantization_of(quantizer)
    if quantizer is None or quantization is None or not is_int8(quantization):
        return spec
    quantized = quantizer.outputs[0]
    taken = ir.Value(name=spec.name, shape=quantized.shape, type=quantized.type)
    value.name = f"{spec.name} as float"
    graph.inputs[list(graph.inputs).index(value)] = taken
    quantized.replace_all_uses_with(taken, replace_graph_outputs=True)
    graph.remove(quantizer, safe=True)
    return _quantized_spec(spec, quantization)


def _strip_output(graph: ir.Graph, spec: TensorSpec, index: int) -> TensorSpec:
    """Let the program give the integers of a final DequantizeLinear."""
    producer = graph.outputs[index].producer()
    quantization = None if producer is None else quantization_of(producer)
    if producer is None or quantization is None or not is_dequantize(producer):
        return spec
    source = producer.inputs[0]
    if source is None or not is_int8(quantization) or source.is_graph_output():
        return spec
    if source.is_graph_input() or source.is_initializer():
        return spec
    graph.outputs[index].name = f"{spec.name} as float"
    graph.outputs[index] = source
    source.name = spec.name
    return _quantized_spec(spec, quantization)
