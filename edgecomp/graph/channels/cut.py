"""A graph without some of its channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.graph.channels.labels import Labels, varies
from edgecomp.graph.channels.trace import Trace
from edgecomp.graph.edit import add_constant
from edgecomp.graph.values import constant_input, constant_of, input_at, shape_of

Kept = dict[int, npt.NDArray[np.bool_]]
"""By axis: which places stay; axes that lose nothing are absent."""


def cut_channels(model: ir.Model, trace: Trace, removed: Set[int]) -> ir.Model:
    """A clone of `model` without the channels whose numbers are in `removed`.

    Args:
        model: the model whose graph was traced.
        trace: what was found.
        removed: numbers that stand for their sets (`Trace.labels` and `Trace.uses` hold these).
    """
    clone = model.clone()
    graph = clone.graph
    gone = np.array(sorted(removed), np.int64)
    nodes = dict(zip(model.graph, list(graph), strict=True))
    smaller: dict[tuple[ir.Node, int], Kept] = {}
    for use in trace.uses:
        smaller.setdefault((nodes[use.node], use.index), {}).update(kept_places(use.labels, gone))
    kept = {name: kept_places(labels, gone) for name, labels in trace.labels.items()}
    for node in list(graph):
        rule = _ARGUMENTS.get(node.op_type) if node.domain == "" else None
        if rule is not None:
            rule(graph, node, kept)
    made: dict[tuple[str, bytes], ir.Value] = {}
    for (node, index), places in smaller.items():
        if places:
            _cut_constant(graph, node, index, places, made)
    _resize(graph, kept)
    common.RemoveUnusedNodesPass()(clone)
    return clone


def kept_places(labels: Labels, gone: npt.NDArray[np.int64]) -> Kept:
    """What stays of each axis when the numbers `gone` go; the labels are of a full grid."""
    stays = ~np.isin(labels, gone)
    if stays.all():
        return {}
    kept = {}
    for axis in sorted(varies(labels)):
        others = tuple(place for place in range(labels.ndim) if place != axis)
        along = stays.any(axis=others)
        if not along.all():
            kept[axis] = along
    return kept


def _cut_constant(
    graph: ir.Graph,
    node: ir.Node,
    index: int,
    places: Kept,
    made: dict[tuple[str, bytes], ir.Value],
) -> None:
    """Give `node` a smaller constant, the same for all nodes that cut it the same way."""
    value = node.inputs[index]
    content = constant_of(value)
    assert value is not None, "traced as a constant"
    assert content is not None, "traced as a constant"
    name = str(value.name)
    key = name, b"".join(bytes([axis]) + kept.tobytes() for axis, kept in sorted(places.items()))
    if key not in made:
        for axis, kept in places.items():
            content = np.compress(kept, content, axis=axis)
        if len(list(value.uses())) == 1 and not value.is_graph_output():
            node.replace_input_with(index, None)
            del graph.initializers[name]
        made[key] = add_constant(graph, name, np.ascontiguousarray(content))
    node.replace_input_with(index, made[key])


def _resize(graph: ir.Graph, kept: Mapping[str, Kept]) -> None:
    """The shapes of what the nodes make, and the groups of depthwise convolutions."""
    for node in graph:
        before = node.attributes.get_int("group", 1)
        if node.op_type in ("Conv", "ConvTranspose") and before > 1:
            _set_groups(node, before, kept)
        for value in node.outputs:
            places = kept.get(str(value.name))
            if places:
                value.shape = ir.Shape(_shape(value, places))


def _set_groups(node: ir.Node, before: int, kept: Mapping[str, Kept]) -> None:
    """One group for each channel that a depthwise convolution still reads."""
    source = node.inputs[0]
    assert source is not None, "the operator demands an input"
    places = kept.get(str(source.name), {}).get(1)
    if places is not None and len(places) == before:
        node.attributes["group"] = ir.AttrInt64("group", int(places.sum()))


def _shape(value: ir.Value, places: Kept) -> list[int]:
    return [int(places[a].sum()) if a in places else n for a, n in enumerate(shape_of(value))]


def _replace(graph: ir.Graph, node: ir.Node, index: int, content: Any, what: str) -> None:
    before = constant_input(node, index)
    dtype = np.dtype(np.int64) if before is None else before.dtype
    made = add_constant(graph, f"{node.name}/{what}", np.asarray(content, dtype))
    node.replace_input_with(index, made)


def _target_shape(graph: ir.Graph, node: ir.Node, kept: Mapping[str, Kept]) -> None:
    """Reshape and Expand name the shape they make."""
    output, source = node.outputs[0], node.inputs[0]
    places = kept.get(str(output.name), {})
    changed = places or (source is not None and kept.get(str(source.name)))
    if changed:
        _replace(graph, node, 1, _shape(output, places), "shape")
        if "allowzero" in node.attributes:
            del node.attributes["allowzero"]


def _split(graph: ir.Graph, node: ir.Node, kept: Mapping[str, Kept]) -> None:
    """Split names the size of each piece."""
    axis = node.attributes.get_int("axis", 0) % len(shape_of(node.outputs[0]))
    sizes = [_shape(value, kept.get(str(value.name), {}))[axis] for value in node.outputs]
    if "num_outputs" in node.attributes:
        del node.attributes["num_outputs"]
    if len(node.inputs) < 2:
        node.resize_inputs(2)
    _replace(graph, node, 1, sizes, "split")


def _slice(graph: ir.Graph, node: ir.Node, kept: Mapping[str, Kept]) -> None:
    """Slice names where a piece begins and ends: so many kept places further on."""
    source = node.inputs[0]
    places = {} if source is None else kept.get(str(source.name), {})
    starts, ends, axes = (constant_input(node, index) for index in (1, 2, 3))
    if not places or starts is None or ends is None or source is None:
        return
    shape = shape_of(source)
    named = range(starts.size) if axes is None else (axes % len(shape)).tolist()
    starts, ends = starts.copy(), ends.copy()
    for index, axis in enumerate(named):
        if axis in places:
            begin, end, _ = slice(int(starts[index]), int(ends[index])).indices(shape[axis])
            starts[index] = places[axis][:begin].sum()
            ends[index] = places[axis][:end].sum()
    _replace(graph, node, 1, starts, "starts")
    _replace(graph, node, 2, ends, "ends")


def _pad(graph: ir.Graph, node: ir.Node, kept: Mapping[str, Kept]) -> None:
    """Pad names how many channels it adds at either end."""
    pads, axes = constant_input(node, 1), constant_input(node, 3)
    places = kept.get(str(node.outputs[0].name), {})
    if pads is None or not places:
        return
    pads, half = pads.copy(), pads.size // 2
    rank = len(shape_of(node.outputs[0]))
    named = range(half) if axes is None else (axes % rank).tolist()
    for index, axis in enumerate(named):
        if axis in places:
            begin, end = int(pads[index]), int(pads[index + half])
            pads[index] = places[axis][:begin].sum()
            pads[index + half] = places[axis][len(places[axis]) - end :].sum()
    _replace(graph, node, 1, pads, "pads")


def _sizes(graph: ir.Graph, node: ir.Node, kept: Mapping[str, Kept]) -> None:
    """Resize may name the size of what it makes, all axes of it."""
    output = node.outputs[0]
    sizes = constant_of(input_at(node, 3))
    places = kept.get(str(output.name), {})
    if sizes is not None and sizes.size == len(shape_of(output)) and places:
        _replace(graph, node, 3, _shape(output, places), "sizes")


_ARGUMENTS: Mapping[str, Callable[[ir.Graph, ir.Node, Mapping[str, Kept]], None]] = {
    "Expand": _target_shape,
    "Pad": _pad,
    "Reshape": _target_shape,
    "Resize": _sizes,
    "Slice": _slice,
    "Split": _split,
}
"""Operators with arguments that name sizes or places of channels."""
