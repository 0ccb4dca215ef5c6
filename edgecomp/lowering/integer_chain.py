"""Element-wise operators in a row as one table of 256 values.

Whatever is computed from one int8 tensor and scalars alone, element by element, is a function of
one int8. The table holds what ONNX's reference implementation gives for the float32 operators,
rounded as QuantizeLinear rounds.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir

from edgecomp.graph.qdq import Quantization, dequantization_of, quantized_source
from edgecomp.graph.values import constant_of, elements_of, shape_of
from edgecomp.lowering.float_groups import ELEMENTWISE
from edgecomp.lowering.integer_group import add_constant, integer_node
from edgecomp.lowering.tables import INPUTS, Table

_EXCLUDED = frozenset({"BatchNormalization", "PRelu"})
# A longer chain is not worth the search.
_LONGEST = 32


def chain_table(graph: ir.Graph, value: ir.Value, result: Quantization) -> list[ir.Node] | None:
    """A Lookup that makes `value`, quantized by `result`; None where it is no such function."""
    chain = _collect(value)
    if chain is None:
        return None
    nodes, leaves = chain
    sources = {quantized_source(leaf) for leaf in leaves}
    source, quantization = sources.pop(), dequantization_of(leaves[0])
    if sources or source is None or quantization is None or constant_of(source) is not None:
        return None
    same = all(_same(dequantization_of(leaf), quantization) for leaf in leaves)
    if not same or not quantization.per_tensor or quantization.dtype != "int8":
        return None
    if shape_of(source) != shape_of(value):
        return None
    table = _evaluate(nodes, leaves, value, quantization, result)
    name = nodes[-1].name or str(value.name)
    constant = add_constant(graph, f"{name} table", table)
    label = "+".join(node.op_type for node in nodes)
    return [integer_node("Lookup", [source, constant], name, label)]


def _same(found: Quantization | None, wanted: Quantization) -> bool:
    return found is not None and found.same_as(wanted)


def _collect(value: ir.Value) -> tuple[list[ir.Node], list[ir.Value]] | None:
    """The element-wise nodes that compute `value`, in order, and the dequantized values read."""
    nodes: list[ir.Node] = []
    leaves: list[ir.Value] = []
    seen: set[ir.Value] = set()

    def visit(current: ir.Value) -> bool:
        if current in seen:
            return True
        seen.add(current)
        if constant_of(current) is not None:
            return elements_of(current) == 1
        if quantized_source(current) is not None:
            leaves.append(current)
            return True
        producer = current.producer()
        if producer is None or producer.domain != "" or len(nodes) >= _LONGEST:
            return False
        if producer.op_type not in ELEMENTWISE - _EXCLUDED or len(producer.outputs) != 1:
            return False
        if not all(visit(read) for read in producer.inputs if read is not None):
            return False
        nodes.append(producer)
        return True

    return (nodes, leaves) if visit(value) and nodes and leaves else None


def _evaluate(
    nodes: list[ir.Node],
    leaves: list[ir.Value],
    value: ir.Value,
    source: Quantization,
    result: Quantization,
) -> Table:
    constants = {
        str(read.name): content
        for node in nodes
        for read in node.inputs
        if read is not None and (content := constant_of(read)) is not None
    }
    inputs = [str(leaf.name) for leaf in leaves]
    graph = onnx.helper.make_graph(
        [_proto(node) for node in nodes],
        "chain",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inputs],
        [onnx.helper.make_tensor_value_info(str(value.name), onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    real = source.dequantize(INPUTS)
    with np.errstate(all="ignore"):
        (values,) = onnx.reference.ReferenceEvaluator(model).run(None, dict.fromkeys(inputs, real))
        steps = np.rint(np.asarray(values, np.float32).reshape(-1) / result.scale)
    bounded = np.nan_to_num(steps, nan=0.0, posinf=1024.0, neginf=-1024.0)
    return np.asarray(np.clip(bounded + int(result.zero_point), -128, 127), np.int8)


def _proto(node: ir.Node) -> onnx.NodeProto:
    return ir.serde.serialize_node(node)
