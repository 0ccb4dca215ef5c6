"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.graph.values import shape_of
from edgecomp.training.operators.arguments import Operator, along

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def padded(x: Any, begins: Sequence[int], ends: Sequence[int], value: float) -> Any:
    """`x` with `value` around its last axes; negative amounts crop."""
    amounts = [n for pair in zip(reversed(begins), reversed(ends), strict=True) for n in pair]
    return F.pad(x, amounts, value=value) if any(amounts) else x


def _conv(node: ir.Node, x: Any, weights: Any, bias: Any = None) -> Any:
    rank = x.ndim - 2
    pads = list(node.attributes.get_ints("pads", [0] * (2 * rank)))
    begins, ends = pads[:rank], pads[rank:]
    if begins != ends:
        x, begins = padded(x, begins, ends, 0.0), [0] * rank
    return _CONV[rank](
        x,
        weights,
        bias,
        stride=list(node.attributes.get_ints("strides", [1] * rank)),
        padding=begins,
        dilation=list(node.attributes.get_ints("dilations", [1] * rank)),
        groups=node.attributes.get_int("group", 1),
    )


def _conv_transpose(node: ir.Node, x: Any, weights: Any, bias: Any = None) -> Any:
    """Everything the filters reach, cut down to the static shape of the output."""
    rank = x.ndim - 2
    strides = list(node.attributes.get_ints("strides", [1] * rank))
    full = _TRANSPOSED[rank](
        x,
        weights,
        bias,
        stride=strides,
        groups=node.attributes.get_int("group", 1),
        dilation=list(node.attributes.get_ints("dilations", [1] * rank)),
    )
    begins, ends = _cuts(node, tuple(full.shape[2:]))
    grown = padded(full, [0] * rank, [max(-end, 0) for end in ends], 0.0)
    if bias is not None and any(end < 0 for end in ends):
        reached = padded(torch.ones(full.shape[2:]), [0] * rank, [max(-e, 0) for e in ends], 0.0)
        grown = grown + along(bias, 0, rank + 1) * (1 - reached)
    return padded(grown, [-begin for begin in begins], [min(-end, 0) for end in ends], 0.0)


def _cuts(node: ir.Node, full: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Elements to take off the beginning and the end of each axis; negative: to add."""
    rank = len(full)
    result = shape_of(node.outputs[0])[2:]
    pads = node.attributes.get_ints("pads", None)
    total = [size - wanted for size, wanted in zip(full, result, strict=True)]
    if pads is None or "output_shape" in node.attributes:
        upper = node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER"
        extra = node.attributes.get_ints("output_padding", [0] * rank)
        padding = [max(cut + more, 0) for cut, more in zip(total, extra, strict=True)]
        begins = [all_ // 2 if upper else all_ - all_ // 2 for all_ in padding]
    else:
        begins = list(pads[:rank])
    return begins, [cut - begin for cut, begin in zip(total, begins, strict=True)]


def _gemm(node: ir.Node, a: Any, b: Any, c: Any = None) -> Any:
    a = a.mT if node.attributes.get_int("transA", 0) else a
    b = b.mT if node.attributes.get_int("transB", 0) else b
    alpha = node.attributes.get_float("alpha", 1.0)
    beta = node.attributes.get_float("beta", 1.0)
    product = a @ b if alpha == 1.0 else alpha * (a @ b)
    if c is None:
        return product
    return product + (c if beta == 1.0 else beta * c)


def _matmul(node: ir.Node, a: Any, b: Any) -> Any:
    return torch.matmul(a, b)


def _einsum(node: ir.Node, *operands: Any) -> Any:
    return torch.einsum(node.attributes.get_string("equation", ""), *operands)


CONVOLUTION: Mapping[str, Operator] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
}
