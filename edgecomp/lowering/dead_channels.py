"""Channels whose value is known at compile time cost nothing: they are folded away, exactly.

A channel of an image is dead when every pixel of it is the same number for every input: its filter
is all zero, or reads only dead channels. What a later convolution or dense layer makes of it is a
number too, which goes into that layer's bias; then the channel is computed and stored no more. A
channel that nobody reads, because every later weight for it is zero, goes the same way.

Works on the integer nodes before the layout is assigned: images are NCHW.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.values import constant_of, dtype_of, shape_of
from edgecomp.lowering.fixed_point import LIMITS, Multiplier, multiply
from edgecomp.lowering.integer_group import DOMAIN, add_constant
from edgecomp.lowering.lowered import int_list, int_of, multiplier_of
from edgecomp.model import Model

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

INT32 = 2**31 - 1
BLOCK = 4
"""Channels are left in blocks of this many, the width of the Cortex-M kernels' registers: of the
visual wake words model, 7.12 M instructions on a Cortex-M4 become 6.69 M beside no blocks."""
WEIGHTED = frozenset({"Conv", "DepthwiseConv", "Dense"})
POOLS = frozenset({"AveragePool", "MaxPool", "Mean"})
CHANNELWISE = POOLS | {"Lookup", "Requantize"}
"""Integer operators that make channel c of the output from channel c of the input alone."""
MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""ONNX operators that may leave the channels together, on another axis perhaps."""


@dataclass(frozen=True, eq=False)
class Channels:
    """What is known of a value, channel by channel.

    Attributes:
        axis: where its channels are.
        constant: [C], whether every element of the channel is the same known integer.
        content: [C], that integer; 0 where there is none.
    """

    axis: int
    constant: Mask
    content: Integers


Known = Mapping[ir.Value, Channels]


def fold_dead_channels(model: Model) -> Model:
    """`model`, lowered to integer nodes, without its dead channels; outputs keep every bit.

    Only int8 layers with 32-bit sums take part, and only channels that every reader of a value can
    do without: those of graph outputs, residual additions and concatenations stay.

    Args:
        model: the result of `integer.lower_integer`; it is not changed.
    """
    graph = model.graph.clone()
    graph.graph.sort()
    known: dict[ir.Value, Channels] = {}
    for node in graph.graph:
        found = _channels_made(node, known)
        if found is not None:
            known[node.outputs[0]] = found
    _remove(graph.graph, known, _unneeded(graph.graph, known))
    return replace(model, graph=graph)


def _is_weighted(node: ir.Node) -> bool:
    wanted = node.domain == DOMAIN and node.op_type in WEIGHTED
    return wanted and node.inputs[2] is not None and dtype_of(node.inputs[2]) == "int32"


def _narrows_freely(node: ir.Node) -> bool:
    """Whether output channels of a layer can go, each by itself."""
    return _is_weighted(node) and (
        node.op_type == "Dense" or (node.op_type == "Conv" and int_of(node, "group") == 1)
    )


def _follows(node: ir.Node) -> bool:
    """Whether output channel c of `node` is made from channel c of its first input alone."""
    return node.op_type in (CHANNELWISE if node.domain == DOMAIN else MOVES)


def _constant(node: ir.Node, index: int) -> npt.NDArray[Any]:
    content = constant_of(node.inputs[index])
    assert content is not None, "layers of `edgecomp.integer` have constant parameters"
    return content


