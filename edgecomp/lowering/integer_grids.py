"""From one grid of integers to another, signed or not, where nothing lies between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import (
    Quantization,
    dequantization_of,
    quantization_of,
    quantized_source,
)
from edgecomp.graph.unsigned import SIGNED, is_unsigned, signed_zero_point
from edgecomp.graph.values import dtype_of
from edgecomp.lowering.integer_group import (
    add_constant,
    integer_node,
    is_activation,
    requantized,
)


def regrid(graph: ir.Graph, node: ir.Node) -> list[ir.Node] | None:
    """Nodes for a QuantizeLinear of what a DequantizeLinear makes, the last of which is its output.

    None where it is of something else, or where one of the grids has several scales.
    """
    value, result = node.inputs[0], quantization_of(node)
    source, before = quantized_source(value), dequantization_of(value)
    if source is None or before is None or result is None or source.is_initializer():
        return None
    if not _is_known(before) or not _is_known(result):
        return None
    name = node.name or str(node.outputs[0].name)
    nodes = _signed(graph, source, f"{name} signed") if is_unsigned(before) else []
    same = _signed_grid(before).same_as(_signed_grid(result))
    if not same or not (nodes or is_unsigned(result)):
        last = nodes[-1].outputs[0] if nodes else source
        nodes += requantized(last, _signed_grid(before), _signed_grid(result), name)
    if is_unsigned(result):
        last = nodes[-1].outputs[0] if nodes else source
        nodes += _unsigned(graph, last, result.dtype, f"{name} unsigned")
    return nodes


def _is_known(quantization: Quantization) -> bool:
    return is_activation(quantization) or is_unsigned(quantization)


def _signed_grid(quantization: Quantization) -> Quantization:
    """The grid of the signed integers that stand for the same numbers."""
    if not is_unsigned(quantization):
        return quantization
    kind = SIGNED[quantization.dtype][0]
    return replace(quantization, zero_point=signed_zero_point(quantization), dtype=kind)


def _signed(graph: ir.Graph, value: ir.Value, name: str) -> list[ir.Node]:
    """Unsigned integers with their top bit turned, as signed ones."""
    kind, distance = SIGNED[dtype_of(value)]
    bit = add_constant(graph, f"{name} bit", np.array(distance, dtype_of(value)))
    to = ir.DataType.from_numpy(np.dtype(kind))
    turned = integer_node("BitwiseXor", [value, bit], f"{name} bits", "Cast", domain="")
    cast = integer_node("Cast", turned.outputs, name, "Requantize", {"to": int(to)}, domain="")
    cast.outputs[0].type = ir.TensorType(to)
    return [turned, cast]


def _unsigned(graph: ir.Graph, value: ir.Value, kind: str, name: str) -> list[ir.Node]:
    """Signed integers as unsigned ones with their top bit turned."""
    to = ir.DataType.from_numpy(np.dtype(kind))
    bit = add_constant(graph, f"{name} bit", np.array(SIGNED[kind][1], kind))
    cast = integer_node("Cast", [value], f"{name} bits", "Cast", {"to": int(to)}, domain="")
    cast.outputs[0].type = ir.TensorType(to)
    turned = integer_node("BitwiseXor", [*cast.outputs, bit], name, "Requantize", domain="")
    return [cast, turned]
