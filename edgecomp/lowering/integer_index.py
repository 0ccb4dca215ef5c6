"""Integer operators that only pick elements: an index map for each axis says which.

Slices, reflecting and repeating borders, nearest-neighbour resizing, tiles, broadcasts and constant
gathers all become `Walk` nodes (indices that can be counted) or `Take` nodes (a table of indices).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import quantized_constant
from edgecomp.graph.values import constant_input, constant_of, input_at, shape_of
from edgecomp.lowering.fixed_point import LIMITS, quantize_value
from edgecomp.lowering.integer_group import Group, add_constant, integer_node, reshape_node
from edgecomp.lowering.integer_moves import on_own_grid
from edgecomp.lowering.kernels.indexing import Walk, find_walk

Indices = npt.NDArray[np.int64]


def pick(
    graph: ir.Graph, value: ir.Value, maps: Sequence[Indices], name: str, label: str
) -> list[ir.Node]:
    """Nodes that read element (maps[0][i], maps[1][j], ...) of `value` as element (i, j, ...)."""
    nodes: list[ir.Node] = []
    shape = shape_of(value)
    walks = []
    for axis, indices in enumerate(maps):
        found = find_walk(indices)
        if found is not None:
            walks.append(found)
            continue
        walks.append(Walk(0, 1, 1, len(indices), len(indices)))
        kind = np.int16 if shape[axis] < 2**15 else np.int32
        table = add_constant(graph, f"{name} indices {axis}", indices.astype(kind))
        node = integer_node("Take", [value, table], f"{name} axis {axis}", label, {"axis": axis})
        shape = (*shape[:axis], len(indices), *shape[axis + 1 :])
        node.outputs[0].shape = ir.Shape(shape)
        nodes.append(node)
        value = node.outputs[0]
    if nodes and all(
        np.array_equal(w.indices(), _all(n)) for w, n in zip(walks, shape, strict=True)
    ):
        nodes[-1].name = name
        return nodes
    attributes = {
        "starts": [walk.start for walk in walks],
        "steps": [walk.step for walk in walks],
        "repeats": [walk.repeat for walk in walks],
        "periods": [walk.period for walk in walks],
    }
    node = integer_node("Walk", [value], name, label, attributes)
    node.outputs[0].shape = ir.Shape([walk.extent for walk in walks])
    return [*nodes, node]


def _picked(group: Group, maps: Sequence[Indices]) -> list[ir.Node] | None:
    if not all(len(indices) for indices in maps):
        return None
    x, name = group.operands[0].value, group.node.name or group.node.op_type
    nodes = pick(group.graph, x, maps, name, group.label)
    out = shape_of(group.output)
    if shape_of(nodes[-1].outputs[0]) != out:
        nodes.append(reshape_node(group.graph, nodes[-1].outputs[0], out, f"{name} shape"))
    return on_own_grid(group, nodes, group.output)


def _all(extent: int) -> Indices:
    return np.arange(extent, dtype=np.int64)


def slices(group: Group) -> list[ir.Node] | None:
    """Slice, with any steps."""
    node, shape = group.node, shape_of(group.operands[0].value)
    starts, ends = constant_input(node, 1), constant_input(node, 2)
    if starts is None or ends is None:
        return None
    axes, steps = constant_input(node, 3), constant_input(node, 4)
    chosen = _all(len(starts)) if axes is None else axes
    strides = np.ones(len(starts), np.int64) if steps is None else steps
    maps = [_all(extent) for extent in shape]
    for start, end, axis, step in zip(starts, ends, chosen, strides, strict=True):
        place = int(axis) % len(shape)
        # ONNX clamps as Python does, but takes INT_MIN for "before the first" going backwards
        stop = None if step < 0 and int(end) < -shape[place] else int(end)
        maps[place] = maps[place][int(start) : stop : int(step)]
    return _picked(group, maps)


def pad(group: Group) -> list[ir.Node] | None:
    """Pad in every mode; negative pads cut off. A constant is rounded to the output's grid."""
    node, shape = group.node, shape_of(group.operands[0].value)
    pads = constant_input(node, 1)
    if pads is None:
        return None
    axes = constant_input(node, 3)
    chosen = [int(a) % len(shape) for a in (_all(len(shape)) if axes is None else axes)]
    before, after = [0] * len(shape), [0] * len(shape)
    for position, axis in enumerate(chosen):
        before[axis], after[axis] = int(pads[position]), int(pads[position + len(chosen)])
    mode = node.attributes.get_string("mode", "constant")
    if mode == "constant":
        return _constant_border(group, before, after)
    maps = [
        _border(n, low, high, str(mode)) for n, low, high in zip(shape, before, after, strict=True)
    ]
    return _picked(group, maps)


def _border(extent: int, before: int, after: int, mode: str) -> Indices:
    """Input indices of one axis with a border of existing elements."""
    i = np.arange(-before, extent + after, dtype=np.int64)
    if mode == "edge":
        return np.clip(i, 0, extent - 1)
    if mode == "wrap" or extent == 1:
        return i % extent
    period = 2 * (extent - 1)
    folded = i % period
    return np.minimum(folded, period - folded)


