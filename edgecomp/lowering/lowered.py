"""The kernel of one node, and the attributes of integer nodes it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgecomp.graph.values import constant_of, dtype_of, shape_of
from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.conv import Rescale
from edgecomp.lowering.kernels.elementwise import BinaryScales


@dataclass(frozen=True)
class Lowered:
    """One kernel for one node.

    Attributes:
        func: TIR over the operands, in order: the node's inputs that are passed, then its output.
        schedule_as: the schedule a target picks.
        macs: multiply-accumulate operations.
        inputs: which of the node's inputs are operands.
        work: the same as values, for targets that bring a kernel of their own.
        carried: as in `edgecomp.program.Kernel`.
    """

    func: Any
    schedule_as: str
    macs: int = 0
    inputs: tuple[int, ...] | None = None
    work: Any = None
    carried: tuple[tuple[int, int], ...] = ()


def input_shape(node: ir.Node, index: int = 0) -> tuple[int, ...]:
    """The shape of an input."""
    value = node.inputs[index]
    assert value is not None
    return shape_of(value)


def output_shape(node: ir.Node) -> tuple[int, ...]:
    """The shape of the output."""
    return shape_of(node.outputs[0])


def int_list(node: ir.Node, name: str) -> tuple[int, ...]:
    """An attribute of several integers; empty when absent."""
    return tuple(node.attributes.get_ints(name, []))


def int_of(node: ir.Node, name: str) -> int:
    """An attribute of one integer."""
    attribute = node.attributes[name]
    return attribute.as_int()


def multiplier_of(node: ir.Node) -> Multiplier:
    """The fixed-point multiplier of a node that has one."""
    return Multiplier(int_of(node, "mantissa"), int_of(node, "shift"))


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A shape of four axes."""
    batch, height, width, channels = shape
    return batch, height, width, channels


def element_type(node: ir.Node) -> str:
    """The element type of the first input."""
    value = node.inputs[0]
    assert value is not None
    return dtype_of(value)


def rescale_of(node: ir.Node) -> Rescale:
    """How a weighted node brings its sums to activations."""
    shifts = constant_of(node.inputs[4])
    assert shifts is not None
    only_down = bool((shifts <= 0).all())
    low, high = int_of(node, "low"), int_of(node, "high")
    return Rescale(int_of(node, "zero_point"), low, high, only_down, element_type(node))


def binary_scales(node: ir.Node) -> BinaryScales:
    """The constants of a node of two operands."""
    mantissas, shifts = int_list(node, "mantissas"), int_list(node, "shifts")
    first, second, output = map(Multiplier, mantissas, shifts)
    left, right = int_list(node, "zero_points")
    return BinaryScales(
        (left, right),
        (first, second),
        output,
        int_of(node, "zero_point"),
        int_of(node, "low"),
        int_of(node, "high"),
        element_type(node),
    )
