"""Quantization as an ONNX graph says it: QuantizeLinear and DequantizeLinear around float ops.

real = scale * (q - zero_point), ONNX operator specification, opset 21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.values import constant_input, constant_of, dtype_of, shape_of

QUANTIZE = "QuantizeLinear"
DEQUANTIZE = "DequantizeLinear"


@dataclass(frozen=True, eq=False)
class Quantization:
    """Scale and zero point of a quantized tensor.

    Attributes:
        scale: float32, shape `()` per tensor, `[channels]` per channel.
        zero_point: same shape as `scale`, element type of the quantized tensor.
        dtype: numpy name of the quantized element type.
        axis: the channel axis (not negative), or None per tensor.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[Any]
    dtype: str
    axis: int | None

    @property
    def per_tensor(self) -> bool:
        """Whether one scale serves the whole tensor."""
        return self.axis is None

    def same_as(self, other: Quantization) -> bool:
        """Whether both stand for the same real numbers, bit for bit."""
        return (
            self.dtype == other.dtype
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def dequantize(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The float32 real numbers `values` (any shape; `axis` long enough) stand for."""
        scale, zero_point = self.scale, self.zero_point.astype(np.float32)
        if self.axis is not None:
            along = [1] * values.ndim
            along[self.axis] = -1
            scale, zero_point = scale.reshape(along), zero_point.reshape(along)
        return np.asarray((values.astype(np.float32) - zero_point) * scale, dtype=np.float32)


def is_quantize(node: ir.Node | None) -> bool:
    """Whether `node` is a QuantizeLinear of the ONNX domain."""
    return node is not None and node.op_type == QUANTIZE and node.domain == ""


def is_dequantize(node: ir.Node | None) -> bool:
    """Whether `node` is a DequantizeLinear of the ONNX domain."""
    return node is not None and node.op_type == DEQUANTIZE and node.domain == ""


def quantization_of(node: ir.Node) -> Quantization | None:
    """The parameters of a QuantizeLinear or DequantizeLinear `node`.

    None when they are no constants, are blocked (`block_size`), or when `node` is neither.
    """
    if not (is_quantize(node) or is_dequantize(node)):
        return None
    scale = constant_input(node, 1)
    if scale is None or node.attributes.get_int("block_size", 0) != 0:
        return None
    dtype = _quantized_dtype(node)
    zero_point = constant_input(node, 2)
    if zero_point is None:
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            return None
        zero_point = np.zeros(scale.shape, dtype=_quantized(node).dtype.numpy())  # type: ignore[union-attr]
    scale = np.asarray(scale, dtype=np.float32)
    if scale.size == 1:
        return Quantization(scale.reshape(()), zero_point.reshape(()), dtype, None)
    axis = node.attributes.get_int("axis", 1)
    quantized = node.inputs[0]
    if axis < 0 and quantized is not None:
        axis += len(shape_of(quantized))
    return Quantization(scale, zero_point, dtype, axis)


def _quantized_dtype(node: ir.Node) -> str:
    return dtype_of(_quantized(node))


def _quantized(node: ir.Node) -> ir.Value:
    """The tensor of integers that `node` makes or reads."""
    value = node.outputs[0] if is_quantize(node) else node.inputs[0]
    assert value is not None, "the checker demands the first input"
    return value


def quantized_source(value: ir.Value | None) -> ir.Value | None:
    """The integer tensor that `value` is the dequantization of; None when it is no dequantization.

    `value` is what a float op reads; the result is an initializer (weights) or what a
    QuantizeLinear made (activations).
    """
    if value is None:
        return None
    producer = value.producer()
    return producer.inputs[0] if producer is not None and is_dequantize(producer) else None


def is_quantized(value: ir.Value | None) -> bool:
    """Whether a QuantizeLinear makes `value`."""
    return value is not None and is_quantize(value.producer())


def dequantization_of(value: ir.Value | None) -> Quantization | None:
    """The parameters by which `value` (what a float op reads) was dequantized, or None."""
    producer = None if value is None else value.producer()
    return quantization_of(producer) if producer is not None and is_dequantize(producer) else None


def requantizer_of(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear that alone reads `value`; None when anything else reads it too.

    A graph output counts as a reader.
    """
    users = list(value.uses())
    if len(users) != 1 or value.is_graph_output() or not is_quantize(users[0].node):
        return None
    return users[0].node if users[0].idx == 0 else None


def quantized_constant(value: ir.Value | None) -> tuple[npt.NDArray[Any], Quantization] | None:
    """Integer content and parameters of a dequantized constant (weights, bias).

    None when `value` is not DequantizeLinear(constant) with constant parameters.
    """
    source = quantized_source(value)
    content = constant_of(source)
    parameters = dequantization_of(value)
    if content is None or parameters is None:
        return None
    return content, parameters


def qdq_pair(value: ir.Value) -> tuple[ir.Node, ir.Node] | None:
    """The (QuantizeLinear, DequantizeLinear) that a float `value` passes before its readers.

    None when it is not quantized, or the integer tensor has no DequantizeLinear. Where several
    DequantizeLinear read the integer tensor (one for each reader), the first is given.
    """
    for use in value.uses():
        if is_quantize(use.node) and use.idx == 0:
            for user in use.node.outputs[0].uses():
                if is_dequantize(user.node) and user.idx == 0:
                    return use.node, user.node
    return None
