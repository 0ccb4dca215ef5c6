"""The integer operators that compute: what each QDQ group becomes, as nodes of `DOMAIN`.

Image operators are NCHW here; `layout` makes them NHWC. Their weights are [O, KH, KW, I] already.
All quantities are integers; a real multiplier is a mantissa and a shift (see `fixed_point`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.long_bias import constant_bias
from edgecomp.graph.qdq import Quantization, quantized_constant
from edgecomp.graph.values import constant_input, constant_of, input_at, shape_of
from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import LARGEST_WIDE_SHIFT, LIMITS, Multiplier
from edgecomp.lowering.integer_group import (
    Group,
    Operand,
    add_constant,
    full_rank,
    integer_node,
    requantized,
    reshape_node,
)
from edgecomp.lowering.tables import lookup_table


def weighted(
    group: Group,
    weights: npt.NDArray[Any],
    scales: npt.NDArray[np.float32],
    factors: Sequence[Multiplier],
    fold: bool = True,
) -> tuple[list[ir.Value], dict[str, Any]] | None:
    """Inputs after the activations, and common attributes, of Conv and Dense; `weights` [O, ...].

    With `fold` the input's zero point goes into the bias: sum((x - z) w) + b = sum(x w) +
    (b - z sum(w)).
    None when a bias does not fit 32 bits, or 48 beside int16 activations, or when sums of products
    with int16 weights may not, or when a multiplier is too large.
    """
    node, channels = group.node, weights.shape[0]
    product = group.operands[0].scale * scales.astype(np.float32)
    bias = _integer_bias(node, channels, product)
    sums = weights.reshape(channels, -1).astype(np.int64).sum(axis=1)
    folded = bias - group.operands[0].zero_point * sums if fold else bias
    wide = group.result.dtype == "int16"
    limit = 2**47 if wide else 2**31 - 1
    if np.abs(folded).max(initial=0) > limit or np.abs(bias).max(initial=0) > limit:
        return None
    if wide and max(factor.shift for factor in factors) > LARGEST_WIDE_SHIFT:
        return None
    if weights.dtype != np.int8 and _largest_sum(weights, folded, group.operands[0]) > limit:
        return None
    kind = np.int64 if wide else np.int32
    name = node.name or node.op_type
    values = [
        add_constant(group.graph, f"{name} weights", weights),
        add_constant(group.graph, f"{name} bias", folded.astype(kind)),
        add_constant(
            group.graph, f"{name} multipliers", np.array([m.mantissa for m in factors], np.int32)
        ),
        add_constant(group.graph, f"{name} shifts", np.array([m.shift for m in factors], np.int8)),
    ]
    low, high = group.limits()
    attributes = {
        "input_zero_point": group.operands[0].zero_point,
        "zero_point": group.zero_point,
        "low": low,
        "high": high,
    }
    return values, attributes


def _largest_sum(weights: npt.NDArray[Any], bias: npt.NDArray[np.int64], source: Operand) -> int:
    """The largest size a sum can have, with a border of zero points or without."""
    low, high = LIMITS[source.quantization.dtype]
    size = max(-low, high) + abs(source.zero_point)
    sums = np.abs(weights.reshape(len(weights), -1).astype(np.int64)).sum(axis=1)
    return int((sums * size + np.abs(bias)).max(initial=0))


def _integer_bias(
    node: ir.Node, channels: int, product: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """The bias at scale `product` = input scale * weight scale; zeros without one."""
    value = input_at(node, 2)
    if value is None:
        return np.zeros(channels, np.int64)
    quantized = constant_bias(value)
    if quantized is not None and np.allclose(quantized[1].scale, product, rtol=1e-6, atol=0):
        return np.broadcast_to(quantized[0].astype(np.int64).reshape(-1), (channels,)).copy()
    content = constant_of(value)
    real = quantized[1].dequantize(quantized[0]) if quantized is not None else content
    assert real is not None, "the bias is constant: `quantizable` demands it"
    steps = np.rint(real.astype(np.float64).reshape(-1) / product.astype(np.float64))
    return np.broadcast_to(steps.astype(np.int64), (channels,)).copy()


def integer_weights(node: ir.Node) -> tuple[npt.NDArray[Any], Quantization] | None:
    """Constant int8 or int16 weights with zero point 0, and their scales; else None."""
    quantized = quantized_constant(node.inputs[1])
    if quantized is None or quantized[1].dtype not in LIMITS or quantized[1].zero_point.any():
        return None
    return quantized[0], quantized[1]


def conv(group: Group) -> list[ir.Node] | None:
    """1-d or 2-d convolution with constant integer weights; None where that is not so."""
    node = group.node
    weights = integer_weights(node)
    if weights is None or weights[1].axis not in (None, 0):
        return None
    content, quantization = weights
    one_dimensional = content.ndim == 3
    if one_dimensional:
        content = content[:, :, None, :]
    attributes = node.attributes
    strides = two(attributes.get_ints("strides", [1, 1]))
    dilations = two(attributes.get_ints("dilations", [1, 1]))
    pads = four(attributes.get_ints("pads", [0, 0, 0, 0]))
    scales = np.broadcast_to(quantization.scale.reshape(-1), (content.shape[0],))
    factors = multipliers.conv_multipliers(group.operands[0].scale, scales, group.result.scale)
    common = weighted(group, content.transpose(0, 2, 3, 1), scales, factors)
    if common is None:
        return None
    values, shared = common
    geometry = {
        "kernel": list(content.shape[2:]),
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "group": attributes.get_int("group", 1),
    }

    depthwise = attributes.get_int("group", 1) > 1 and content.shape[1] == 1
    if depthwise:
        taps = content[:, 0].transpose(1, 2, 0)
        values[0] = add_constant(group.graph, f"{node.name} taps", taps)

    def build(image: ir.Value) -> ir.Node:
        name, op_type = node.name or node.op_type, "DepthwiseConv" if depthwise else "Conv"
        return integer_node(op_type, [image, *values], name, group.label, {**geometry, **shared})

    x = group.operands[0].value
    return as_image(group, x, build) if one_dimensional else [build(x)]


def as_image(group: Group, x: ir.Value, build: Callable[[ir.Value], ir.Node]) -> list[ir.Node]:
    """Nodes that run a 2-d operator on [N, C, L] as on [N, C, 1, L]."""
    batch, channels, length = shape_of(x)
    out = shape_of(group.quantizer.outputs[0])
    name = group.node.name or group.node.op_type
    before = reshape_node(group.graph, x, (batch, channels, 1, length), f"{name} as image")
    middle = build(before.outputs[0])
    middle.outputs[0].shape = ir.Shape([out[0], out[1], 1, out[2]])
    after = reshape_node(group.graph, middle.outputs[0], out, f"{name} as sequence")
    return [before, middle, after]


def two(values: Sequence[int]) -> list[int]:
    """(height, width) of an attribute of one or two axes; a sequence has height 1."""
    return list(values) if len(values) == 2 else [1, *values]


def four(pads: Sequence[int]) -> list[int]:
    """(top, left, bottom, right) of ONNX pads of one or two axes."""
    return list(pads) if len(pads) == 4 else [0, pads[0], 0, pads[1]]


def dense(group: Group) -> list[ir.Node] | None:
    """Gemm or MatMul with a constant integer matrix; None where that is not so."""
    node = group.node
    weights = integer_weights(node)
    attributes = node.attributes
    if attributes.get_float("alpha", 1.0) != 1.0 or attributes.get_float("beta", 1.0) != 1.0:
        return None
    if weights is None:
        return None
    content, quantization = weights
    transposed = node.op_type == "Gemm" and attributes.get_int("transB", 0) == 1
    if quantization.axis not in (None, 0 if transposed else 1):
        return None
    matrix = content if transposed else content.T
    scales = np.broadcast_to(quantization.scale.reshape(-1), (matrix.shape[0],))
    source, result = group.operands[0].scale, group.result.scale
    if quantization.per_tensor:
        factors = [multipliers.dense_multiplier(source, quantization.scale, result)] * len(matrix)
    else:
        factors = multipliers.conv_multipliers(source, scales, result)
    common = weighted(group, matrix, scales, factors)
    if common is None:
        return None
    values, shared = common
    return [
        integer_node(
            "Dense",
            [group.operands[0].value, *values],
            node.name or node.op_type,
            group.label,
            shared,
        )
    ]


def binary(group: Group) -> list[ir.Node] | None:
    """Add, Sub or Mul of two tensors, with broadcasting."""
    if len(group.operands) != 2:
        return None
    left, right = group.operands
    if group.node.op_type == "Mul":
        inputs = (Multiplier(0, 0), Multiplier(0, 0))
        output = multipliers.mul_multiplier(left.scale, right.scale, group.result.scale)
    else:
        wide = group.result.dtype == "int16"
        both = multipliers.add_multipliers(
            left.scale,
            right.scale,
            group.result.scale,
            multipliers.WIDE_ADD_LEFT_SHIFT if wide else multipliers.ADD_LEFT_SHIFT,
        )
        inputs, output = both.inputs, both.output
    low, high = group.limits()
    attributes = {
        "zero_points": [left.zero_point, right.zero_point],
        "mantissas": [inputs[0].mantissa, inputs[1].mantissa, output.mantissa],
        "shifts": [inputs[0].shift, inputs[1].shift, output.shift],
        "zero_point": group.zero_point,
        "low": low,
        "high": high,
    }
    name = group.node.name or group.node.op_type
    values = [full_rank(group, operand.value) for operand in group.operands]
    return [integer_node(group.node.op_type, values, name, group.label, attributes)]


def table(group: Group) -> list[ir.Node] | None:
    """Any function of one element: a table of its 256 values."""
    node = group.node
    attributes = {
        key: float(attribute.value)
        for key, attribute in node.attributes.items()
        if attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.INT)
    }
    attributes["approximate"] = float(node.attributes.get_string("approximate", "none") == "tanh")
    if node.op_type == "Clip":
        low, high = constant_input(node, 1), constant_input(node, 2)
        attributes["min"] = -np.inf if low is None else float(low)
        attributes["max"] = np.inf if high is None else float(high)
    table = lookup_table(node.op_type, attributes, group.operands[0].quantization, group.result)
    name = node.name or node.op_type
    constant = add_constant(group.graph, f"{name} table", table)
    return [integer_node("Lookup", [group.operands[0].value, constant], name, group.label)]


def softmax(group: Group) -> list[ir.Node]:
    """Softmax of int8 over the last axis; its own result has the whole range of its type."""
    name, kind = group.node.name or "Softmax", np.dtype(group.result.dtype)
    attributes = {"scale": float(group.operands[0].scale)}
    node = integer_node("Softmax", [group.operands[0].value], name, group.label, attributes)
    node.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(kind))
    scale = np.float32(2.0 ** (-8 * kind.itemsize)).reshape(())
    zero_point = np.array(LIMITS[kind.name][0], kind)
    fixed = Quantization(scale, zero_point, kind.name, None)
    if group.result.same_as(fixed):
        return [node]
    return [node, *requantized(node.outputs[0], fixed, group.result, f"{name} requantize")]
