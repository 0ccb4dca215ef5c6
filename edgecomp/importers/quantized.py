"""Bring the quantization of other tools to the one form the integer path knows, exactly.

Activations int8; weights int8 with zero point 0, as constants behind one DequantizeLinear. Every
step keeps each real number as it is: uint8 with zero point z is int8 with z - 128.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.build import Replacement
from edgecomp.graph.edit import add_constant
from edgecomp.graph.qdq import (
    Quantization,
    is_dequantize,
    is_quantize,
    quantization_of,
)
from edgecomp.graph.values import constant_of

MOVES = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose outputs are among their input's values: they keep its scale."""

NARROW = frozenset({"int4", "uint4", "int2", "uint2"})
"""Element types of weights that are kept as int8."""


def normalise_quantization(graph: ir.Graph) -> None:
    """Rewrite QuantizeLinear and DequantizeLinear in place; all shapes must be noted."""
    for node in list(graph):
        if is_quantize(node):
            _quantize_constant(graph, node)
    for node in list(graph):
        if is_dequantize(node):
            _signed_weights(graph, node)
    for node in list(graph):
        if node.op_type == "Transpose" and node.domain == "":
            _transpose_weights(graph, node)
    for node in list(graph):
        if node.op_type in MOVES and node.domain == "" and len(node.outputs) == 1:
            _move_reals(graph, node)
    for node in list(graph):
        if is_quantize(node):
            _signed_activation(graph, node)
    for value in graph.inputs:
        if value.dtype == ir.DataType.UINT8:
            _signed_input(graph, value)


def _along(array: npt.NDArray[Any], rank: int, axis: int | None) -> npt.NDArray[Any]:
    """Parameters of each channel in a shape that broadcasts over a tensor of `rank` axes."""
    if axis is None:
        return array
    shape = [1] * rank
    shape[axis] = -1
    return array.reshape(shape)


def _quantize_constant(graph: ir.Graph, node: ir.Node) -> None:
    """The integers that a QuantizeLinear makes of a constant, in its place."""
    content, quantization = constant_of(node.inputs[0]), quantization_of(node)
    if content is None or quantization is None or quantization.dtype not in _RANGES:
        return
    low, high = _RANGES[quantization.dtype]
    scale = _along(quantization.scale, content.ndim, quantization.axis)
    zero_point = _along(quantization.zero_point, content.ndim, quantization.axis)
    steps = np.rint(content.astype(np.float32) / scale) + zero_point.astype(np.float32)
    integers = np.clip(steps, low, high).astype(quantization.dtype)
    _replace(graph, node, integers)


WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose integer kernels take weights with zero point 0 only."""

_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
}


def _replace(graph: ir.Graph, node: ir.Node, content: npt.NDArray[Any]) -> None:
    output = node.outputs[0]
    if output.is_graph_output():
        return
    constant = add_constant(graph, f"{output.name}_constant", content)
    output.replace_all_uses_with(constant)
    graph.remove(node, safe=True)


def _signed_weights(graph: ir.Graph, node: ir.Node) -> None:
    """Constants as int8 with zero point 0 where that holds all values; floats where nothing does.

    Values of 4 bits fit. A uint8 constant fits unless some value lies over 127 from the zero point.
    """
    content, quantization = constant_of(node.inputs[0]), quantization_of(node)
    if content is None or node.outputs[0].is_graph_output():
        return
    if quantization is None:
        _unpack_blocks(graph, node, content)
        return
    if quantization.dtype not in NARROW | {"int8", "uint8"}:
        return
    zero_point = quantization.zero_point.astype(np.int64)
    if quantization.dtype == "int8" and not zero_point.any():
        return
    centred = content.astype(np.int64) - _along(zero_point, content.ndim, quantization.axis)
    if centred.min(initial=0) >= -128 and centred.max(initial=0) <= 127:
        zeros = np.zeros(quantization.scale.shape, np.int8)
        _requantified(graph, node, centred.astype(np.int8), quantization, zeros)
    elif all(use.node.op_type in WEIGHTED for use in node.outputs[0].uses()):
        # no integer kernel takes such weights; dequantized here, the floats need no RAM
        _replace(graph, node, quantization.dequantize(content))


def _requantified(
    graph: ir.Graph,
    node: ir.Node,
    content: npt.NDArray[Any],
    quantization: Quantization,
    zero_point: npt.NDArray[Any],
) -> None:
    """Let a DequantizeLinear read `content` with `zero_point` in place of what it read."""
    base = node.outputs[0].name
    node.replace_input_with(0, add_constant(graph, f"{base}_int8", content))
    node.replace_input_with(1, add_constant(graph, f"{base}_scale", quantization.scale))
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, f"{base}_zero_point", zero_point))
    if quantization.axis is not None:
        node.attributes["axis"] = ir.AttrInt64("axis", quantization.axis)


def _unpack_blocks(graph: ir.Graph, node: ir.Node, content: npt.NDArray[Any]) -> None:
    """Weights with a scale for each block have no integer meaning; they become floats."""
    scale, block = constant_of(node.inputs[1]), node.attributes.get_int("block_size", 0)
    if scale is None or block == 0:
        return
    zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    axis = node.attributes.get_int("axis", 1)

    def spread(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        repeated = np.repeat(array.astype(np.float32), block, axis=axis)
        return repeated.take(np.arange(content.shape[axis]), axis=axis)

    centred = content.astype(np.float32) - (0 if zero is None else spread(zero))
    _replace(graph, node, (centred * spread(scale)).astype(np.float32))


def _transpose_weights(graph: ir.Graph, node: ir.Node) -> None:
    """Transpose(DequantizeLinear(constant)) as DequantizeLinear(transposed constant)."""
    source = node.inputs[0]
    producer = None if source is None else source.producer()
    if producer is None or not is_dequantize(producer) or node.outputs[0].is_graph_output():
        return
    content, quantization = constant_of(producer.inputs[0]), quantization_of(producer)
    if content is None or quantization is None:
        return
    order = list(node.attributes.get_ints("perm", tuple(reversed(range(content.ndim)))))
    new = Replacement(graph, node)
    attributes = {} if quantization.axis is None else {"axis": order.index(quantization.axis)}
    inputs = [new.constant(np.ascontiguousarray(content.transpose(order))), *producer.inputs[1:]]
    new.finish(new.add("DequantizeLinear", *inputs, **attributes))


def _signed_activation(graph: ir.Graph, node: ir.Node) -> None:
    """QuantizeLinear to uint8, and the DequantizeLinears after it, in int8."""
    quantization, output = quantization_of(node), node.outputs[0]
    readers = [use.node for use in output.uses()]
    if not _is_uint8(quantization) or not all(_reads_uint8(reader) for reader in readers):
        return
    is_output = output.is_graph_output()
    if is_output and not readers and _changes_sign(node):
        return
    assert quantization is not None, "it is uint8"
    for reader in readers:
        _read_signed(graph, reader)
    new = Replacement(graph, node)
    scale, zero_point = _signed_parameters(new, quantization)
    signed = new.add("QuantizeLinear", node.inputs[0], scale, zero_point)
    signed.type, signed.shape = ir.TensorType(ir.DataType.INT8), output.shape
    if is_output:
        # the user's uint8: the same numbers on its own grid
        real = new.add("DequantizeLinear", signed, scale, zero_point)
        real.type, real.shape = ir.TensorType(ir.DataType.FLOAT), output.shape
        new.finish(new.add("QuantizeLinear", real, *node.inputs[1:]))
        for reader in readers:
            reader.replace_input_with(0, signed)
    else:
        new.finish(signed)
        signed.type = ir.TensorType(ir.DataType.INT8)


def _signed_parameters(new: Replacement, quantization: Quantization) -> tuple[ir.Value, ir.Value]:
    """Scale and int8 zero point that stand for the same numbers as a uint8 `quantization`."""
    shifted = np.asarray(int(quantization.zero_point) - 128, np.int8)
    return new.constant(quantization.scale), new.constant(shifted)


def _is_uint8(quantization: Quantization | None) -> bool:
    return quantization is not None and quantization.dtype == "uint8" and quantization.per_tensor


def _reads_uint8(reader: ir.Node) -> bool:
    return is_dequantize(reader) and _is_uint8(quantization_of(reader))


def _changes_sign(node: ir.Node) -> bool:
    """Whether `node` brings int8 to uint8 already, with the same real numbers."""
    source = node.inputs[0]
    producer = None if source is None else source.producer()
    before = None if producer is None else quantization_of(producer)
    return before is not None and before.dtype == "int8" and is_dequantize(producer)


def _read_signed(graph: ir.Graph, reader: ir.Node) -> None:
    """Let a DequantizeLinear of uint8 have the parameters of the same numbers in int8."""
    quantization, base = quantization_of(reader), reader.outputs[0].name
    assert quantization is not None, "it reads uint8"
    shifted = np.asarray(int(quantization.zero_point) - 128, np.int8)
    reader.replace_input_with(1, add_constant(graph, f"{base}_scale", quantization.scale))
    if len(reader.inputs) < 3:
        reader.resize_inputs(3)
    reader.replace_input_with(2, add_constant(graph, f"{base}_zero_point", shifted))


def _signed_input(graph: ir.Graph, value: ir.Value) -> None:
    """A uint8 input that DequantizeLinears read: brought to int8 once, on the same grid."""
    for reader in [use.node for use in value.uses() if use.idx == 0]:
        quantization = quantization_of(reader)
        if not _reads_uint8(reader) or quantization is None:
            continue
        if all(is_quantize(use.node) for use in reader.outputs[0].uses()):
            continue
        new = Replacement(graph, reader)
        scale, zero_point = _signed_parameters(new, quantization)
        real = new.add("DequantizeLinear", *reader.inputs)
        signed = new.add("QuantizeLinear", real, scale, zero_point)
        real.shape, real.type = value.shape, ir.TensorType(ir.DataType.FLOAT)
        signed.shape, signed.type = value.shape, ir.TensorType(ir.DataType.INT8)
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
