"""Quantized constants in the one form the integer path knows, exactly; see `quantized`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.build import Replacement
from edgecomp.graph.edit import add_constant
from edgecomp.graph.qdq import Quantization, is_dequantize, quantization_of
from edgecomp.graph.unsigned import SIGNED, is_unsigned, signed_zero_point
from edgecomp.graph.values import constant_of

NARROW = frozenset({"int4", "uint4", "int2", "uint2"})
"""Element types of weights that are kept as int8."""


def _along(array: npt.NDArray[Any], rank: int, axis: int | None) -> npt.NDArray[Any]:
    """Parameters of each channel in a shape that broadcasts over a tensor of `rank` axes."""
    if axis is None:
        return array
    shape = [1] * rank
    shape[axis] = -1
    return array.reshape(shape)


def quantize_constant(graph: ir.Graph, node: ir.Node) -> None:
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


def signed_weights(graph: ir.Graph, node: ir.Node) -> None:
    """Constants with zero point 0: int8 where that holds all values, else int16.

    Values of 4 bits fit. A uint8 constant fits unless some value lies over 127 from the zero point.
    """
    content, quantization = constant_of(node.inputs[0]), quantization_of(node)
    if content is None or node.outputs[0].is_graph_output():
        return
    if quantization is None:
        _unpack_blocks(graph, node, content)
        return
    if quantization.dtype not in NARROW | _RANGES.keys():
        return
    if quantization.dtype == "int4" and not quantization.zero_point.any():
        return  # it stays packed; lowering gives it a byte for each element
    zero_point = quantization.zero_point.astype(np.int64)
    if quantization.dtype in ("int8", "int16") and not zero_point.any():
        return
    centred = content.astype(np.int64) - _along(zero_point, content.ndim, quantization.axis)
    are_weights = _only_weights(node.outputs[0])
    kinds = ("int8", "int16") if are_weights else () if "16" in quantization.dtype else ("int8",)
    kind = next((kind for kind in kinds if _fits(centred, kind)), None)
    if kind is not None:
        zeros = np.zeros(quantization.scale.shape, kind)
        _requantified(graph, node, centred.astype(kind), quantization, zeros)
    elif are_weights:
        # no integer kernel takes such weights; dequantized here, the floats need no RAM
        _replace(graph, node, quantization.dequantize(content))
    elif is_unsigned(quantization):
        signed, distance = SIGNED[quantization.dtype]
        shifted = (content.astype(np.int64) - distance).astype(signed)
        _requantified(graph, node, shifted, quantization, signed_zero_point(quantization))


def _fits(content: npt.NDArray[np.int64], dtype: str) -> bool:
    low, high = _RANGES[dtype]
    return bool(content.min(initial=0) >= low and content.max(initial=0) <= high)


def _only_weights(value: ir.Value) -> bool:
    """Whether all that reads `value`, directly or transposed, takes it as weights."""
    readers = [use.node for use in value.uses()]
    return bool(readers) and all(
        reader.op_type in WEIGHTED
        or (reader.op_type == "Transpose" and _only_weights(reader.outputs[0]))
        for reader in readers
    )


def _requantified(
    graph: ir.Graph,
    node: ir.Node,
    content: npt.NDArray[Any],
    quantization: Quantization,
    zero_point: npt.NDArray[Any],
) -> None:
    """Let a DequantizeLinear read `content` with `zero_point` in place of what it read."""
    base = node.outputs[0].name
    node.replace_input_with(0, add_constant(graph, f"{base}_signed", content))
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


def transpose_weights(graph: ir.Graph, node: ir.Node) -> None:
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