def _source(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None, "operators of one activation have it"
    return value


def _channels_read(node: ir.Node, known: Known) -> Channels:
    """The channels of a weighted node's input; none is constant where nothing is known."""
    source = _source(node)
    shape = shape_of(source)
    axis = len(shape) - 1 if node.op_type == "Dense" else 1
    if source in known and known[source].axis == axis:
        return known[source]
    return Channels(axis, np.zeros(shape[axis], np.bool_), np.zeros(shape[axis], np.int64))


def _channels_made(node: ir.Node, known: Known) -> Channels | None:
    """What is known of the output of `node`; None where its channels cannot be followed."""
    if _is_weighted(node):
        return _layer(node, _channels_read(node, known))
    source = known.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if source is None or not _follows(node):
        return None
    if node.op_type in POOLS and source.axis != 1:
        return None
    if node.domain == DOMAIN:
        return replace(source, content=np.where(source.constant, _mapped(node, source.content), 0))
    axis = _moved_axis(node, source.axis)
    return None if axis is None else replace(source, axis=axis)


def _mapped(node: ir.Node, content: Integers) -> Integers:
    """What an operator of `CHANNELWISE` makes of images of constants."""
    if node.op_type == "Lookup":
        return np.asarray(_constant(node, 1)[content + 128], np.int64)
    if node.op_type not in ("Mean", "Requantize"):
        return content
    count = int(np.prod(shape_of(_source(node))[2:])) if node.op_type == "Mean" else 1
    centred = (content - int_of(node, "input_zero_point")) * count
    limits = LIMITS[dtype_of(node.outputs[0])]
    return np.clip(multiply(centred, multiplier_of(node)) + int_of(node, "zero_point"), *limits)


def _moved_axis(node: ir.Node, axis: int) -> int | None:
    """Where the channels are after an operator of `MOVES`; None when they are split or merged."""
    before, after = shape_of(_source(node)), shape_of(node.outputs[0])
    if node.op_type == "Transpose":
        return int_list(node, "perm").index(axis)
    for place, extent in enumerate(after):
        if extent == before[axis] and np.prod(after[:place]) == np.prod(before[:axis]):
            return place
    return None


def _reads(node: ir.Node, channels: int) -> tuple[Integers, Mask]:
    """[O, C]: sums of the taps of each filter on each input channel, and whether any is not 0."""
    weights = _constant(node, 1).astype(np.int64)
    if node.op_type == "DepthwiseConv":
        weights = np.moveaxis(weights, -1, 0)[..., None]
    filters = weights.reshape(weights.shape[0], -1, weights.shape[-1])
    units, _, width = filters.shape
    groups = channels // width
    sums = np.zeros((units, groups, width), np.int64)
    used = np.zeros((units, groups, width), np.bool_)
    own = np.arange(units) // (units // groups)
    sums[np.arange(units), own] = filters.sum(axis=1)
    used[np.arange(units), own] = filters.any(axis=1)
    return sums.reshape(units, channels), used.reshape(units, channels)


def _steady(node: ir.Node, source: Channels) -> Mask:
    """Which input channels are constant with the border, which holds the zero point, as well."""
    if not any(int_list(node, "pads")):
        return source.constant
    at_zero = source.content == int_of(node, "input_zero_point")
    return np.asarray(source.constant & at_zero, np.bool_)


def _layer(node: ir.Node, source: Channels) -> Channels:
    """The output channels of a weighted node, requantized as its kernel does it."""
    sums, used = _reads(node, len(source.constant))
    steady = _steady(node, source)
    totals = _constant(node, 2) + sums @ np.where(steady, source.content, 0)
    mantissas, shifts = _constant(node, 3).tolist(), _constant(node, 4).astype(np.int64)
    fits = np.abs(totals) <= INT32 >> np.maximum(shifts, 0)
    constant = fits & ~(used & ~steady).any(axis=1)
    content = np.zeros(len(totals), np.int64)
    for unit in np.flatnonzero(constant):
        factor = Multiplier(mantissas[unit], int(shifts[unit]))
        scaled = int(multiply(totals[unit : unit + 1], factor)[0]) + int_of(node, "zero_point")
        content[unit] = min(max(scaled, int_of(node, "low")), int_of(node, "high"))
    return Channels(source.axis, constant, content)


def _unneeded(graph: ir.Graph, known: Known) -> dict[ir.Value, Mask]:
    """For each known value, [C]: the channels that all its readers can do without."""
    spare: dict[ir.Value, Mask] = {}
    for node in reversed(graph):
        value = node.outputs[0] if node.outputs else None
        if value is None or value not in known:
            continue
        read = bool(value.uses()) and not value.is_graph_output()
        mask = np.full(len(known[value].constant), read)
        for use in value.uses():
            mask = mask & _unneeded_by(use.node, use.idx, known, spare)
        spare[value] = mask
    return spare


def _unneeded_by(
    node: ir.Node, index: int, known: Known, spare: Mapping[ir.Value, Mask]
) -> Mask | bool:
    """The channels of input `index` that a reader can do without; False: it needs them all."""
    made = spare.get(node.outputs[0])
    if index != 0 or made is None:
        return False
    if not _is_weighted(node):
        return made if _follows(node) else False
    source = _channels_read(node, known)
    if source is not known.get(_source(node)):
        return False
    if _narrows_freely(node):
        return _foldable(node, source)
    if node.op_type == "DepthwiseConv":
        return np.asarray(made.reshape(len(source.constant), -1).all(axis=1), np.bool_)
    return False


def _foldable(node: ir.Node, source: Channels) -> Mask | bool:
    """The input channels that a bias can stand for, or that no weight reads."""
    sums, used = _reads(node, len(source.constant))
    unread: Mask = ~used.any(axis=0)
    largest = np.abs(_constant(node, 2).astype(np.int64)) + np.abs(sums) @ np.abs(source.content)
    return _steady(node, source) | unread if largest.max(initial=0) <= INT32 else unread


def _remove(graph: ir.Graph, known: Known, spare: Mapping[ir.Value, Mask]) -> None:
    """Narrow every layer, and what lies between, to the channels that are needed."""
    gone: dict[ir.Value, Mask] = {}
    for node in graph:
        value = node.outputs[0] if node.outputs else None
        if value is None or value not in known:
            continue
        dead = gone.get(_source(node))
        if _narrows_freely(node):
            if dead is not None:
                _fold_input(graph, node, known[_source(node)], dead)
            removed: Mask | None = _removable(spare[value])
        elif dead is not None and node.op_type == "DepthwiseConv":
            removed = np.repeat(dead, len(spare[value]) // len(dead))
            node.attributes["group"] = ir.AttrInt64("group", int((~dead).sum()))
        else:
            removed = dead
        if removed is None or not removed.any():
            continue
        gone[value] = removed
        _narrow_output(graph, node, known[value].axis, ~removed)


def _removable(mask: Mask) -> Mask:
    """`mask` with a few channels to stay, so that whole blocks do, and one at least."""
    live = int((~mask).sum())
    blocks = max(1, -(-live // BLOCK))
    removed = mask.copy()
    removed[np.flatnonzero(mask)[: blocks * BLOCK - live]] = False
    return removed


def _fold_input(graph: ir.Graph, node: ir.Node, source: Channels, dead: Mask) -> None:
    """What the `dead` input channels contribute goes into the bias, their weights go."""
    sums, _ = _reads(node, len(dead))
    bias = _constant(node, 2) + sums @ np.where(dead, source.content, 0)
    _exchange(graph, node, 1, _constant(node, 1)[..., ~dead])
    _exchange(graph, node, 2, bias.astype(np.int32))


def _narrow_output(graph: ir.Graph, node: ir.Node, axis: int, kept: Mask) -> None:
    """Give `node` only the `kept` output channels."""
    value = node.outputs[0]
    shape = list(shape_of(value))
    shape[axis] = int(kept.sum())
    value.shape = ir.Shape(shape)
    if _is_weighted(node):
        taps = _constant(node, 1)
        _exchange(
            graph, node, 1, taps[..., kept] if node.op_type == "DepthwiseConv" else taps[kept]
        )
        for index in (2, 3, 4):
            _exchange(graph, node, index, _constant(node, index)[kept])
    elif node.op_type == "Reshape":
        _exchange(graph, node, 1, np.array(shape, np.int64))


def _exchange(graph: ir.Graph, node: ir.Node, index: int, content: npt.NDArray[Any]) -> None:
    """Another constant as input `index`; the old one may have other readers."""
    old = node.inputs[index]
    assert old is not None
    node.replace_input_with(index, add_constant(graph, f"{old.name} live", content))
