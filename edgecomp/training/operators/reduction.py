"""Reductions, and normalizations that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.training.operators.arguments import Operator, along, axes_of


def _reduce(function: Callable[..., Any]) -> Operator:
    """An operator over axes; `function(x, axes, keep)` is given all axes where none are named."""

    def reduce(node: ir.Node, x: Any, given: Any = None) -> Any:
        axes = axes_of(node, given, x.ndim)
        unchanged = node.attributes.get_int("noop_with_empty_axes", 0)
        if axes is None and unchanged:
            return x
        keep = bool(node.attributes.get_int("keepdims", 1))
        return function(x, list(range(x.ndim)) if axes is None else axes, keep)

    return reduce


def _product(x: Any, axes: list[int], keep: bool) -> Any:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, dim=axis, keepdim=keep)
    return x


def _softmax(function: Callable[..., Any]) -> Operator:
    def apply(node: ir.Node, x: Any) -> Any:
        return function(x, dim=node.attributes.get_int("axis", -1))

    return apply


def _cumulative_sum(node: ir.Node, x: Any, axis: Any) -> Any:
    place = int(axis.item())
    backwards = node.attributes.get_int("reverse", 0)
    summed = torch.cumsum(x.flip(place) if backwards else x, dim=place)
    if node.attributes.get_int("exclusive", 0):
        summed = summed - (x.flip(place) if backwards else x)
    return summed.flip(place) if backwards else summed


def _layer_normalization(node: ir.Node, x: Any, scale: Any, bias: Any = None) -> Any:
    axis = node.attributes.get_int("axis", -1) % x.ndim
    axes = list(range(axis, x.ndim))
    normal = _normal(x, axes, node.attributes.get_float("epsilon", 1e-5)) * scale
    return normal if bias is None else normal + bias


def _normal(x: Any, axes: list[int], epsilon: float) -> Any:
    mean = x.mean(dim=axes, keepdim=True)
    variance = (x - mean).square().mean(dim=axes, keepdim=True)
    return (x - mean) / torch.sqrt(variance + epsilon)


def _instance_normalization(node: ir.Node, x: Any, scale: Any, bias: Any) -> Any:
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    normal = _normal(x, list(range(2, x.ndim)), epsilon)
    return normal * along(scale, 1, x.ndim) + along(bias, 1, x.ndim)


def _group_normalization(node: ir.Node, x: Any, scale: Any, bias: Any) -> Any:
    groups = node.attributes.get_int("num_groups", 1)
    parts = x.reshape(x.shape[0], groups, -1)
    normal = _normal(parts, [2], node.attributes.get_float("epsilon", 1e-5)).reshape(x.shape)
    return normal * along(scale, 1, x.ndim) + along(bias, 1, x.ndim)


def _mean_variance_normalization(node: ir.Node, x: Any) -> Any:
    axes = list(node.attributes.get_ints("axes", (0, 2, 3)))
    mean = x.mean(dim=axes, keepdim=True)
    deviation = (x.square().mean(dim=axes, keepdim=True) - mean.square()).sqrt()
    return (x - mean) / (deviation + 1e-9)


def _lp_normalization(node: ir.Node, x: Any) -> Any:
    axis, power = node.attributes.get_int("axis", -1), node.attributes.get_int("p", 2)
    norm = torch.linalg.vector_norm(x, ord=power, dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


def _lrn(node: ir.Node, x: Any) -> Any:
    """Each channel divided by a power of the mean square of its neighbours."""
    size = node.attributes.get_int("size", 1)
    alpha, beta = node.attributes.get_float("alpha", 1e-4), node.attributes.get_float("beta", 0.75)
    around = [0, 0] * (x.ndim - 2) + [(size - 1) // 2, size // 2]
    squares = F.pad(x.square(), around).unfold(1, size, 1).sum(dim=-1)
    return x / (node.attributes.get_float("bias", 1.0) + alpha / size * squares).pow(beta)


REDUCTION: Mapping[str, Operator] = {
    "CumSum": _cumulative_sum,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LRN": _lrn,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _softmax(torch.log_softmax),
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "ReduceL1": _reduce(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceLogSum": _reduce(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: x.logsumexp(axes, keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceMin": _reduce(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep, dtype=x.dtype)),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Softmax": _softmax(torch.softmax),
}
