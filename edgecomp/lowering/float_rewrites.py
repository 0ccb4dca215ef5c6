"""Operators rewritten before TVM sees them: what its importer lacks, gets wrong or does slowly.

Each rewrite appends to the fragment nodes that compute the same and returns True, or returns False
and leaves the node to be copied as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.values import constant_input, constant_of, dtype_of, input_at, shape_of
from edgecomp.lowering.float_fragment import Fragment


def append(fragment: Fragment, node: ir.Node) -> None:
    """Append `node` to `fragment`, rewritten where `REWRITES` has a rule that applies."""
    rule = REWRITES.get(node.op_type)
    if rule is None or not rule(fragment, node):
        fragment.copy(node)


def _attributes(node: ir.Node) -> dict[str, Any]:
    plain = {name: attribute.value for name, attribute in node.attributes.items()}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in plain.items()}


def _per_channel(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    """A vector over axis 1 of a tensor of `rank` axes."""
    return array.reshape((1, -1) + (1,) * (rank - 2))


def _same_pads(node: ir.Node, window: list[int], strides: list[int], upper: bool) -> list[int]:
    """Explicit pads of SAME_UPPER (`upper`) or SAME_LOWER, beginnings first."""
    before, after = [], []
    extents = shape_of(node.inputs[0])[2:]  # type: ignore[arg-type]
    for extent, size, stride in zip(extents, window, strides, strict=True):
        total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return before + after


def _explicit_pads(node: ir.Node, kernel: list[int]) -> dict[str, Any]:
    """The attributes of a convolution or pool with `auto_pad` worked out."""
    attributes = _attributes(node)
    rank = len(kernel)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    window = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    auto_pad = attributes.pop("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        attributes["pads"] = _same_pads(node, window, strides, auto_pad == "SAME_UPPER")
    elif auto_pad == "VALID":
        attributes["pads"] = [0] * (2 * rank)
    return attributes | {"kernel_shape": kernel, "strides": strides, "dilations": dilations}


def _biased(fragment: Fragment, node: ir.Node, attributes: dict[str, Any]) -> bool:
    """A convolution without its bias, and the bias added in the shape that broadcasts."""
    bias = constant_input(node, 2)
    if input_at(node, 2) is not None and bias is None:
        return False
    inputs = [fragment.read(value) for value in node.inputs[:2]]
    if bias is None:
        fragment.add(node.op_type, inputs, [fragment.write(node.outputs[0])], **attributes)
        return True
    plain = fragment.add(node.op_type, inputs, **attributes)
    rank = len(shape_of(node.outputs[0]))
    operands = [plain, fragment.constant(_per_channel(bias, rank))]
    fragment.add("Add", operands, [fragment.write(node.outputs[0])])
    return True


def _kernel_of(node: ir.Node) -> list[int]:
    return list(shape_of(node.inputs[1])[2:])  # type: ignore[arg-type]


def _conv(fragment: Fragment, node: ir.Node) -> bool:
    return _biased(fragment, node, _explicit_pads(node, _kernel_of(node)))


def _conv_transpose(fragment: Fragment, node: ir.Node) -> bool:
    """Pads follow from the output's shape, which is known whether or not an attribute gives it."""
    attributes = _attributes(node)
    kernel = _kernel_of(node)
    rank = len(kernel)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    extra = attributes.get("output_padding", [0] * rank)
    mode = attributes.pop("auto_pad", "NOTSET")
    if attributes.pop("output_shape", None) is not None or mode != "NOTSET":
        before, after = [], []
        source, result = shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:]  # type: ignore[arg-type]
        for i in range(rank):
            window = (kernel[i] - 1) * dilations[i] + 1
            total = strides[i] * (source[i] - 1) + extra[i] + window - result[i]
            if total < 0:
                return False
            first = total // 2 if mode == "SAME_UPPER" else total - total // 2
            before.append(first)
            after.append(total - first)
        attributes["pads"] = before + after
    fixed = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    return _biased(fragment, node, attributes | fixed | {"output_padding": extra})


def _pool(fragment: Fragment, node: ir.Node) -> bool:
    if len(node.outputs) > 1:
        return False
    attributes = _explicit_pads(node, _attributes(node)["kernel_shape"])
    fragment.add(
        node.op_type,
        [fragment.read(node.inputs[0])],
        [fragment.write(node.outputs[0])],
        **attributes,
    )
    return True


def _gemm(fragment: Fragment, node: ir.Node) -> bool:
    """Constant factors go into the constants, and B is transposed at compile time."""
    attributes = _attributes(node)
    weights, bias = constant_input(node, 1), constant_input(node, 2)
    if weights is None or (input_at(node, 2) is not None and bias is None):
        return False
    if attributes.get("transB", 0):
        weights = weights.T
    weights = np.ascontiguousarray(weights * weights.dtype.type(attributes.get("alpha", 1.0)))
    left = fragment.read(node.inputs[0])
    if attributes.get("transA", 0):
        left = fragment.add("Transpose", [left], perm=[1, 0])
    operands = [left, fragment.constant(weights) if weights.size > 1 else fragment.embed(weights)]
    if bias is None:
        fragment.add("MatMul", operands, [fragment.write(node.outputs[0])])
        return True
    product = fragment.add("MatMul", operands)
    bias = bias * bias.dtype.type(attributes.get("beta", 1.0))
    fragment.add("Add", [product, fragment.constant(bias)], [fragment.write(node.outputs[0])])
    return True


