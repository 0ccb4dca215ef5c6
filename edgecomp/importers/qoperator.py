"""Operators on quantized tensors as the standard's DequantizeLinear - operator - QuantizeLinear.

QLinearConv and its kind, of the ONNX standard and of onnxruntime (domain com.microsoft), say the
same in one node; the integer path knows one form. ConvInteger and MatMulInteger give plain sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecomp.graph.build import Replacement
from edgecomp.graph.values import constant_input, input_at, shape_of

MICROSOFT = "com.microsoft"

EXACT_FLOAT32 = 2**24
"""Integers up to this are exact in float32."""

Rule = Callable[[Replacement, ir.Node], Sequence[ir.Value] | None]


def _attributes(node: ir.Node, *names: str) -> dict[str, Any]:
    """The attributes of `node` by these names, those it has."""
    return {name: node.attributes[name].value for name in names if name in node.attributes}


def _real(new: Replacement, node: ir.Node, first: int, axis: int | None = None) -> ir.Value:
    """Input `first` as real numbers; scale and zero point are the inputs after it."""
    value, scale, zero_point = (input_at(node, first + i) for i in range(3))
    attributes: dict[str, Any] = {} if axis is None or _is_one(scale) else {"axis": axis}
    return new.add("DequantizeLinear", value, scale, zero_point, **attributes)


def _is_one(scale: ir.Value | None) -> bool:
    return scale is None or scale.shape is None or all(dim == 1 for dim in scale.shape.dims)


def _quantized(new: Replacement, value: ir.Value, node: ir.Node, scale: int) -> list[ir.Value]:
    """`value` on the grid that inputs `scale` and the one after it give."""
    zero_point = input_at(node, scale + 1)
    return [new.add("QuantizeLinear", value, input_at(node, scale), zero_point)]


def _conv(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    inputs = [_real(new, node, 0), _real(new, node, 3, axis=0)]
    bias = input_at(node, 8)
    if bias is not None:
        scales = constant_input(node, 1), constant_input(node, 4)
        if scales[0] is None or scales[1] is None:
            return None
        product = scales[0].astype(np.float32) * scales[1].astype(np.float32)
        inputs.append(_integer_bias(new, bias, product.reshape(-1)))
    return _quantized(new, new.add("Conv", *inputs, **_attributes(node, *names)), node, 6)


def _integer_bias(
    new: Replacement, bias: ir.Value, product: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> ir.Value:
    """An int32 bias of scale `product`, which has one element or one for each channel."""
    if product.size == 1:
        return new.add("DequantizeLinear", bias, new.constant(product.reshape(())))
    return new.add("DequantizeLinear", bias, new.constant(product), axis=0)


def _matmul(new: Replacement, node: ir.Node) -> list[ir.Value]:
    product = new.add("MatMul", _real(new, node, 0, axis=-2), _real(new, node, 3, axis=-1))
    return _quantized(new, product, node, 6)


def _gemm(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
    transposed = node.attributes.get_int("transB", 0)
    inputs = [_real(new, node, 0), _real(new, node, 3, axis=0 if transposed else 1)]
    bias = input_at(node, 6)
    alpha = node.attributes.get_float("alpha", 1.0)
    if bias is not None:
        scales = constant_input(node, 1), constant_input(node, 4)
        if scales[0] is None or scales[1] is None:
            return None
        product = np.float32(alpha) * scales[0] * scales[1]
        inputs.append(_integer_bias(new, bias, product.astype(np.float32).reshape(-1)))
    result = new.add("Gemm", *inputs, **_attributes(node, "alpha", "transA", "transB"))
    return [result] if input_at(node, 7) is None else _quantized(new, result, node, 7)


def _binary(op_type: str) -> Rule:
    def rule(new: Replacement, node: ir.Node) -> list[ir.Value]:
        result = new.add(op_type, _real(new, node, 0), _real(new, node, 3))
        return _quantized(new, result, node, 6)

    return rule


def _unary(op_type: str, *names: str) -> Rule:
    """One quantized tensor in; the output's scale is input 3."""

    def rule(new: Replacement, node: ir.Node) -> list[ir.Value] | None:
        if node.attributes.get_int("channels_last", 0):
            return None
        result = new.add(op_type, _real(new, node, 0), **_attributes(node, *names))
        return _quantized(new, result, node, 3)

    return rule


