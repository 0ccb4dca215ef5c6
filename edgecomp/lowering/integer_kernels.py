"""TIR for each integer node, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import quantization_of
from edgecomp.graph.values import constant_input, constant_of, dtype_of, shape_of
from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.integer_group import DOMAIN
from edgecomp.lowering.kernels import conv, elementwise, movement, pool
from edgecomp.lowering.kernels.softmax import softmax


@dataclass(frozen=True)
class Lowered:
    """One kernel for one node.

    Attributes:
        func: TIR over the operands, in order: the node's inputs that are passed, then its output.
        schedule_as: the schedule a target picks.
        macs: multiply-accumulate operations.
        inputs: which of the node's inputs are operands.
        work: the same as values, for targets that bring a kernel of their own.
    """

    func: Any
    schedule_as: str
    macs: int = 0
    inputs: tuple[int, ...] | None = None
    work: Any = None


def _in(node: ir.Node, index: int = 0) -> tuple[int, ...]:
    value = node.inputs[index]
    assert value is not None
    return shape_of(value)


def _out(node: ir.Node) -> tuple[int, ...]:
    return shape_of(node.outputs[0])


def _ints(node: ir.Node, name: str) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name, []))


def _int(node: ir.Node, name: str) -> int:
    attribute = node.attributes[name]
    return attribute.as_int()


def _rescale(node: ir.Node) -> conv.Rescale:
    shifts = constant_of(node.inputs[4])
    assert shifts is not None
    only_down = bool((shifts <= 0).all())
    return conv.Rescale(_int(node, "zero_point"), _int(node, "low"), _int(node, "high"), only_down)


def _multiplier(node: ir.Node) -> Multiplier:
    return Multiplier(_int(node, "mantissa"), _int(node, "shift"))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    batch, height, width, channels = shape
    return batch, height, width, channels


def _conv(node: ir.Node) -> Lowered:
    weights = _in(node, 1)
    strides, dilations = _ints(node, "strides"), _ints(node, "dilations")
    top, left, bottom, right = _ints(node, "pads")
    shape = conv.ConvShape(
        _image(_in(node)),
        weights[0],
        (weights[1], weights[2]),
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (dilations[0], dilations[1]),
        _int(node, "group"),
    )
    macs = int(np.prod(_out(node))) * int(np.prod(weights[1:]))
    zero_point, rescale = _int(node, "input_zero_point"), _rescale(node)
    work = conv.ConvWork(shape, zero_point, rescale)
    return Lowered(conv.conv2d(shape, zero_point, rescale), "conv2d", macs, work=work)


def _depthwise(node: ir.Node) -> Lowered:
    height, width, channels = _in(node, 1)
    strides, dilations = _ints(node, "strides"), _ints(node, "dilations")
    top, left, bottom, right = _ints(node, "pads")
    shape = conv.ConvShape(
        _image(_in(node)),
        channels,
        (height, width),
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (dilations[0], dilations[1]),
        _int(node, "group"),
    )
    macs = int(np.prod(_out(node))) * height * width
    zero_point, rescale = _int(node, "input_zero_point"), _rescale(node)
    work = conv.ConvWork(shape, zero_point, rescale)
    func = conv.depthwise_conv2d(shape, zero_point, rescale)
    return Lowered(func, "depthwise_conv2d", macs, work=work)


def _dense(node: ir.Node) -> Lowered:
    units, depth = _in(node, 1)
    rows = int(np.prod(_in(node)[:-1]))
    work = conv.DenseWork(rows, depth, units, _rescale(node))
    func = conv.dense(rows, depth, units, work.rescale)
    return Lowered(func, "dense", rows * depth * units, work=work)


def _binary_scales(node: ir.Node) -> elementwise.BinaryScales:
    mantissas, shifts = _ints(node, "mantissas"), _ints(node, "shifts")
    first, second, output = map(Multiplier, mantissas, shifts)
    left, right = _ints(node, "zero_points")
    return elementwise.BinaryScales(
        (left, right),
        (first, second),
        output,
        _int(node, "zero_point"),
        _int(node, "low"),
        _int(node, "high"),
    )


def _sum(node: ir.Node) -> Lowered:
    subtract = node.op_type == "Sub"
    work = elementwise.AddWork(_in(node), _in(node, 1), _binary_scales(node), subtract)
    func = elementwise.add(work.a, work.b, work.scales, subtract)
    return Lowered(func, "elementwise", work=work)


def _product(node: ir.Node) -> Lowered:
    func = elementwise.multiply(_in(node), _in(node, 1), _binary_scales(node))
    return Lowered(func, "elementwise")


def _pool_shape(node: ir.Node) -> pool.PoolShape:
    kernel, strides = _ints(node, "kernel"), _ints(node, "strides")
    top, left, bottom, right = _ints(node, "pads")
    out = _out(node)
    return pool.PoolShape(
        _image(_in(node)),
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (out[1], out[2]),
    )


def _max_pool(node: ir.Node) -> Lowered:
    return Lowered(pool.max_pool(_pool_shape(node), -128, 127), "pool2d")


def _average_pool(node: ir.Node) -> Lowered:
    return Lowered(pool.average_pool(_pool_shape(node), -128, 127), "pool2d")


def _mean(node: ir.Node) -> Lowered:
    zero_points = (_int(node, "input_zero_point"), _int(node, "zero_point"))
    work = pool.MeanWork(_image(_in(node)), *zero_points, _multiplier(node))
    func = pool.mean(work.shape, *zero_points, work.multiplier)
    return Lowered(func, "pool2d", work=work)


def _softmax(node: ir.Node) -> Lowered:
    shape = _in(node)
    scale = node.attributes["scale"].as_float()
    return Lowered(softmax(int(np.prod(shape[:-1])), shape[-1], scale), "softmax")


def _lookup(node: ir.Node) -> Lowered:
    return Lowered(elementwise.lookup(_in(node)), "elementwise")


def _requantize(node: ir.Node) -> Lowered:
    func = elementwise.requantize(
        _in(node), _int(node, "input_zero_point"), _multiplier(node), _int(node, "zero_point")
    )
    return Lowered(func, "elementwise")


def _quantize(node: ir.Node) -> Lowered:
    quantization = quantization_of(node)
    assert quantization is not None
    func = elementwise.quantize(_in(node), float(quantization.scale), int(quantization.zero_point))
    return Lowered(func, "elementwise", inputs=(0,))


def _dequantize(node: ir.Node) -> Lowered:
    quantization = quantization_of(node)
    assert quantization is not None
    func = elementwise.dequantize(
        _in(node), float(quantization.scale), int(quantization.zero_point)
    )
    return Lowered(func, "elementwise", inputs=(0,))


def _dtype(node: ir.Node) -> str:
    value = node.inputs[0]
    assert value is not None
    return dtype_of(value)


def _transpose(node: ir.Node) -> Lowered:
    rank = len(_in(node))
    permutation = _ints(node, "perm") or tuple(reversed(range(rank)))
    return Lowered(movement.transpose(_in(node), _dtype(node), permutation), "movement")


def _concat(node: ir.Node) -> Lowered:
    shapes = [_in(node, index) for index in range(len(node.inputs))]
    axis = _int(node, "axis") % len(shapes[0])
    return Lowered(movement.concat(shapes, _dtype(node), axis), "movement")


def _identity(node: ir.Node) -> Lowered:
    return Lowered(movement.copy(_in(node), _dtype(node)), "movement", inputs=(0,))


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
}
"""Nodes of `edgecomp.integer`."""

MOVEMENT: Mapping[str, Callable[[ir.Node], Lowered]] = {
    "Transpose": _transpose,
    "Concat": _concat,
    "Identity": _identity,
}
"""ONNX operators that move elements of any type."""


def _is_int8_edge(node: ir.Node) -> bool:
    """Whether a QuantizeLinear or DequantizeLinear is between float32 and int8, one scale."""
    quantization = quantization_of(node)
    return quantization is not None and quantization.per_tensor and quantization.dtype == "int8"


def lower_node(node: ir.Node) -> Lowered | None:
    """The kernel of `node`; None when it is an operator for the float path."""
    if node.domain == DOMAIN:
        return INTEGER[node.op_type](node)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and _is_int8_edge(node):
        return _quantize(node) if node.op_type == "QuantizeLinear" else _dequantize(node)
    if node.op_type in MOVEMENT and constant_input(node, 0) is None:
        return MOVEMENT[node.op_type](node)
    return None
