"""Multiply-accumulates of a node, from static shapes.

What counts: each product that a convolution, a matrix product or a recurrent cell adds up, those
with padding included, as the MLPerf Tiny rules count them. Elementwise operators and pools count 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecomp.graph.values import elements_of, input_at, shape_of


def macs_of(node: ir.Node) -> int:
    """Multiply-accumulates of `node`; 0 for an operator that only reads, compares or adds.

    Raises:
        ValueError: a shape that matters is not static.
    """
    rule = _RULES.get((node.domain, node.op_type))
    return 0 if rule is None else rule(node)


def _required(node: ir.Node, index: int) -> ir.Value:
    value = input_at(node, index)
    if value is None:
        raise ValueError(f"{node.name}: {node.op_type} lacks input {index}")
    return value


def _convolution(weight: int) -> Callable[[ir.Node], int]:
    """Weight [out, in / groups, window]: each output element sums one filter."""

    def count(node: ir.Node) -> int:
        filter_shape = shape_of(_required(node, weight))[1:]
        return elements_of(node.outputs[0]) * math.prod(filter_shape)

    return count


def _transposed_convolution(node: ir.Node) -> int:
    """Weight [in, out / groups, window]: each input element is spread over one filter."""
    return elements_of(_required(node, 0)) * math.prod(shape_of(_required(node, 1))[1:])


def _matrix_product(first: int) -> Callable[[ir.Node], int]:
    """Each output element sums over the last dimension of input `first`."""

    def count(node: ir.Node) -> int:
        return elements_of(node.outputs[0]) * shape_of(_required(node, first))[-1]

    return count


def _gemm(node: ir.Node) -> int:
    depth = shape_of(_required(node, 0))[0 if node.attributes.get_int("transA", 0) else 1]
    return elements_of(node.outputs[0]) * depth


def _recurrent(node: ir.Node) -> int:
    """Input [steps, batch, in], weights [directions, gates * hidden, in] and [.., hidden]."""
    steps, batch, _ = shape_of(_required(node, 0))
    return steps * batch * sum(elements_of(_required(node, index)) for index in (1, 2))


def _einsum(node: ir.Node) -> int:
    """Two operands: the product of the sizes of all subscripts."""
    if len(node.inputs) != 2:
        return 0
    operands = node.attributes.get_string("equation", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for index, subscripts in enumerate(operands):
        shape = shape_of(_required(node, index))
        letters = subscripts.replace(" ", "")
        before, ellipsis, after = letters.partition("...")
        sizes.update(zip(before, shape, strict=False))
        sizes.update(zip(reversed(after), reversed(shape), strict=False))
        if ellipsis:
            middle = math.prod(shape[len(before) : len(shape) - len(after)])
            sizes["..."] = max(sizes.get("...", 1), middle)
    return math.prod(sizes.values())


def _rows_times(*weights: int) -> Callable[[ir.Node], int]:
    """Input [.., features]; for each of its rows, all of the `weights` there are are read."""

    def count(node: ir.Node) -> int:
        rows = elements_of(_required(node, 0)) // shape_of(_required(node, 0))[-1]
        given = [input_at(node, index) for index in weights]
        return rows * sum(elements_of(value) for value in given if value is not None)

    return count


_STANDARD: Mapping[str, Callable[[ir.Node], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed_convolution,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matrix_product(0),
    "MatMulInteger": _matrix_product(0),
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _matrix_product(0),
    "RNN": _recurrent,
}

_RULES: Mapping[tuple[str, str], Callable[[ir.Node], int]] = {
    **{("", name): rule for name, rule in _STANDARD.items()},
    ("edgecomp", "HybridLstm"): _rows_times(5, 6, 10),
    ("edgecomp", "HybridSvdf"): _rows_times(4, 5),
    ("edgecomp", "IntegerLstm"): _rows_times(4, 5, 11),
    ("edgecomp", "IntegerSvdf"): _rows_times(3, 5),
}
"""By domain and operator."""
