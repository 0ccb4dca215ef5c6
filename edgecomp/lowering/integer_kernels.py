"""TIR for each integer node, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import quantization_of
from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.graph.values import constant_input, dtype_of
from edgecomp.lowering.integer_group import DOMAIN, is_activation
from edgecomp.lowering.kernels import conv, elementwise, pool, resize, transpose_conv
from edgecomp.lowering.kernels.softmax import softmax
from edgecomp.lowering.kernels_of_curves import CURVES
from edgecomp.lowering.kernels_of_functions import FUNCTIONS
from edgecomp.lowering.kernels_of_moves import INDEXED, MOVEMENT
from edgecomp.lowering.kernels_of_pairs import PAIRS
from edgecomp.lowering.kernels_of_reductions import REDUCTIONS
from edgecomp.lowering.lowered import (
    Lowered,
    binary_scales,
    element_type,
    image_shape,
    input_shape,
    int_list,
    int_of,
    multiplier_of,
    output_shape,
    rescale_of,
)


def _conv_shape(node: ir.Node, filters: int, kernel: tuple[int, int]) -> conv.ConvShape:
    strides, dilations = int_list(node, "strides"), int_list(node, "dilations")
    top, left, bottom, right = int_list(node, "pads")
    return conv.ConvShape(
        image_shape(input_shape(node)),
        filters,
        kernel,
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (dilations[0], dilations[1]),
        int_of(node, "group"),
    )


def _weights_type(node: ir.Node) -> str:
    value = node.inputs[1]
    assert value is not None, "a weighted node has weights"
    return dtype_of(value)


def _conv(node: ir.Node) -> Lowered:
    weights = input_shape(node, 1)
    shape = _conv_shape(node, weights[0], (weights[1], weights[2]))
    macs = int(np.prod(output_shape(node))) * int(np.prod(weights[1:]))
    zero_point = int_of(node, "input_zero_point")
    rescale, kind = rescale_of(node), _weights_type(node)
    work = conv.ConvWork(shape, zero_point, rescale) if _is_narrow(rescale, kind) else None
    return Lowered(conv.conv2d(shape, zero_point, rescale, kind), "conv2d", macs, work=work)


def _is_narrow(rescale: conv.Rescale, weights: str) -> bool:
    """Whether targets that bring kernels of their own know these types."""
    return rescale.element == "int8" and weights == "int8"


def _depthwise(node: ir.Node) -> Lowered:
    height, width, channels = input_shape(node, 1)
    shape = _conv_shape(node, channels, (height, width))
    macs = int(np.prod(output_shape(node))) * height * width
    zero_point = int_of(node, "input_zero_point")
    rescale, kind = rescale_of(node), _weights_type(node)
    work = conv.ConvWork(shape, zero_point, rescale) if _is_narrow(rescale, kind) else None
    func = conv.depthwise_conv2d(shape, zero_point, rescale, kind)
    return Lowered(func, "depthwise_conv2d", macs, work=work)


def _dense(node: ir.Node) -> Lowered:
    units, depth = input_shape(node, 1)
    rows = int(np.prod(input_shape(node)[:-1]))
    rescale, kind = rescale_of(node), _weights_type(node)
    work = conv.DenseWork(rows, depth, units, rescale) if _is_narrow(rescale, kind) else None
    func = conv.dense(rows, depth, units, rescale, kind)
    return Lowered(func, "dense", rows * depth * units, work=work)


def _sum(node: ir.Node) -> Lowered:
    subtract = node.op_type == "Sub"
    work = elementwise.AddWork(
        input_shape(node), input_shape(node, 1), binary_scales(node), subtract
    )
    func = elementwise.add(work.a, work.b, work.scales, subtract)
    return Lowered(func, "elementwise", work=work if work.scales.element == "int8" else None)


def _product(node: ir.Node) -> Lowered:
    scales = binary_scales(node)
    a, b = input_shape(node), input_shape(node, 1)
    if a == b:
        return _map(node, lambda shape: elementwise.multiply(shape, shape, scales), operands=2)
    return Lowered(elementwise.multiply(a, b, scales), "elementwise")


def _map(
    node: ir.Node,
    kernel: Callable[[tuple[int, ...]], Any],
    operands: int = 1,
    inputs: tuple[int, ...] | None = None,
) -> Lowered:
    """An operator on elements at the same place."""
    elements = (element_type(node), dtype_of(node.outputs[0]))
    work = elementwise.MapWork(input_shape(node), kernel, operands, elements)
    return Lowered(work.build(), "elementwise", inputs=inputs, work=work)


def _pool_shape(node: ir.Node) -> pool.PoolShape:
    kernel, strides = int_list(node, "kernel"), int_list(node, "strides")
    top, left, bottom, right = int_list(node, "pads")
    out = output_shape(node)
    return pool.PoolShape(
        image_shape(input_shape(node)),
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (out[1], out[2]),
    )


def _max_pool(node: ir.Node) -> Lowered:
    work = pool.PoolWork(_pool_shape(node), False, element_type(node))
    return Lowered(work.build(), "pool2d", work=work)


def _average_pool(node: ir.Node) -> Lowered:
    rounds_up = bool(int_of(node, "rounds_up"))
    work = pool.PoolWork(_pool_shape(node), True, element_type(node), rounds_up)
    return Lowered(work.build(), "pool2d", work=work)


def _mean(node: ir.Node) -> Lowered:
    zero_points = (int_of(node, "input_zero_point"), int_of(node, "zero_point"))
    work = pool.MeanWork(image_shape(input_shape(node)), *zero_points, multiplier_of(node))
    element = element_type(node)
    func = pool.mean(work, element)
    return Lowered(func, "pool2d", work=work if element == "int8" else None)


def _softmax(node: ir.Node) -> Lowered:
    shape = input_shape(node)
    scale = node.attributes["scale"].as_float()
    rows, result = int(np.prod(shape[:-1])), dtype_of(node.outputs[0])
    return Lowered(softmax(rows, shape[-1], scale, result=result), "softmax")


def _lookup(node: ir.Node) -> Lowered:
    return _map(node, elementwise.lookup)


def _requantize(node: ir.Node) -> Lowered:
    zero_points = (int_of(node, "input_zero_point"), int_of(node, "zero_point"))
    multiplier, elements = multiplier_of(node), (element_type(node), dtype_of(node.outputs[0]))

    def kernel(shape: tuple[int, ...]) -> Any:
        return elementwise.requantize(shape, zero_points[0], multiplier, zero_points[1], elements)

    return _map(node, kernel)


def _quantize(node: ir.Node) -> Lowered:
    quantization = quantization_of(node)
    assert quantization is not None
    grid = float(quantization.scale), int(quantization.zero_point), quantization.dtype
    return _map(node, lambda shape: elementwise.quantize(shape, *grid), inputs=(0,))


def _dequantize(node: ir.Node) -> Lowered:
    quantization = quantization_of(node)
    assert quantization is not None
    grid = float(quantization.scale), int(quantization.zero_point), quantization.dtype
    return _map(node, lambda shape: elementwise.dequantize(shape, *grid), inputs=(0,))


def _conv_transpose(node: ir.Node) -> Lowered:
    weights, out = input_shape(node, 1), output_shape(node)
    strides, pads = int_list(node, "strides"), int_list(node, "pads")
    shape = transpose_conv.TransposeConvShape(
        image_shape(input_shape(node)),
        (out[1], out[2], out[3]),
        (weights[1], weights[2]),
        (strides[0], strides[1]),
        (pads[0], pads[1]),
        int_of(node, "group"),
    )
    macs = int(np.prod(out)) * int(np.prod(shape.taps)) * weights[3]
    func = transpose_conv.conv2d_transpose(
        shape, int_of(node, "input_zero_point"), rescale_of(node), _weights_type(node)
    )
    return Lowered(func, "conv_transpose", macs)


def _resize_linear(node: ir.Node) -> Lowered:
    shape, out = image_shape(input_shape(node)), output_shape(node)
    corners, half = bool(int_of(node, "align_corners")), bool(int_of(node, "half_pixel"))
    rows = resize.Interpolation(shape[1], out[1], corners, half)
    columns = resize.Interpolation(shape[2], out[2], corners, half)
    return Lowered(
        resize.bilinear(shape, rows, columns, element_type(node)),
        "elementwise",
    )


INTEGER: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Conv": _conv,
    "DepthwiseConv": _depthwise,
    "Dense": _dense,
    "Add": _sum,
    "Sub": _sum,
    "Mul": _product,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "Mean": _mean,
    "Softmax": _softmax,
    "Lookup": _lookup,
    "Requantize": _requantize,
    "ConvTranspose": _conv_transpose,
    "ResizeLinear": _resize_linear,
    **CURVES,
    **PAIRS,
    **REDUCTIONS,
    **INDEXED,
}
"""Nodes of `edgecomp.integer`."""


def _is_edge(node: ir.Node) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear is between float32 and an activation."""
    return is_activation(quantization_of(node))


def lower_node(node: ir.Node) -> Lowered | None:
    """The kernel of `node`; None when it is an operator for the float path."""
    if node.domain == DOMAIN:
        return INTEGER[node.op_type](node)
    if node.domain == OWN_DOMAIN and node.op_type in FUNCTIONS:
        return FUNCTIONS[node.op_type](node)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and _is_edge(node):
        return _quantize(node) if node.op_type == "QuantizeLinear" else _dequantize(node)
    if node.op_type in MOVEMENT and constant_input(node, 0) is None:
        return MOVEMENT[node.op_type](node)
    return None
