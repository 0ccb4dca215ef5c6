"""Quantization that lets gradients pass.

Forward, every number is exactly the one the integers stand for. Backward, rounding counts as if it
were not there and saturation stops the gradient (the straight-through estimator: Bengio et al.
2013, arXiv 1308.3432). A scale that is learned gets the gradient of LSQ (Esser et al. 2020, arXiv
1902.08153), for that is what follows when QuantizeLinear and DequantizeLinear share it.

Integers between the two are held as float32, which is exact up to 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch

from edgecomp.training.operators.arguments import Operator, along

LIMITS: Mapping[ir.DataType, tuple[int, int]] = {
    ir.DataType.INT2: (-2, 1),
    ir.DataType.UINT2: (0, 3),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT16: (-(2**15), 2**15 - 1),
    ir.DataType.UINT16: (0, 2**16 - 1),
    ir.DataType.INT32: (-(2**31), 2**31 - 1),
}
"""The least and the greatest number of each quantized type."""


def spread(values: Any, shape: tuple[int, ...], axis: int, block: int) -> Any:
    """A scale or zero point shaped to broadcast over a tensor of `shape`.

    Args:
        values: one number for the tensor, for each channel, or for each block along `axis`.
        shape: of the quantized tensor.
        axis: of the channels or blocks.
        block: elements that share a number along `axis`; 0 where `values` are not by blocks.
    """
    if block:
        repeated = values.repeat_interleave(block, dim=axis)
        return repeated.narrow(axis, 0, shape[axis])
    if values.numel() == 1:
        return values.reshape(())
    return along(values, axis, len(shape))


def to_integers(x: Any, scale: Any, zero_point: Any, low: int, high: int) -> Any:
    """round(x / scale) + zero_point within the limits, in float32; see the module on gradients."""
    steps = x / scale
    zero = 0.0 if zero_point is None else zero_point.to(torch.float32)
    inside = torch.clamp(steps, low - zero, high - zero)
    # adding a difference that is exactly 0 gives the rounded value the gradient of `inside`
    rounded = torch.clamp(torch.round(steps).detach() + zero, low, high)
    return rounded + (inside - inside.detach())


def _quantize(node: ir.Node, x: Any, scale: Any, zero_point: Any = None) -> Any:
    dtype = node.outputs[0].dtype
    if dtype is None or dtype not in LIMITS:
        raise RuntimeError(f"quantization to {dtype} is not known")
    axis, block = node.attributes.get_int("axis", 1), node.attributes.get_int("block_size", 0)
    shape = tuple(x.shape)
    zero = None if zero_point is None else spread(zero_point, shape, axis, block)
    return to_integers(x, spread(scale, shape, axis, block), zero, *LIMITS[dtype])


def _dequantize(node: ir.Node, x: Any, scale: Any, zero_point: Any = None) -> Any:
    axis, block = node.attributes.get_int("axis", 1), node.attributes.get_int("block_size", 0)
    shape = tuple(x.shape)
    steps = x.to(torch.float32)
    if zero_point is not None:
        steps = steps - spread(zero_point, shape, axis, block).to(torch.float32)
    return steps * spread(scale, shape, axis, block)


QUANTIZATION: Mapping[str, Operator] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
