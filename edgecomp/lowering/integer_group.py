"""A QDQ group, and how its integer nodes are written into the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.edit import register_constant
from edgecomp.graph.qdq import Quantization
from edgecomp.graph.values import constant_input, constant_of, shape_of
from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import LIMITS, quantize_value

DOMAIN = "edgecomp.integer"


def is_int8(quantization: Quantization | None) -> bool:
    """Whether the tensor is int8 with one scale."""
    return quantization is not None and quantization.dtype == "int8" and quantization.per_tensor


def is_activation(quantization: Quantization | None) -> bool:
    """Whether integer operators take tensors of this quantization: int8 or int16, one scale."""
    return quantization is not None and quantization.dtype in LIMITS and quantization.per_tensor


@dataclass(frozen=True, eq=False)
class Operand:
    """A quantized tensor an operator reads."""

    value: ir.Value
    quantization: Quantization

    @property
    def scale(self) -> np.float32:
        """The scale, float32."""
        return np.float32(self.quantization.scale)

    @property
    def zero_point(self) -> int:
        """The zero point."""
        return int(self.quantization.zero_point)


@dataclass(frozen=True, eq=False)
class Group:
    """One operator between DequantizeLinear and QuantizeLinear.

    Attributes:
        graph: the graph it is in.
        node: the operator.
        activation: a Relu or Clip computed with it, or None.
        operands: its quantized inputs.
        result: scale and zero point of its output.
        quantizer: the node that makes the output: the QuantizeLinear, or the operator itself
            where its result is no quantized tensor.
    """

    graph: ir.Graph
    node: ir.Node
    activation: ir.Node | None
    operands: tuple[Operand, ...]
    result: Quantization
    quantizer: ir.Node

    @property
    def output(self) -> ir.Value:
        """What the group makes."""
        return self.quantizer.outputs[0]

    @property
    def label(self) -> str:
        """The operator and what is fused into it."""
        fused = [] if self.activation is None else [self.activation.op_type]
        return "+".join([self.node.op_type, *fused])

    @property
    def zero_point(self) -> int:
        """The zero point of the output."""
        return int(self.result.zero_point)

    def limits(self) -> tuple[int, int]:
        """The clamp of the output in its own steps: its type's range or the activation's."""
        return clamp_of(self.activation, self.result)


def clamp_of(activation: ir.Node | None, result: Quantization) -> tuple[int, int]:
    """The range of outputs after `activation` (Relu, Clip or None)."""
    low, high = LIMITS[result.dtype]
    if activation is None:
        return low, high
    least: npt.NDArray[Any] | None = np.zeros(())
    most: npt.NDArray[Any] | None = None
    if activation.op_type == "Clip":
        least, most = constant_input(activation, 1), constant_input(activation, 2)
    zero_point, scale = int(result.zero_point), float(result.scale)
    if least is not None:
        low = max(low, quantize_value(float(least), scale, zero_point))
    if most is not None:
        high = min(high, quantize_value(float(most), scale, zero_point))
    return low, high


def add_constant(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """A new initializer holding `array`, called `name` with as many primes as are not taken.

    Unlike `edgecomp.graph.edit.add_constant` it does not look at every node for each constant.
    """
    unique = name
    while unique in graph.initializers:
        unique += "'"
    return register_constant(graph, unique, np.ascontiguousarray(array).reshape(array.shape))


def integer_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    label: str,
    attributes: Mapping[str, Any] | None = None,
    domain: str = DOMAIN,
) -> ir.Node:
    node = ir.node(op_type, inputs, attributes=attributes, domain=domain, name=name)
    node.metadata_props["edgecomp.op"] = label
    first = inputs[0]
    assert first is not None
    node.outputs[0].shape, node.outputs[0].type = first.shape, first.type
    return node


def requantized(
    value: ir.Value, source: Quantization, result: Quantization, name: str
) -> list[ir.Node]:
    """Nodes that bring `value` to another grid or type; an Identity when these are equal."""
    if source.same_as(result):
        return [integer_node("Identity", [value], name, "Identity", domain="")]
    multiplier = multipliers.requantize_multiplier(
        np.float32(source.scale), np.float32(result.scale)
    )
    attributes = {
        "input_zero_point": int(source.zero_point),
        "mantissa": multiplier.mantissa,
        "shift": multiplier.shift,
        "zero_point": int(result.zero_point),
    }
    node = integer_node("Requantize", [value], name, "Requantize", attributes)
    node.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(np.dtype(result.dtype)))
    return [node]


def reshape_node(graph: ir.Graph, x: ir.Value, shape: tuple[int, ...], name: str) -> ir.Node:
    target = add_constant(graph, f"{name} shape", np.array(shape, np.int64))
    node = integer_node("Reshape", [x, target], name, "Reshape", domain="")
    node.outputs[0].shape = ir.Shape(shape)
    return node


def full_rank(group: Group, value: ir.Value) -> ir.Value:
    """`value`; a constant with as many axes as the output, so that the layout can turn it."""
    content = constant_of(value)
    rank = len(shape_of(group.output))
    shape = (1,) * (rank - len(shape_of(value))) + shape_of(value)
    if content is None or shape == shape_of(value):
        return value
    return add_constant(group.graph, f"{value.name} rank {rank}", content.reshape(shape))
