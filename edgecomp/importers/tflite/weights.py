"""Weights and biases of TFLite's layers as ONNX has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecomp.graph.long_bias import PART, split_bias
from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context


def weights_of(context: Context, place: int, order: Sequence[int], channel_axis: int = 0) -> str:
    """Operand `place` with its axes in `order`, dequantized where the file quantizes it.

    Args:
        channel_axis: the axis of output channels in the result.
    """
    index = context.tensor(place)
    content = context.known(place)
    if content is None:
        if len(context.shape(place)) != len(order):
            raise context.refusal("its weights have the wrong number of axes")
        return context.emit("Transpose", context.read(place), perm=list(order))
    if content.ndim != len(order):
        raise context.refusal("its weights have the wrong number of axes")
    builder, name = context.values.builder, context.values.tensors[index].name
    scales = context.quantized(place)
    turned = builder.constant(content.transpose(order), f"{name}_weights")
    if scales is None:
        return turned
    attributes = {}
    if scales.scale.size > 1:
        attributes["axis"] = list(order).index(scales.axis)
        if attributes["axis"] != channel_axis:
            raise context.refusal("its weights have a scale for each of another axis than outputs")
    operands = [turned, *context.values.parameters(index)]
    return context.emit("DequantizeLinear", *operands, **attributes)


def bias_of(context: Context, place: int, weights_at: int, source_at: int = 0) -> list[str]:
    """The bias as operands: none, or one.

    An integer bias (int64 beside int16 activations) counts in units of input scale times weight
    scale, whatever scale the file writes beside it: that is how the reference kernels read it.
    """
    if not context.has(place):
        return []
    index = context.tensor(place)
    tensor = context.values.tensors[index]
    source, weights = context.quantized(source_at), context.quantized(weights_at)
    if tensor.dtype not in ("int32", "int64") or source is None or weights is None:
        return [context.read(place)]
    content = context.constant(place).astype(np.int64)
    product = np.float32(source.scale[0]) * weights.scale.astype(np.float32)
    if np.abs(content).max(initial=0) < PART:
        return [_bias(context, content.astype(np.int32), product)]
    if np.abs(content).max(initial=0) >= 2**62:
        raise context.refusal("its bias has more than 62 bits", "convert the model again")
    high, low = split_bias(content)
    parts = _bias(context, high, product * np.float32(PART)), _bias(context, low, product)
    return [context.emit("Add", *parts)]


def _bias(context: Context, content: Array, scale: Array) -> str:
    """A dequantized bias with one scale, or one for each channel."""
    attributes = {"axis": 0} if scale.size > 1 else {}
    scales = context.put(scale if scale.size > 1 else scale.reshape(()))
    return context.emit("DequantizeLinear", context.put(content), scales, **attributes)
