"""Operators that move elements and compute none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.training.operators.arguments import Operator, axes_of, numbers


def _reshape(node: ir.Node, x: Any, shape: Any) -> Any:
    wanted = numbers(shape)
    if not node.attributes.get_int("allowzero", 0):
        wanted = [x.shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(node: ir.Node, x: Any) -> Any:
    axis = node.attributes.get_int("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transpose(node: ir.Node, x: Any) -> Any:
    order = node.attributes.get_ints("perm", tuple(reversed(range(x.ndim))))
    return x.permute(list(order))


def _squeeze(node: ir.Node, x: Any, given: Any = None) -> Any:
    axes = axes_of(node, given, x.ndim)
    gone = [place for place in range(x.ndim) if x.shape[place] == 1] if axes is None else axes
    return x.reshape([size for place, size in enumerate(x.shape) if place not in gone])


def _unsqueeze(node: ir.Node, x: Any, given: Any) -> Any:
    count = numbers(given)
    rank = x.ndim + len(count)
    new, sizes = {axis % rank for axis in count}, iter(x.shape)
    return x.reshape([1 if place in new else next(sizes) for place in range(rank)])


def _concat(node: ir.Node, *inputs: Any) -> Any:
    return torch.cat(inputs, dim=node.attributes.get_int("axis", 0))


def _split(node: ir.Node, x: Any, given: Any = None) -> Any:
    axis = node.attributes.get_int("axis", 0)
    if given is not None:
        return torch.split(x, numbers(given), dim=axis)
    return torch.split(x, -(-x.shape[axis] // len(node.outputs)), dim=axis)


def _slice(
    node: ir.Node, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None
) -> Any:
    first, last = numbers(starts), numbers(ends)
    which = range(len(first)) if axes is None else numbers(axes)
    by = [1] * len(first) if steps is None else numbers(steps)
    for axis, start, end, step in zip(which, first, last, by, strict=True):
        axis %= x.ndim
        places = range(x.shape[axis])[slice(start, _end(end, step, x.shape[axis]), step)]
        if step > 0:
            window = [slice(None)] * axis + [slice(places.start, places.stop, step)]
            x = x[tuple(window)]
        else:
            x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return x


def _end(end: int, step: int, size: int) -> int | None:
    """`end` as Python says it: stepping back, an end before the first element is none at all."""
    return None if step < 0 and end < -size else end


def _expand(node: ir.Node, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(numbers(shape))))


def _tile(node: ir.Node, x: Any, repeats: Any) -> Any:
    return x.repeat(numbers(repeats))


def _pad(node: ir.Node, x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    amounts = numbers(pads)
    which = range(x.ndim) if axes is None else [axis % x.ndim for axis in numbers(axes)]
    mode = node.attributes.get_string("mode", "constant")
    count = len(amounts) // 2
    for place, axis in enumerate(which):
        begin, end = amounts[place], amounts[place + count]
        if mode == "constant":
            filler = 0 if value is None else value.reshape(()).item()
            x = F.pad(x, [0, 0] * (x.ndim - 1 - axis) + [begin, end], value=filler)
        elif begin or end:
            x = x.index_select(axis, _places(mode, x.shape[axis], begin, end))
    return x


def _places(mode: str, size: int, begin: int, end: int) -> Any:
    """Which element of an axis each place of the padded axis repeats."""
    places = torch.arange(-begin, size + end)
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    period = max(2 * (size - 1), 1)
    return size - 1 - (places % period - (size - 1)).abs()


def _depth_to_space(node: ir.Node, x: Any) -> Any:
    block = node.attributes.get_int("blocksize", 1)
    n, c, h, w = x.shape
    if node.attributes.get_string("mode", "DCR") == "DCR":
        parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(node: ir.Node, x: Any) -> Any:
    block = node.attributes.get_int("blocksize", 1)
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


MOVEMENT: Mapping[str, Operator] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
