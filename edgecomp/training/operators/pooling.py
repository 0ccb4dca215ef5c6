"""Pools. The static shape of the output says how far windows reach beyond the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.graph.values import shape_of
from edgecomp.training.operators.arguments import Operator
from edgecomp.training.operators.convolution import padded

_MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@dataclass(frozen=True)
class _Windows:
    """Attributes of a pool, one number for each spatial axis.

    Attributes:
        kernel, strides, dilations: as in ONNX.
        begins: elements before the first.
        ends: elements after the last as far as windows reach; negative where they end before.
        given_ends: those of `ends` that `pads` names; the rest comes from `ceil_mode`.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begins: list[int]
    ends: list[int]
    given_ends: list[int]

    @classmethod
    def of(cls, node: ir.Node, x: Any) -> _Windows:
        kernel = list(node.attributes.get_ints("kernel_shape", ()))
        rank = len(kernel)
        strides = list(node.attributes.get_ints("strides", [1] * rank))
        dilations = list(node.attributes.get_ints("dilations", [1] * rank))
        pads = list(node.attributes.get_ints("pads", [0] * (2 * rank)))
        result = shape_of(node.outputs[0])[2:]
        ends = [
            (result[i] - 1) * strides[i]
            + (kernel[i] - 1) * dilations[i]
            + 1
            - x.shape[2 + i]
            - pads[i]
            for i in range(rank)
        ]
        return cls(kernel, strides, dilations, pads[:rank], ends, pads[rank:])


def _max_pool(node: ir.Node, x: Any) -> Any:
    windows = _Windows.of(node, x)
    lowest = -torch.inf if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
    return _MAXIMUM[len(windows.kernel)](
        padded(x, windows.begins, windows.ends, lowest),
        windows.kernel,
        windows.strides,
        dilation=windows.dilations,
    )


def _average_pool(node: ir.Node, x: Any) -> Any:
    windows = _Windows.of(node, x)
    if any(step != 1 for step in windows.dilations):
        raise RuntimeError("average pools with dilations are not known")
    pool = _MEAN[len(windows.kernel)]
    mean = pool(padded(x, windows.begins, windows.ends, 0.0), windows.kernel, windows.strides)
    if not any(windows.begins) and max(windows.ends) <= 0:
        return mean
    counted = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    begins, ends = windows.begins, windows.ends
    if node.attributes.get_int("count_include_pad", 0):
        counted = padded(counted, windows.begins, windows.given_ends, 1.0)
        begins = [0] * len(begins)
        ends = [end - given for end, given in zip(ends, windows.given_ends, strict=True)]
    return mean / pool(padded(counted, begins, ends, 0.0), windows.kernel, windows.strides)


def _global_average_pool(node: ir.Node, x: Any) -> Any:
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


def _global_max_pool(node: ir.Node, x: Any) -> Any:
    return x.amax(dim=tuple(range(2, x.ndim)), keepdim=True)


POOLING: Mapping[str, Operator] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
}
