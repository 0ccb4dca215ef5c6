"""Bring the quantization of other tools to the one form the integer path knows, exactly.

Activations int8 or int16; weights with zero point 0, as constants behind one DequantizeLinear.
Every step keeps each real number as it is: uint8 with zero point z is int8 with z - 128, and so it
is with 16 bits.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.build import Replacement
from edgecomp.graph.edit import add_constant
from edgecomp.graph.qdq import (
    Quantization,
    is_dequantize,
    is_quantize,
    quantization_of,
)
from edgecomp.graph.unsigned import SIGNED, is_unsigned, note_rounding, signed_zero_point
from edgecomp.importers.quantized_constants import (
    quantize_constant,
    signed_weights,
    transpose_weights,
)

MOVES = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose outputs are among their input's values: they keep its scale."""


def normalise_quantization(graph: ir.Graph) -> None:
    """Rewrite QuantizeLinear and DequantizeLinear in place; all shapes must be noted."""
    for node in list(graph):
        if is_quantize(node):
            quantize_constant(graph, node)
    for node in list(graph):
        if is_dequantize(node):
            signed_weights(graph, node)
    for node in list(graph):
        if node.op_type == "Transpose" and node.domain == "":
            transpose_weights(graph, node)
    for node in list(graph):
        if node.op_type in MOVES and node.domain == "" and len(node.outputs) == 1:
            _move_reals(graph, node)
    for node in list(graph):
        if is_quantize(node):
            _signed_activation(graph, node)
    for value in graph.inputs:
        if value.dtype in (ir.DataType.UINT8, ir.DataType.UINT16):
            _signed_input(graph, value)


def _signed_activation(graph: ir.Graph, node: ir.Node) -> None:
    """QuantizeLinear to unsigned integers, and the DequantizeLinears after it, in signed ones."""
    quantization, output = quantization_of(node), node.outputs[0]
    readers = [use.node for use in output.uses()]
    if not is_unsigned(quantization) or not all(map(_reads_unsigned, readers)):
        return
    is_output = output.is_graph_output()
    if is_output and not readers and _changes_sign(node):
        return
    assert quantization is not None, "it is unsigned"
    kind = ir.TensorType(_signed_type(quantization))
    for reader in readers:
        _read_signed(graph, reader)
    new = Replacement(graph, node)
    scale, zero_point = _signed_parameters(new, quantization)
    signed = new.add("QuantizeLinear", node.inputs[0], scale, zero_point)
    signed.type, signed.shape = kind, output.shape
    if is_output:
        # the user's own: the same numbers on its own grid
        real = new.add("DequantizeLinear", signed, scale, zero_point)
        real.type, real.shape = ir.TensorType(ir.DataType.FLOAT), output.shape
        new.finish(new.add("QuantizeLinear", real, *node.inputs[1:]))
        for reader in readers:
            reader.replace_input_with(0, signed)
    else:
        new.finish(signed)
        signed.type = kind


def _signed_type(quantization: Quantization) -> ir.DataType:
    return ir.DataType.from_numpy(np.dtype(SIGNED[quantization.dtype][0]))


def _signed_parameters(new: Replacement, quantization: Quantization) -> tuple[ir.Value, ir.Value]:
    """Scale and signed zero point that stand for the same numbers as an unsigned `quantization`."""
    return new.constant(quantization.scale), new.constant(signed_zero_point(quantization))


def _reads_unsigned(reader: ir.Node) -> bool:
    return is_dequantize(reader) and is_unsigned(quantization_of(reader))


def _changes_sign(node: ir.Node) -> bool:
    """Whether `node` brings signed integers to unsigned ones already: the same real numbers."""
    source = node.inputs[0]
    producer = None if source is None else source.producer()
    before = None if producer is None else quantization_of(producer)
    return before is not None and before.dtype in ("int8", "int16") and is_dequantize(producer)


def _read_signed(graph: ir.Graph, reader: ir.Node) -> None:
    """Let a DequantizeLinear have the parameters of the same numbers in signed integers."""
    quantization, base = quantization_of(reader), reader.outputs[0].name
    assert quantization is not None, "it reads unsigned integers"
    shifted = signed_zero_point(quantization)
    reader.replace_input_with(1, add_constant(graph, f"{base}_scale", quantization.scale))
    if len(reader.inputs) < 3:
        reader.resize_inputs(3)
    reader.replace_input_with(2, add_constant(graph, f"{base}_zero_point", shifted))
    note_rounding(reader.outputs[0])


def _signed_input(graph: ir.Graph, value: ir.Value) -> None:
    """An unsigned input that DequantizeLinears read: made signed once, on the same grid."""
    for reader in [use.node for use in value.uses() if use.idx == 0]:
        quantization = quantization_of(reader)
        if not _reads_unsigned(reader) or quantization is None:
            continue
        if all(is_quantize(use.node) for use in reader.outputs[0].uses()):
            continue
        note_rounding(reader.outputs[0])
        new = Replacement(graph, reader)
        scale, zero_point = _signed_parameters(new, quantization)
        real = new.add("DequantizeLinear", *reader.inputs)
        signed = new.add("QuantizeLinear", real, scale, zero_point)
        real.shape, real.type = value.shape, ir.TensorType(ir.DataType.FLOAT)
        signed.shape, signed.type = value.shape, ir.TensorType(_signed_type(quantization))
        new.finish(new.add("DequantizeLinear", signed, scale, zero_point))


def _move_reals(graph: ir.Graph, node: ir.Node) -> None:
    """An operator that moves the integers of a QuantizeLinear, moving what they stand for."""
    source, output = node.inputs[0], node.outputs[0]
    producer = None if source is None else source.producer()
    if source is None or producer is None or not is_quantize(producer):
        return
    quantization = quantization_of(producer)
    if quantization is None or not quantization.per_tensor:
        return
    new = Replacement(graph, node)
    parameters = producer.inputs[1:]
    attributes = {key: attribute.value for key, attribute in node.attributes.items()}
    real = new.add("DequantizeLinear", source, *parameters)
    moved = new.add(node.op_type, real, *node.inputs[1:], **attributes)
    integers = new.add("QuantizeLinear", moved, *parameters)
    for value, like, dtype in (
        (real, source, ir.DataType.FLOAT),
        (moved, output, ir.DataType.FLOAT),
        (integers, output, output.dtype),
    ):
        value.shape = like.shape
        value.type = None if dtype is None else ir.TensorType(dtype)
    name, moving = node.name, moved.producer()
    new.finish(integers)
    assert moving is not None, "it was just made"
    moving.name = name
