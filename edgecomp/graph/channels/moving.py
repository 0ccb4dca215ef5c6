"""Operators that move elements: they are run on the channel numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.channels.labels import FROZEN, Labels, along, compact, frozen, varies
from edgecomp.graph.channels.trace import Trace
from edgecomp.graph.evaluate import run_alone
from edgecomp.graph.values import constant_input, constant_of, is_constant, shape_of


def moved(trace: Trace, node: ir.Node) -> None:
    """The operator itself, applied to the numbers of what it reads."""
    feeds = {
        f"x{index}": _content(trace, value, data=index == 0 or node.op_type == "Concat")
        for index, value in enumerate(node.inputs)
        if value is not None
    }
    for output, labels in zip(node.outputs, run_alone(node, feeds), strict=True):
        if output.name:
            trace.give(output, compact(np.asarray(labels, np.int64)))


def _content(trace: Trace, value: ir.Value, data: bool) -> Labels:
    """Numbers of an element each, those of a constant among the data have to stay."""
    if is_constant(value):
        content = constant_of(value)
        assert content is not None, "just asked"
        return np.full(content.shape, FROZEN) if data else content
    return np.broadcast_to(trace.of(value), shape_of(value)).copy()


def slices(trace: Trace, node: ir.Node) -> None:
    """A piece of an axis with channels is a piece of them; steps over channels keep all."""
    labels = trace.of(node.inputs[0])
    starts, steps = constant_input(node, 1), constant_input(node, 4)
    axes = constant_input(node, 3)
    if starts is None:
        trace.freeze(node, "its limits are computed")
        return
    places = range(starts.size) if axes is None else (axes % labels.ndim).tolist()
    sizes = [1] * starts.size if steps is None else steps.tolist()
    if any(axis in varies(labels) and size != 1 for axis, size in zip(places, sizes, strict=True)):
        trace.freeze(node, "it takes channels in steps")
    else:
        moved(trace, node)


def gather(trace: Trace, node: ir.Node) -> None:
    """Constant indices pick channels; of an axis without them, anything may be picked."""
    labels = trace.of(node.inputs[0]) if not is_constant(node.inputs[0]) else None
    axis = node.attributes.get_int("axis", 0)
    if labels is None or constant_input(node, 1) is None or axis % labels.ndim in varies(labels):
        trace.freeze(node, "it picks channels by index")
    else:
        moved(trace, node)


def pad(trace: Trace, node: ir.Node) -> None:
    """Padding adds channels of one value, each of which may go as any other channel may."""
    labels, pads, axes = trace.of(node.inputs[0]), constant_input(node, 1), constant_input(node, 3)
    if pads is None:
        trace.freeze(node, "its padding is computed")
        return
    half = pads.size // 2
    places = range(half) if axes is None else (axes % labels.ndim).tolist()
    padded = {axis for i, axis in enumerate(places) if pads[i] or pads[i + half]}
    if not padded & varies(labels):
        trace.give(node.outputs[0], labels)
        return
    constant = node.attributes.get_string("mode", "constant") == "constant"
    if len(varies(labels)) > 1 or not constant or (pads < 0).any():
        trace.freeze(node, "it pads the axis of the channels")
        return
    (axis,) = varies(labels)
    place = list(places).index(axis)
    before, after = (trace.numbers.fresh(int(pads[i])) for i in (place, place + half))
    vector = np.concatenate([before, labels.ravel(), after])
    trace.give(node.outputs[0], along(vector, axis, labels.ndim))


def same_channels(trace: Trace, node: ir.Node) -> None:
    """Windows over the axes after the second, channel by channel."""
    labels = trace.of(node.inputs[0])
    if varies(labels) - {1}:
        trace.freeze(node, "its window spans channels")
        return
    for output in node.outputs:
        if output.name:
            trace.give(output, labels)


def reduced(trace: Trace, node: ir.Node) -> None:
    """A reduction of the axes without channels."""
    labels = trace.of(node.inputs[0])
    axes = constant_input(node, 1)
    shape = shape_of(node.outputs[0])
    if axes is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        trace.freeze(node, "its axes are computed")
        return
    places = set(range(labels.ndim)) if axes is None else set((axes % labels.ndim).tolist())
    if places & varies(labels):
        trace.freeze(node, "it reduces channels")
    elif node.attributes.get_int("keepdims", 1):
        trace.give(node.outputs[0], labels)
    else:
        kept = [size for axis, size in enumerate(labels.shape) if axis not in places]
        trace.give(node.outputs[0], labels.reshape(kept) if kept else frozen(len(shape)))