def _batch_normalization(fragment: Fragment, node: ir.Node) -> bool:
    """x * factor + shift, with both worked out in float64."""
    parameters = [constant_of(value) for value in node.inputs[1:5]]
    if len(node.outputs) > 1 or any(p is None for p in parameters):
        return False
    scale, bias, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    epsilon = _attributes(node).get("epsilon", 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    shift = bias - mean * factor
    rank = len(shape_of(node.outputs[0]))
    product = fragment.add(
        "Mul",
        [
            fragment.read(node.inputs[0]),
            fragment.constant(_per_channel(factor.astype(np.float32), rank)),
        ],
    )
    shifts = fragment.constant(_per_channel(shift.astype(np.float32), rank))
    fragment.add("Add", [product, shifts], [fragment.write(node.outputs[0])])
    return True


def _reshape(fragment: Fragment, node: ir.Node) -> bool:
    """Every operator that keeps the elements in their order is a Reshape to the known shape."""
    if len(node.outputs) > 1 and node.outputs[1].consumers():
        return False
    shape = fragment.embed(np.asarray(shape_of(node.outputs[0]), np.int64))
    source = fragment.read(node.inputs[0])
    fragment.add("Reshape", [source, shape], [fragment.write(node.outputs[0])])
    return True


def _power(fragment: Fragment, node: ir.Node) -> bool:
    """The exponents models use, without logarithm and exponential."""
    exponent = constant_input(node, 1)
    if (
        exponent is None
        or exponent.size != 1
        or len(exponent.shape) > len(shape_of(node.outputs[0]))
    ):
        return False
    steps = _POWERS.get(float(exponent.reshape(())))
    if steps is None:
        return False
    base = fragment.read(node.inputs[0])
    current = base
    for step in steps[:-1]:
        current = fragment.add(step, [current, base] if step == "Mul" else [current])
    last = [current, base] if steps[-1] == "Mul" else [current]
    fragment.add(steps[-1], last, [fragment.write(node.outputs[0])])
    return True


def _one_hot(fragment: Fragment, node: ir.Node) -> bool:
    """Where(indices = 0 ... depth-1, on, off); TVM's has the wrong element type."""
    depth, values = constant_input(node, 1), constant_input(node, 2)
    shape = shape_of(node.outputs[0])
    if depth is None or values is None:
        return False
    axis = int(_attributes(node).get("axis", -1)) % len(shape)
    dtype = np.dtype(dtype_of(node.inputs[0]))  # type: ignore[arg-type]
    count = shape[axis]
    column = list(shape)
    column[axis] = 1
    target = fragment.embed(np.asarray(column, np.int64))
    index = fragment.add("Reshape", [fragment.read(node.inputs[0]), target])
    negative = fragment.add("Less", [index, fragment.embed(np.zeros((), dtype))])
    wrapped = fragment.add("Add", [index, fragment.embed(np.asarray(count, dtype))])
    index = fragment.add("Where", [negative, wrapped, index])
    places = np.arange(count, dtype=dtype).reshape([-1] + [1] * (len(shape) - 1 - axis))
    hit = fragment.add("Equal", [index, fragment.constant(places)])
    operands = [hit, fragment.embed(values[1]), fragment.embed(values[0])]
    fragment.add("Where", operands, [fragment.write(node.outputs[0])])
    return True


def _cumulative_sum(fragment: Fragment, node: ir.Node) -> bool:
    """x times a triangle of ones, along the last axis; TVM's is left to its run-time library."""
    axis = constant_input(node, 1)
    if axis is None:
        return False
    shape = shape_of(node.outputs[0])
    chosen = int(axis.reshape(())) % len(shape)
    order = [i for i in range(len(shape)) if i != chosen] + [chosen]
    back = [order.index(i) for i in range(len(shape))]
    options = _attributes(node)
    ones = np.ones((shape[chosen], shape[chosen]), np.dtype(dtype_of(node.outputs[0])))
    triangle = np.triu(ones, 1 if options.get("exclusive", 0) else 0)
    if options.get("reverse", 0):
        triangle = np.ascontiguousarray(triangle.T)
    moved = fragment.add("Transpose", [fragment.read(node.inputs[0])], perm=order)
    summed = fragment.add("MatMul", [moved, fragment.constant(triangle)])
    fragment.add("Transpose", [summed], [fragment.write(node.outputs[0])], perm=back)
    return True


def _lp_normalization(fragment: Fragment, node: ir.Node) -> bool:
    """x / norm, the norm kept from 0 so that a zero vector stays one."""
    options = _attributes(node)
    axis = fragment.embed(np.asarray([options.get("axis", -1)], np.int64))
    source = fragment.read(node.inputs[0])
    norm = fragment.add("ReduceL1" if options.get("p", 2) == 1 else "ReduceL2", [source, axis])
    norm = fragment.add("Max", [norm, fragment.embed(np.asarray(2.0**-126, np.float32))])
    fragment.add("Div", [source, norm], [fragment.write(node.outputs[0])])
    return True


_POWERS: dict[float, tuple[str, ...]] = {
    -1.0: ("Reciprocal",),
    -0.5: ("Sqrt", "Reciprocal"),
    0.5: ("Sqrt",),
    2.0: ("Mul",),
    3.0: ("Mul", "Mul"),
}

REWRITES: dict[str, Callable[[Fragment, ir.Node], bool]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "CumSum": _cumulative_sum,
    "Dropout": _reshape,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "Identity": _reshape,
    "LpNormalization": _lp_normalization,
    "MaxPool": _pool,
    "OneHot": _one_hot,
    "Pow": _power,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
}
