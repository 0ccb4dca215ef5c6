"""Write a quantization into the graph: QuantizeLinear, DequantizeLinear, integer constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.qdq import DEQUANTIZE, QUANTIZE, quantized_source
from edgecomp.graph.quantizable import RULES, Role, activation_inputs
from edgecomp.graph.values import constant_of
from edgecomp.passes.quantize_plan import Plan
from edgecomp.passes.quantize_weights import INT4_LIMIT, QuantizedWeights
from edgecomp.passes.ranges import Q_MAX, Q_MIN, Affine


@dataclass(frozen=True, eq=False)
class _Parameters:
    """The constants a QuantizeLinear or DequantizeLinear reads; one object wherever shared."""

    scale: ir.Value
    zero_point: ir.Value
    axis: int | None = None

    @property
    def attributes(self) -> dict[str, ir.Attr]:
        return {} if self.axis is None else {"axis": ir.AttrInt64("axis", self.axis)}


@dataclass(frozen=True, eq=False)
class _Writer:
    """A graph being rewritten.

    Attributes:
        graph: changed in place.
        names: every name of a node or a value in use.
        constants: every initializer written, by the name wanted and its content.
    """

    graph: ir.Graph
    names: set[str] = field(default_factory=set)
    constants: dict[tuple[str, bytes], ir.Value] = field(default_factory=dict)

    def fresh(self, wanted: str) -> str:
        """A name not in use yet, `wanted` if possible."""
        name, number = wanted, 1
        while name in self.names:
            name, number = f"{wanted}_{number}", number + 1
        self.names.add(name)
        return name

    def constant(self, name: str, content: npt.NDArray[Any]) -> ir.Value:
        """An initializer; the one written before, where name and content are the same."""
        key = (name, content.tobytes())
        if key in self.constants:
            return self.constants[key]
        tensor = ir.tensor(content, name=self.fresh(name))
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape(content.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        self.constants[key] = value
        return value

    def parameters(
        self, name: str, scale: npt.NDArray[np.float32], dtype: type, axis: int | None = None
    ) -> _Parameters:
        """Parameters with zero point 0."""
        zero_point: npt.NDArray[Any] = np.zeros(scale.shape, dtype)
        return _Parameters(
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", zero_point),
            axis if scale.ndim else None,
        )

    def affine(self, name: str, parameters: Affine) -> _Parameters:
        """Parameters of an activation."""
        return _Parameters(
            self.constant(f"{name}_scale", np.asarray(parameters.scale, np.float32)),
            self.constant(f"{name}_zero_point", np.asarray(parameters.zero_point, np.int8)),
        )

    def node(
        self, op_type: str, source: ir.Value, parameters: _Parameters, output: ir.Value
    ) -> ir.Node:
        """A QuantizeLinear or DequantizeLinear, not yet in the graph."""
        return ir.Node(
            "",
            op_type,
            [source, parameters.scale, parameters.zero_point],
            parameters.attributes,
            outputs=[output],
            name=self.fresh(f"{source.name}_{op_type}"),
        )

    def value(self, name: str, like: ir.Value, dtype: ir.DataType) -> ir.Value:
        """A new value of the shape of `like`."""
        return ir.Value(name=self.fresh(name), shape=like.shape, type=ir.TensorType(dtype))

    def dequantized_constant(
        self, name: str, content: npt.NDArray[Any], parameters: _Parameters, before: ir.Node
    ) -> ir.Value:
        """What `before` reads in place of a float constant."""
        stored = self.constant(f"{name}_quantized", content)
        output = self.value(f"{name}_dequantized", stored, ir.DataType.FLOAT)
        self.graph.insert_before(before, self.node(DEQUANTIZE, stored, parameters, output))
        return output

    def round_trip(
        self, value: ir.Value, parameters: _Parameters
    ) -> tuple[list[ir.Node], ir.Value]:
        """QuantizeLinear and DequantizeLinear of `value`, not yet in the graph; what they give."""
        stored = self.value(f"{value.name}_quantized", value, ir.DataType.INT8)
        output = self.value(f"{value.name}_dequantized", value, ir.DataType.FLOAT)
        quantize = self.node(QUANTIZE, value, parameters, stored)
        return [quantize, self.node(DEQUANTIZE, stored, parameters, output)], output


def write_quantization(
    graph: ir.Graph,
    plan: Plan,
    parameters: Mapping[str, Affine],
    weights: Mapping[str, QuantizedWeights],
) -> dict[str, str]:
    """Quantize `graph` in place.

    Args:
        graph: the float graph that `plan` was made for, or its clone.
        plan: what becomes integer.
        parameters: scale and zero point of every group, by the name of its first value.
        weights: the integer form of the constants of every weighted integer node, by its name.

    Returns:
        Names of the constants that hold integer weights, by name of the float ones.
    """
    by_name = {str(v.name): v for v in _values(graph)}
    nodes = {str(node.name): node for node in graph}
    writer = _Writer(graph, {*by_name, *nodes})
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
    fused = {nodes[name] for name in plan.fused.values()}
    readers = [node for node in integer if node not in fused]
    for group in plan.groups:
        affine = parameters[group.values[0]]
        shared = writer.affine(group.values[0], affine)
        for name in group.values:
            value = by_name[name]
            if (content := constant_of(value)) is not None:
                _write_constant(writer, value, content, affine, shared, readers)
            elif name in plan.requantized:
                _write_twice(writer, value, plan.requantized[name], shared, integer)
            else:
                _write_activation(writer, value, shared, integer)
    _drop_unused(graph)
    return integers


def _values(graph: ir.Graph) -> list[ir.Value]:
    outputs = [value for node in graph for value in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *outputs]


def _write_weights(writer: _Writer, node: ir.Node, quantized: QuantizedWeights) -> None:
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
    writer: _Writer,
    value: ir.Value,
    content: npt.NDArray[Any],
    affine: Affine,
    shared: _Parameters,
    readers: list[ir.Node],
) -> None:
    steps = np.rint(content / np.float32(affine.scale)) + affine.zero_point
    quantized = np.clip(steps, Q_MIN, Q_MAX).astype(np.int8)
    reading = [node for node in readers if value in activation_inputs(node)]
    output = writer.dequantized_constant(str(value.name), quantized, shared, reading[0])
    _redirect(value, output, reading)


def _write_activation(
    writer: _Writer, value: ir.Value, shared: _Parameters, integer: list[ir.Node]
) -> None:
    added, output = writer.round_trip(value, shared)
    if value.producer() in integer:
        _replace_everywhere(writer, value, output, added[0])
    else:
        _redirect(value, output, integer)
    _insert_after(writer.graph, value, added)


def _write_twice(
    writer: _Writer,
    value: ir.Value,
    own: Affine,
    shared: _Parameters,
    integer: list[ir.Node],
) -> None:
    """`value` in its own scale for all readers but those that keep the scale of the group."""
    first, middle = writer.round_trip(value, writer.affine(str(value.name), own))
    _replace_everywhere(writer, value, middle, first[0])
    second, output = writer.round_trip(middle, shared)
    keeping = [node for node in integer if RULES[node.op_type].role is Role.SAME_SCALE]
    _redirect(middle, output, keeping)
    _insert_after(writer.graph, value, [*first, *second])


def _redirect(value: ir.Value, output: ir.Value, readers: list[ir.Node]) -> None:
    for use in list(value.uses()):
        if use.node in readers:
            use.node.replace_input_with(use.idx, output)


def _replace_everywhere(
    writer: _Writer, value: ir.Value, output: ir.Value, quantize: ir.Node
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
