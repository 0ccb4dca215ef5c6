"""Operators that pick elements by index, and those that make tensors of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch

from edgecomp.training.operators.arguments import Operator, numbers


def _from_start(indices: Any, size: int) -> Any:
    """Indices, int64, of which the negative ones count from the end."""
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


def _gather(node: ir.Node, x: Any, indices: Any) -> Any:
    axis = node.attributes.get_int("axis", 0) % x.ndim
    places = _from_start(indices, x.shape[axis])
    picked = x.index_select(axis, places.reshape(-1))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_elements(node: ir.Node, x: Any, indices: Any) -> Any:
    axis = node.attributes.get_int("axis", 0) % x.ndim
    return torch.gather(x, axis, _from_start(indices, x.shape[axis]))


def _gather_nd(node: ir.Node, x: Any, indices: Any) -> Any:
    if node.attributes.get_int("batch_dims", 0):
        raise RuntimeError("batch_dims is not known")
    parts = [_from_start(part, x.shape[axis]) for axis, part in enumerate(indices.unbind(dim=-1))]
    return x[tuple(parts)]


def _one_hot(node: ir.Node, indices: Any, depth: Any, values: Any) -> Any:
    count, axis = numbers(depth)[0], node.attributes.get_int("axis", -1)
    axis += indices.ndim + 1 if axis < 0 else 0
    places = _from_start(indices, count).unsqueeze(axis)
    steps = torch.arange(count).reshape([-1 if a == axis else 1 for a in range(places.ndim)])
    return torch.where(places == steps, values[1], values[0])


def _arg(function: Any) -> Operator:
    def pick(node: ir.Node, x: Any) -> Any:
        axis, keep = node.attributes.get_int("axis", 0), node.attributes.get_int("keepdims", 1)
        if not node.attributes.get_int("select_last_index", 0):
            return function(x, dim=axis, keepdim=bool(keep))
        return x.shape[axis] - 1 - function(x.flip(axis), dim=axis, keepdim=bool(keep))

    return pick


def _top_k(node: ir.Node, x: Any, count: Any) -> Any:
    found = torch.topk(
        x,
        numbers(count)[0],
        dim=node.attributes.get_int("axis", -1),
        largest=bool(node.attributes.get_int("largest", 1)),
        sorted=bool(node.attributes.get_int("sorted", 1)),
    )
    return found.values, found.indices


def _constant_of_shape(node: ir.Node, shape: Any) -> Any:
    value = node.attributes.get_tensor("value", None)
    filler = torch.zeros(1) if value is None else torch.from_numpy(value.numpy().reshape(1).copy())
    return filler.expand(numbers(shape))


def _shape(node: ir.Node, x: Any) -> Any:
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", x.ndim)
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def _range(node: ir.Node, start: Any, limit: Any, step: Any) -> Any:
    return torch.arange(start.item(), limit.item(), step.item(), dtype=start.dtype)


def _trilu(node: ir.Node, x: Any, diagonal: Any = None) -> Any:
    k = 0 if diagonal is None else numbers(diagonal)[0]
    return torch.triu(x, k) if node.attributes.get_int("upper", 1) else torch.tril(x, k)


INDEXING: Mapping[str, Operator] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "ConstantOfShape": _constant_of_shape,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Range": _range,
    "Shape": _shape,
    "TopK": _top_k,
    "Trilu": _trilu,
}
