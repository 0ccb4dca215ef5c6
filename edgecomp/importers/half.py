"""16-bit floats are kept as such in files and signatures, and computed in float32.

No small device computes in them, and a float32 result is the more accurate one. Constants become
float32; inputs and outputs of 16 bits are converted where the program begins and ends.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.values import constant_of

HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})

_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes that name an element type."""


def widen_halves(graph: ir.Graph) -> bool:
    """Compute in float32 what the graph computes in 16-bit floats, in place.

    Returns:
        Whether there was anything to do; shapes and types have to be inferred again then.
    """
    values = [*graph.inputs, *graph.initializers.values()]
    values += [value for node in graph for value in node.outputs]
    if not any(value.dtype in HALVES for value in values):
        return False
    for node in graph:
        _widen_attributes(node)
        for value in node.outputs:
            _note(value)
    for value in list(graph.initializers.values()):
        _widen_constant(value)
    for value in graph.inputs:
        if value.dtype in HALVES:
            _cast_input(graph, value)
    for index, value in enumerate(graph.outputs):
        _cast_output(graph, index, value)
    return True


def _note(value: ir.Value) -> None:
    """Give a computed value its new type, and remember the old one of an output."""
    if value.dtype in HALVES:
        if value.is_graph_output():
            value.metadata_props["half"] = value.dtype.name
        value.type = ir.TensorType(ir.DataType.FLOAT)


def _widen_attributes(node: ir.Node) -> None:
    for name in _TYPE_ATTRIBUTES:
        if node.attributes.get_int(name, 0) in HALVES:
            node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT)
    tensor = node.attributes.get("value")
    if tensor is not None and tensor.type == ir.AttributeType.TENSOR:
        content = tensor.as_tensor()
        if content.dtype in HALVES:
            wide = ir.tensor(content.numpy().astype(np.float32), name=content.name)
            node.attributes["value"] = ir.AttrTensor("value", wide)


def _widen_constant(value: ir.Value) -> None:
    content = constant_of(value)
    if value.dtype not in HALVES or content is None:
        return
    value.const_value = ir.tensor(content.astype(np.float32), name=value.name)
    value.type = ir.TensorType(ir.DataType.FLOAT)


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    cast = ir.node("Cast", [value], attributes={"to": int(ir.DataType.FLOAT)})
    wide = cast.outputs[0]
    wide.name, wide.shape = f"{value.name}_float32", value.shape
    wide.type = ir.TensorType(ir.DataType.FLOAT)
    value.replace_all_uses_with(wide)
    cast.replace_input_with(0, value)
    graph.insert_before(graph[0], cast)


def _cast_output(graph: ir.Graph, index: int, value: ir.Value) -> None:
    half = value.metadata_props.pop("half", None)
    if half is None:
        return
    cast = ir.node("Cast", [value], attributes={"to": int(ir.DataType[half])})
    narrow = cast.outputs[0]
    narrow.name, value.name = value.name, f"{value.name}_float32"
    narrow.shape, narrow.type = value.shape, ir.TensorType(ir.DataType[half])
    graph.append(cast)
    graph.outputs[index] = narrow