def _constant_border(group: Group, before: list[int], after: list[int]) -> list[ir.Node] | None:
    x, name = group.operands[0], group.node.name or "Pad"
    value = _border_value(group)
    if value is None:
        return None
    nodes: list[ir.Node] = []
    source, shape = x.value, shape_of(x.value)
    if min(*before, *after) < 0:
        maps = [
            _all(n)[max(0, -low) : n - max(0, -high)]
            for n, low, high in zip(shape, before, after, strict=True)
        ]
        if not all(len(indices) for indices in maps):
            return None
        nodes = pick(group.graph, source, maps, f"{name} cut", group.label)
        source = nodes[-1].outputs[0]
    attributes = {
        "before": [max(0, low) for low in before],
        "after": [max(0, high) for high in after],
        "value": value,
    }
    padded = integer_node("Pad", [source], name, group.label, attributes)
    return on_own_grid(group, [*nodes, padded], group.output)


def _border_value(group: Group) -> int | None:
    """The border in the input's steps."""
    x, value = group.operands[0], input_at(group.node, 2)
    if value is None:
        return x.zero_point
    quantized = quantized_constant(value)
    content = constant_of(value)
    if quantized is not None:
        content = quantized[1].dequantize(quantized[0])
    if content is None:
        return None
    real = float(content.reshape(-1)[0])
    bounded = min(max(real, -1e6 * float(x.scale)), 1e6 * float(x.scale))
    low, high = LIMITS[x.quantization.dtype]
    return min(max(quantize_value(bounded, float(x.scale), x.zero_point), low), high)


def expand(group: Group) -> list[ir.Node] | None:
    """Expand: axes of length 1 read the same element again and again."""
    x, out = group.operands[0].value, shape_of(group.output)
    shape = (1,) * (len(out) - len(shape_of(x))) + shape_of(x)
    if shape == shape_of(x):
        return _picked(group, [_broadcast(n, m) for n, m in zip(shape, out, strict=True)])
    name = group.node.name or "Expand"
    before = reshape_node(group.graph, x, shape, f"{name} rank")
    maps = [_broadcast(n, m) for n, m in zip(shape, out, strict=True)]
    nodes = [before, *pick(group.graph, before.outputs[0], maps, name, group.label)]
    return on_own_grid(group, nodes, group.output)


def _broadcast(extent: int, out: int) -> Indices:
    return _all(out) if extent == out else np.zeros(out, np.int64)


def tile(group: Group) -> list[ir.Node] | None:
    """Tile: the input again and again along each axis."""
    repeats = constant_input(group.node, 1)
    if repeats is None:
        return None
    shape = shape_of(group.operands[0].value)
    return _picked(
        group, [np.tile(_all(n), int(times)) for n, times in zip(shape, repeats, strict=True)]
    )


def gather(group: Group) -> list[ir.Node] | None:
    """Gather: constant indices are an index map, others are read at run time."""
    node, x = group.node, group.operands[0].value
    indices, shape = node.inputs[1], shape_of(x)
    assert indices is not None
    axis = node.attributes.get_int("axis", 0) % len(shape)
    content = constant_of(indices)
    if content is None:
        name = node.name or "Gather"
        made = integer_node("Take", [x, indices], name, group.label, {"axis": axis})
        return on_own_grid(group, [made], group.output)
    maps = [_all(extent) for extent in shape]
    flat = content.reshape(-1).astype(np.int64)
    maps[axis] = np.where(flat < 0, flat + shape[axis], flat)
    return _picked(group, maps)


def nearest(group: Group) -> list[ir.Node] | None:
    """Resize that copies the nearest element."""
    shape, out = shape_of(group.operands[0].value), shape_of(group.output)
    attributes = group.node.attributes
    mode = str(attributes.get_string("coordinate_transformation_mode", "half_pixel"))
    rounding = str(attributes.get_string("nearest_mode", "round_prefer_floor"))
    maps = []
    for axis, (extent, size) in enumerate(zip(shape, out, strict=True)):
        if extent == size:
            maps.append(_all(extent))
            continue
        places = nearest_places(extent, size, _given_scale(group, axis), mode, rounding)
        maps.append(np.clip(places, 0, extent - 1))
    return _picked(group, maps)


def _given_scale(group: Group, axis: int) -> float | None:
    """The scale the node names for `axis`; None where it names sizes."""
    scales = constant_input(group.node, 2)
    axes = group.node.attributes.get_ints("axes", [])
    if scales is None or not scales.size:
        return None
    rank = len(shape_of(group.operands[0].value))
    chosen = [a % rank for a in axes] if axes else list(range(rank))
    return float(scales[chosen.index(axis)]) if axis in chosen else None


def nearest_places(extent: int, out: int, scale: float | None, mode: str, rounding: str) -> Indices:
    """Input index of each output index, not clipped; in float32, as the executors compute it.

    Args:
        extent, out: lengths of the axis.
        scale: output length over input length, where the model names it.
        mode, rounding: ONNX's coordinate_transformation_mode and nearest_mode.
    """
    i, half = np.arange(out).astype(np.float32), np.float32(0.5)

    def at(position: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if scale is None:
            return position * (np.float32(extent) / np.float32(out))
        return position / np.float32(scale)

    if mode == "asymmetric":
        x = at(i)
    elif mode == "align_corners":
        x = i * (np.float32(extent - 1) / np.float32(out - 1)) if out > 1 else i * 0
    elif mode == "pytorch_half_pixel" and out <= 1:
        x = i * 0
    elif mode == "half_pixel_symmetric":
        whole = np.float32(extent if scale is None else out / scale)
        x = (np.float32(extent) - whole) / 2 + at(i + half) - half
    elif rounding == "round_prefer_ceil":
        return np.asarray(np.floor(at(i + half)), np.int64)
    else:
        x = at(i + half) - half
    return np.asarray(_ROUNDINGS[rounding](x.astype(np.float32)), np.int64)


_ROUNDINGS: Mapping[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
}
