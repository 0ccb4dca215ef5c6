"""Cross-layer equalization: channels of two layers in a row get ranges that suit both.

Between them stands nothing, or what commutes with a positive factor on a channel. The function
stays the same; int8 then loses less on channels that were far smaller than others. Source: Nagel
et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction", section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.edit import add_constant, only_reader
from edgecomp.graph.values import constant_input, input_at, shape_of
from edgecomp.model import Model

Array = npt.NDArray[np.float64]

TRANSPARENT = frozenset(
    {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "MaxPool", "Relu"}
)
"""Operators between two layers for which f(s x) = s f(x), channel by channel, for s > 0."""

SWEEPS, ENOUGH = 30, 1e-3
"""Over all pairs at most, and the change of a factor that ends it."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers in a row; the second reads the channels that the first makes."""

    first: ir.Node
    second: ir.Node


def equalized(model: Model) -> Model:
    """`model` with equalized weights: the same function up to rounding."""
    graph = model.graph.clone()
    pairs = list(pairs_of(graph.graph))
    nodes = {pair.first: pair.first for pair in pairs} | {
        pair.second: pair.second for pair in pairs
    }
    weights = {node: content_of(node, 1) for node in nodes}
    biases = {
        pair: content_of(pair.first, 2)
        if input_at(pair.first, 2) is not None
        else np.zeros(_channels(pair.first))
        for pair in pairs
    }
    for _ in range(SWEEPS):
        change = 0.0
        for pair in pairs:
            factor = _factor(weights[pair.first], biases[pair], weights[pair.second], pair)
            weights[pair.first] = _scaled(weights[pair.first], made_axis(pair.first), 1 / factor)
            weights[pair.second] = _scaled(weights[pair.second], read_axis(pair.second), factor)
            biases[pair] = biases[pair] / factor
            change = max(change, float(np.abs(np.log(factor)).max()))
        if change < ENOUGH:
            break
    for node, content in weights.items():
        store(graph.graph, node, 1, content)
    for pair in pairs:
        if input_at(pair.first, 2) is not None:
            store(graph.graph, pair.first, 2, biases[pair])
    return model.with_graph(graph)


def pairs_of(graph: ir.Graph) -> Iterator[Pair]:
    """Every two layers in a row with nothing between them, or what commutes with a factor."""
    for node in graph:
        if not _is_layer(node):
            continue
        value, reader = node.outputs[0], only_reader(node.outputs[0])
        while reader is not None and reader.op_type in TRANSPARENT and reader.inputs[0] is value:
            value, reader = reader.outputs[0], only_reader(reader.outputs[0])
        if reader is not None and _is_layer(reader) and reader.inputs[0] is value:
            yield Pair(node, reader)


def _is_layer(node: ir.Node) -> bool:
    """A convolution, depthwise or without groups, or a Gemm; its constants are its alone."""
    if node.domain != "" or node.op_type not in ("Conv", "Gemm"):
        return False
    constants = [value for value in node.inputs[1:] if value is not None]
    if any(constant_input(node, i + 1) is None for i in range(len(constants))):
        return False
    if any(len(list(value.uses())) > 1 for value in constants):
        return False
    if node.op_type == "Gemm":
        vector = all(len(shape_of(value)) == 1 for value in constants[1:])
        return vector and not node.attributes.get_int("transA", 0)
    groups = node.attributes.get_int("group", 1)
    return groups == 1 or (groups == shape_of(constants[0])[0] and shape_of(constants[0])[1] == 1)


def content_of(node: ir.Node, index: int) -> Array:
    """Constant input `index` of a layer, float64."""
    content = constant_input(node, index)
    assert content is not None, "a layer has constants"
    return content.astype(np.float64)


def made_axis(node: ir.Node) -> int:
    """The axis of the weights along which a layer makes channels."""
    plain = node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)
    return 1 if plain or node.op_type == "MatMul" else 0


def read_axis(node: ir.Node) -> int:
    """The axis of the weights along which a layer reads channels."""
    depthwise = node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1
    return 0 if depthwise else 1 - made_axis(node)


def _channels(node: ir.Node) -> int:
    return content_of(node, 1).shape[made_axis(node)]


def _range(weights: Array, axis: int) -> Array:
    return np.asarray(np.abs(weights).max(axis=tuple(i for i in range(weights.ndim) if i != axis)))


def _factor(first: Array, bias: Array, second: Array, pair: Pair) -> Array:
    """By which the first layer's channels get smaller: equation 11; 1 where either is empty.

    The bias counts like a weight, so that a channel of next to no weights does not become large.
    """
    one = np.maximum(_range(first, made_axis(pair.first)), np.abs(bias))
    other = _range(second, read_axis(pair.second))
    known = (one > 0.0) & (other > 0.0)
    return np.asarray(np.sqrt(np.divide(one, other, out=np.ones_like(one), where=known)))


def _scaled(weights: Array, axis: int, factor: Array) -> Array:
    return np.asarray(
        weights * factor.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
    )


def store(graph: ir.Graph, node: ir.Node, index: int, content: npt.NDArray[Any]) -> None:
    """Put `content`, as float32, in the place of constant input `index` of a layer."""
    value = node.inputs[index]
    assert value is not None, "a layer has constants"
    name = str(value.name)
    node.replace_input_with(index, None)
    del graph.initializers[name]
    node.replace_input_with(index, add_constant(graph, name, content.astype(np.float32)))
