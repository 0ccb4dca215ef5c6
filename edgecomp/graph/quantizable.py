"""Which operators have an integer meaning, and what a quantized graph looks like around each.

The table is the whole answer: the quantize pass, lowering and `inspect` all read it. Meanings are
those of TFLite's 8-bit quantization specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from edgecomp.graph.qdq import quantized_source
from edgecomp.graph.values import (
    constant_input,
    dtype_of,
    elements_of,
    input_at,
    is_constant,
    shape_of,
)

Limit = Callable[[ir.Node], bool]
"""Holds for a node the integer path takes; its docstring is what a user is told otherwise."""


class Role(Enum):
    """How an operator treats scales."""

    WEIGHTED = "constant int8 weights, int32 bias, an output scale of its own"
    ARITHMETIC = "activations in, an output scale of its own"
    TABLE = "one activation in, an output scale of its own, one output for each input value"
    SAME_SCALE = "output and inputs share one scale"


@dataclass(frozen=True)
class Rule:
    """What the integer path asks of an operator.

    Attributes:
        role: how it treats scales.
        limits: what must hold for a node to have an integer meaning.
        variadic: whether every input is an activation, and not only the first.
        fuses: whether a Relu or Clip that alone reads the output is computed with it.
        output: scale and zero point of the output where the meaning fixes them.
    """

    role: Role
    limits: tuple[Limit, ...] = ()
    variadic: bool = False
    fuses: bool = False
    output: tuple[float, int] | None = None


def _known(value: ir.Value | None) -> bool:
    """Whether `value` is constant, or the dequantization of a constant."""
    return is_constant(value) or is_constant(quantized_source(value))


def _constant_weights(node: ir.Node) -> bool:
    """its weights are not constant"""
    return _known(input_at(node, 1))


def _constant_bias(node: ir.Node) -> bool:
    """its bias is not constant"""
    return input_at(node, 2) is None or _known(input_at(node, 2))


def _spatial_rank(node: ir.Node) -> bool:
    """it is neither 1-D nor 2-D"""
    return _rank(node) in (3, 4)


def _plain_gemm(node: ir.Node) -> bool:
    """it transposes its activations or adds a matrix"""
    bias = input_at(node, 2)
    vector = bias is None or elements_of(bias) in (1, *shape_of(bias)[-1:])
    return node.attributes.get_int("transA", 0) == 0 and vector


def _matrix_weights(node: ir.Node) -> bool:
    """its weights are not a matrix"""
    weights = input_at(node, 1)
    return weights is not None and len(shape_of(weights)) == 2


def _last_axis(node: ir.Node) -> bool:
    """it does not work on the last axis"""
    return node.attributes.get_int("axis", -1) in (-1, _rank(node) - 1)


def _values_only(node: ir.Node) -> bool:
    """it also returns indices"""
    return len(node.outputs) == 1


def _constant_parameters(node: ir.Node) -> bool:
    """its parameters are not constant"""
    return all(value is None or is_constant(value) for value in node.inputs[1:])


def _pads_with_zero(node: ir.Node) -> bool:
    """it pads with another value than zero"""
    value = constant_input(node, 2)
    return value is None or not value.any() or node.attributes.get_string("mode", "") == "reflect"


def _spatial_axes(node: ir.Node) -> bool:
    """it does not reduce the spatial axes of a 4-D tensor"""
    axes = constant_input(node, 1)
    return axes is not None and _rank(node) == 4 and sorted(int(a) % 4 for a in axes) == [2, 3]


def _nearest(node: ir.Node) -> bool:
    """it interpolates"""
    return node.attributes.get_string("mode", "nearest") == "nearest"


def _rank(node: ir.Node) -> int:
    value = node.inputs[0]
    return 0 if value is None else len(shape_of(value))


RULES: Mapping[str, Rule] = {
    "Conv": Rule(Role.WEIGHTED, (_constant_weights, _constant_bias, _spatial_rank), fuses=True),
    "Gemm": Rule(Role.WEIGHTED, (_constant_weights, _constant_bias, _plain_gemm), fuses=True),
    "MatMul": Rule(Role.WEIGHTED, (_constant_weights, _matrix_weights), fuses=True),
    "Add": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "Sub": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "Mul": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "ReduceMean": Rule(Role.ARITHMETIC, (_constant_parameters, _spatial_axes)),
    "Softmax": Rule(Role.ARITHMETIC, (_last_axis,), output=(1 / 256, -128)),
    "Relu": Rule(Role.TABLE),
    "Clip": Rule(Role.TABLE, (_constant_parameters,)),
    "LeakyRelu": Rule(Role.TABLE),
    "Elu": Rule(Role.TABLE),
    "HardSwish": Rule(Role.TABLE),
    "HardSigmoid": Rule(Role.TABLE),
    "Sigmoid": Rule(Role.TABLE, output=(1 / 256, -128)),
    "Tanh": Rule(Role.TABLE, output=(1 / 128, 0)),
    "MaxPool": Rule(Role.SAME_SCALE, (_values_only, _spatial_rank)),
    "AveragePool": Rule(Role.SAME_SCALE, (_spatial_rank,)),
    "GlobalAveragePool": Rule(Role.ARITHMETIC, (_spatial_rank,)),
    "Concat": Rule(Role.SAME_SCALE, variadic=True),
    "Reshape": Rule(Role.SAME_SCALE, (_constant_parameters,)),
    "Flatten": Rule(Role.SAME_SCALE),
    "Transpose": Rule(Role.SAME_SCALE),
    "Squeeze": Rule(Role.SAME_SCALE, (_constant_parameters,)),
    "Unsqueeze": Rule(Role.SAME_SCALE, (_constant_parameters,)),
    "Slice": Rule(Role.SAME_SCALE, (_constant_parameters,)),
    "Pad": Rule(Role.SAME_SCALE, (_constant_parameters, _pads_with_zero)),
    "Resize": Rule(Role.SAME_SCALE, (_constant_parameters, _nearest)),
}

FUSED_ACTIVATIONS = frozenset({"Relu", "Clip"})
"""Activations a node whose rule says `fuses` computes with its own output."""

QUANTIZED_OPS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)
"""Operators only an already quantized model has."""


def why_float(node: ir.Node) -> str | None:
    """Why `node` has no integer meaning, as in "its weights are not constant"; None if it has.

    The node may stand in a float graph or between DequantizeLinear and QuantizeLinear.
    """
    rule = RULES.get(node.op_type) if node.domain == "" else None
    if rule is None:
        return f"there is no integer {node.op_type}"
    first = node.inputs[0]
    if first is None or dtype_of(first) != "float32":
        return "it does not work on float32"
    if is_constant(first) and not rule.variadic:
        return "its input is constant"
    for limit in rule.limits:
        if not limit(node):
            return str(limit.__doc__)
    return None


def activation_inputs(node: ir.Node) -> tuple[ir.Value, ...]:
    """The inputs of `node`, which has an integer meaning, that are quantized as activations.

    Constants are among them where the operator is variadic (Add, Concat ...).
    """
    wanted = node.inputs if RULES[node.op_type].variadic else node.inputs[:1]
    return tuple(value for value in wanted if value is not None)


def weight_axis(node: ir.Node) -> int:
    """The output channel axis of the weights of a `Role.WEIGHTED` node."""
    if node.op_type == "Conv":
        return 0
    return 0 if node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1 else 1


def fused_activation(node: ir.Node) -> ir.Node | None:
    """The Relu or Clip that is computed together with `node`, or None.

    It must be the only reader of the node's output, and a Clip's bounds constants that keep zero.
    """
    rule = RULES.get(node.op_type)
    output = node.outputs[0]
    users = list(output.uses())
    if rule is None or not rule.fuses or output.is_graph_output() or len(users) != 1:
        return None
    user = users[0].node
    if user.op_type not in FUSED_ACTIVATIONS or user.domain != "" or users[0].idx != 0:
        return None
    return user if why_float(user) is None and _keeps_zero(user) else None


def _keeps_zero(node: ir.Node) -> bool:
    low, high = constant_input(node, 1), constant_input(node, 2)
    return bool(np.all(low is None or low <= 0) and np.all(high is None or high >= 0))
