"""int8 weights and int32 bias of one node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.quantizable import weight_axis
from edgecomp.graph.values import constant_input
from edgecomp.passes.ranges import SMALLEST_SCALE

INT4_LIMIT = 7
"""The largest weight of 4 bits, symmetric."""

BIAS_LIMIT = 2**30
"""Largest bias: half of int32 is left to the sum of products."""

SMALLEST_SHARE = 2.0**-20
"""Scale of a channel at least, as a share of the largest: smaller weights vanish in int8 anyway."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FloatWeights:
    """What a Conv, Gemm or MatMul multiplies and adds, its attributes alpha and beta multiplied in.

    Attributes:
        weights: float32, as stored in the model.
        axis: their output channel axis.
        bias: float32 [channels], or None.
    """

    weights: Floats
    axis: int
    bias: Floats | None


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    """The integer form of `FloatWeights`.

    Attributes:
        weights: int8, -limit to limit, zero point 0.
        scale: float32, [channels] per channel or [] per tensor.
        axis: the channel axis.
        bias: int32 [channels], zero point 0, or None.
        input_scale: scale of the activations they multiply.
        limit: the largest integer a weight may be: 127, or 7 of int4.
    """

    weights: npt.NDArray[np.int8]
    scale: Floats
    axis: int
    bias: npt.NDArray[np.int32] | None
    input_scale: float
    limit: int = 127

    @property
    def bias_scale(self) -> Floats:
        """float32 of the shape of `scale`: input scale times weight scale."""
        return np.asarray(np.float32(self.input_scale) * self.scale, np.float32)

    def error(self, exact: FloatWeights) -> npt.NDArray[np.float64]:
        """What rounding added to each weight, float64 of the shape of the weights."""
        scale = along(self.scale, self.axis, self.weights.ndim).astype(np.float64)
        return self.weights * scale - exact.weights.astype(np.float64)


def along(values: npt.NDArray[Any], axis: int, rank: int) -> npt.NDArray[Any]:
    """`values` ([channels] or []) shaped to broadcast along `axis` of an array of `rank` axes."""
    if values.ndim == 0:
        return values
    return values.reshape([-1 if place == axis else 1 for place in range(rank)])


def float_weights(node: ir.Node) -> FloatWeights:
    """The weights and bias of `node`, an integer node whose rule is `Role.WEIGHTED`."""
    weights, bias = constant_input(node, 1), constant_input(node, 2)
    assert weights is not None, "the rule demands constant weights"
    axis = weight_axis(node)
    if node.op_type == "Gemm":
        weights = weights * np.float32(node.attributes.get_float("alpha", 1.0))
        if bias is not None:
            bias = bias * np.float32(node.attributes.get_float("beta", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[axis]).astype(np.float32)
    return FloatWeights(np.asarray(weights, np.float32), axis, bias)


def quantize_weights(
    exact: FloatWeights, input_scale: float, per_channel: bool, limit: int = 127
) -> QuantizedWeights:
    """Round to the nearest, each channel (or the tensor) scaled so that its largest is `limit`.

    The scale is larger where the bias would not fit its integers otherwise. Of a channel without
    weights it is that of the largest channel.

    Args:
        exact: the float weights.
        input_scale: scale of the activations they multiply.
        per_channel: whether each output channel has a scale of its own.
        limit: the largest integer, 127 or 7.
    """
    others = tuple(place for place in range(exact.weights.ndim) if place != exact.axis)
    largest = np.abs(exact.weights).max(axis=others if per_channel else None).astype(np.float64)
    most = max(float(largest.max()) / limit, SMALLEST_SCALE)
    scale = np.where(largest == 0, most, np.maximum(largest / limit, most * SMALLEST_SHARE))
    scale = with_room_for_bias(scale, exact.bias, input_scale)
    steps = np.rint(exact.weights / along(scale, exact.axis, exact.weights.ndim))
    weights = np.clip(steps, -limit, limit).astype(np.int8)
    rounded = QuantizedWeights(weights, scale, exact.axis, None, input_scale, limit)
    if exact.bias is None:
        return rounded
    return replace(rounded, bias=round_bias(exact.bias, rounded.bias_scale))


def with_room_for_bias(
    scale: npt.NDArray[np.float64], bias: Floats | None, input_scale: float
) -> Floats:
    """Scales of weights ([channels] or []), larger where the bias would not fit its integers."""
    if bias is not None:
        needed = np.abs(bias).astype(np.float64) / (input_scale * BIAS_LIMIT)
        scale = np.maximum(scale, needed if scale.ndim else needed.max())
    return scale.astype(np.float32)


def round_bias(bias: npt.NDArray[Any], scale: Floats) -> npt.NDArray[np.int32]:
    """`bias` [channels] in steps of `scale` ([channels] or []), to the nearest."""
    steps = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.asarray(np.clip(steps, -(2**31), 2**31 - 1), np.int32)
