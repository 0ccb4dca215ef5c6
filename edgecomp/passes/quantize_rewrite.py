"""Write a quantization into the graph: QuantizeLinear, DequantizeLinear, integer constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import quantized_source
from edgecomp.graph.quantizable import RULES, Role, activation_inputs
from edgecomp.graph.values import constant_of
from edgecomp.passes.quantize_grids import Grids
from edgecomp.passes.quantize_weights import INT4_LIMIT, QuantizedWeights
from edgecomp.passes.quantize_writer import Writer
from edgecomp.passes.ranges import WIDE_UNIT, Affine


def write_quantization(
    graph: ir.Graph,
    grids: Grids,
    weights: Mapping[str, QuantizedWeights],
) -> dict[str, str]:
    """Quantize `graph` in place.

    Args:
        graph: the float graph that the plan was made for, or its clone.
        grids: what becomes integer, and the scale and zero point of every group.
        weights: the integer form of the constants of every weighted integer node, by its name.

    Returns:
        Names of the constants that hold integer weights, by name of the float ones.
    """
    by_name = {str(v.name): v for v in _values(graph)}
    nodes = {str(node.name): node for node in graph}
    writer = Writer(graph, {*by_name, *nodes})
    plan = grids.plan
    integer = [nodes[name] for name in plan.nodes]
    integers = {}
    for node in integer:
        if node.name in weights:
            before = node.inputs[1]
            _write_weights(writer, node, weights[str(node.name)])
            after = quantized_source(node.inputs[1])
            assert before is not None, "a weighted node has weights"
            assert after is not None, "just written"
            integers[str(before.name)] = str(after.name)
    for group in plan.groups:
        for name in group.values:
            value = by_name[name]
            readers = _readers(value, group.values[0], grids, nodes)
            if (content := constant_of(value)) is not None:
                _write_constant(writer, value, content, readers)
                continue
            own = grids.own(group.values[0])
            if name in plan.requantized:
                fixed = WIDE_UNIT if own.dtype == WIDE_UNIT.dtype else plan.requantized[name]
                _write_twice(writer, value, fixed, readers, integer)
            else:
                _write_activation(writer, value, readers, integer)
    _drop_unused(graph)
    return integers


@dataclass(frozen=True, eq=False)
class _Readers:
    """Who reads a value as which integers.

    Attributes:
        group: the name constants with the parameters go by.
        own: the parameters the value has.
        by_grid: the integer nodes that read it, by the parameters they read it with.
    """

    group: str
    own: Affine
    by_grid: Mapping[Affine, list[ir.Node]]

    @property
    def others(self) -> Iterable[tuple[Affine, list[ir.Node]]]:
        """Those who read it with other parameters."""
        return ((grid, nodes) for grid, nodes in self.by_grid.items() if grid != self.own)


def _readers(value: ir.Value, group: str, grids: Grids, nodes: Mapping[str, ir.Node]) -> _Readers:
    found: dict[Affine, list[ir.Node]] = {}
    for name in grids.plan.makes:
        if value in activation_inputs(nodes[name]):
            found.setdefault(grids.read_by(name, str(value.name)), []).append(nodes[name])
    return _Readers(group, grids.own(group), found)


def _values(graph: ir.Graph) -> list[ir.Value]:
    outputs = [value for node in graph for value in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *outputs]


def _write_weights(writer: Writer, node: ir.Node, quantized: QuantizedWeights) -> None:
    for name in ("alpha", "beta"):
        node.attributes.pop(name, None)
    source = node.inputs[1]
    assert source is not None, "a weighted node has weights"
    dtype = np.int8 if quantized.limit > INT4_LIMIT else ml_dtypes.int4
    own = writer.parameters(str(source.name), quantized.scale, dtype, quantized.axis)
    content = quantized.weights.astype(dtype)
    weights = writer.dequantized_constant(str(source.name), content, own, node)
    node.replace_input_with(1, weights)
    if quantized.bias is None:
        return
    given = node.inputs[2] if len(node.inputs) > 2 else None
    name = str(given.name) if given is not None else f"{node.name}_bias"
    own = writer.parameters(name, quantized.bias_scale, np.int32, 0)
    node.resize_inputs(3)
    node.replace_input_with(2, writer.dequantized_constant(name, quantized.bias, own, node))


def _write_constant(
    writer: Writer,
    value: ir.Value,
    content: npt.NDArray[Any],
    readers: _Readers,
) -> None:
    for grid, reading in readers.by_grid.items():
        shared = writer.affine(readers.group, grid)
        stored = grid.quantized(content)
        output = writer.dequantized_constant(str(value.name), stored, shared, reading[0])
        _redirect(value, output, reading)


def _write_activation(
    writer: Writer, value: ir.Value, readers: _Readers, integer: list[ir.Node]
) -> None:
    added, output = writer.round_trip(value, writer.affine(readers.group, readers.own))
    if value.producer() in integer:
        _replace_everywhere(writer, value, output, added[0])
    else:
        _redirect(value, output, integer)
    _insert_after(writer.graph, value, [*added, *_converted(writer, output, readers)])


def _converted(writer: Writer, rounded: ir.Value, readers: _Readers) -> list[ir.Node]:
    """What brings a `rounded` value to the type of those who compute in another."""
    added = []
    for grid, reading in readers.others:
        nodes, output = writer.round_trip(rounded, writer.affine(readers.group, grid))
        _redirect(rounded, output, reading)
        added += nodes
    return added


def _write_twice(
    writer: Writer,
    value: ir.Value,
    fixed: Affine,
    readers: _Readers,
    integer: list[ir.Node],
) -> None:
    """`value` in its own scale for all readers but those that keep the scale of the group."""
    first, middle = writer.round_trip(value, writer.affine(str(value.name), fixed))
    _replace_everywhere(writer, value, middle, first[0])
    second, output = writer.round_trip(middle, writer.affine(readers.group, readers.own))
    keeping = [node for node in integer if RULES[node.op_type].role is Role.SAME_SCALE]
    _redirect(middle, output, keeping)
    added = [*first, *second, *_converted(writer, middle, readers)]
    _insert_after(writer.graph, value, added)


def _redirect(value: ir.Value, output: ir.Value, readers: list[ir.Node]) -> None:
    for use in list(value.uses()):
        if use.node in readers:
            use.node.replace_input_with(use.idx, output)


def _replace_everywhere(
    writer: Writer, value: ir.Value, output: ir.Value, quantize: ir.Node
) -> None:
    """Every reader of `value` but `quantize` reads `output`, the graph outputs too."""
    for use in list(value.uses()):
        if use.node is not quantize:
            use.node.replace_input_with(use.idx, output)
    if value.is_graph_output():
        name = value.name
        value.name = writer.fresh(f"{name}_float")
        output.name = name
        for place, each in enumerate(writer.graph.outputs):
            if each is value:
                writer.graph.outputs[place] = output


def _insert_after(graph: ir.Graph, value: ir.Value, nodes: list[ir.Node]) -> None:
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)


def _drop_unused(graph: ir.Graph) -> None:
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