def _concat(new: Replacement, node: ir.Node) -> list[ir.Value]:
    parts = [_real(new, node, index) for index in range(2, len(node.inputs), 3)]
    return _quantized(new, new.add("Concat", *parts, **_attributes(node, "axis")), node, 0)


def _matmul_integer(new: Replacement, node: ir.Node) -> list[ir.Value]:
    return [new.add("MatMul", *(_centred(new, node, side, ir.DataType.INT32) for side in (0, 1)))]


def _conv_integer(new: Replacement, node: ir.Node) -> list[ir.Value]:
    """In floats, which hold every sum exactly: float32 where they are small enough."""
    weights = input_at(node, 1)
    taps = 1 if weights is None else int(np.prod(shape_of(weights)[1:]))
    wide = ir.DataType.FLOAT if taps * 255 * 255 <= EXACT_FLOAT32 else ir.DataType.DOUBLE
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    operands = [_centred(new, node, side, wide) for side in (0, 1)]
    total = new.add("Conv", *operands, **_attributes(node, *names))
    return [new.add("Cast", total, to=int(ir.DataType.INT32))]


def _centred(new: Replacement, node: ir.Node, side: int, dtype: ir.DataType) -> ir.Value:
    """Operand `side` less its zero point."""
    value = new.add("Cast", input_at(node, side), to=int(dtype))
    zero_point = input_at(node, 2 + side)
    if zero_point is None:
        return value
    offset = new.add("Cast", zero_point, to=int(dtype))
    rank = 0 if zero_point.shape is None else len(zero_point.shape)
    if rank == 1 and not _is_one(zero_point) and (side == 0 or node.op_type == "ConvInteger"):
        # one for each row of the first matrix, or each output channel of a convolution
        count = 1 if side == 0 else len(shape_of(input_at(node, 1))) - 1  # type: ignore[arg-type]
        offset = new.add("Reshape", offset, new.constant([-1] + [1] * count, "int64"))
    return new.add("Sub", value, offset)


def _standard(op_type: str) -> Rule:
    """onnxruntime's own copy of a standard operator."""

    def rule(new: Replacement, node: ir.Node) -> list[ir.Value]:
        inputs = list(node.inputs)
        return [new.add(op_type, *inputs, **_attributes(node, "axis", "block_size"))]

    return rule


_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")

RULES: Mapping[tuple[str, str], Rule] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    ("", "ConvInteger"): _conv_integer,
    ("", "MatMulInteger"): _matmul_integer,
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool", *_POOL),
    (MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu", "alpha"),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearSoftmax"): _unary("Softmax", "axis"),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QuantizeLinear"): _standard("QuantizeLinear"),
    (MICROSOFT, "DequantizeLinear"): _standard("DequantizeLinear"),
}
"""What replaces each operator, by domain and name."""


def expand_qoperators(graph: ir.Graph) -> None:
    """Replace every operator that `RULES` knows, in place."""
    for node in list(graph):
        rule = RULES.get((node.domain, node.op_type))
        if rule is None or (node.op_type == "ConvInteger" and not _has_shape(input_at(node, 1))):
            continue
        new = Replacement(graph, node)
        results = rule(new, node)
        if results is not None:
            new.finish(*results, main=_computed(results[0]))


def _computed(result: ir.Value) -> ir.Value:
    """`result` before it was brought to its element type: what the user's operator is about."""
    converter = result.producer()
    if converter is None or converter.op_type not in ("QuantizeLinear", "Cast"):
        return result
    before = input_at(converter, 0)
    maker = None if before is None else before.producer()
    return before if before is not None and maker is not None and maker.graph is None else result


def _has_shape(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and value.shape.is_static()
