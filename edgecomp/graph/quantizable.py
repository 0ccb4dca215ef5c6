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

from edgecomp.graph import integer_limits as limits
from edgecomp.graph.qdq import dequantization_of
from edgecomp.graph.values import constant_input, dtype_of, is_constant

Limit = Callable[[ir.Node], bool]
"""Holds for a node the integer path takes; its docstring is what a user is told otherwise."""


class Role(Enum):
    """How an operator treats scales."""

    WEIGHTED = "constant int8 weights, int32 bias, an output scale of its own"
    ARITHMETIC = "activations in, an output scale of its own"
    TABLE = "one activation in, an output scale of its own, one output for each input value"
    SAME_SCALE = "output and inputs share one scale"
    ANSWER = "activations in, a result that is no activation: truth values or indices"


@dataclass(frozen=True)
class Rule:
    """What the integer path asks of an operator.

    Attributes:
        role: how it treats scales.
        limits: what must hold for a node to have an integer meaning.
        variadic: whether every input is an activation, and not only the first.
        fuses: whether a Relu or Clip that alone reads the output is computed with it.
        output: scale and zero point of the output where the meaning fixes them.
        data: which inputs are activations, where it is neither the first alone nor all.
        chosen: whether the quantize pass makes it integer; where not, it is integer only in a
            model that comes quantized.
        chosen_if: what must hold besides `limits` for the quantize pass to make it integer.
    """

    role: Role
    limits: tuple[Limit, ...] = ()
    variadic: bool = False
    fuses: bool = False
    output: tuple[float, int] | None = None
    data: tuple[int, ...] | None = None
    chosen: bool = True
    chosen_if: tuple[Limit, ...] = ()


RULES: Mapping[str, Rule] = {
    "Conv": Rule(
        Role.WEIGHTED,
        (
            limits.constant_weights,
            limits.symmetric_weights,
            limits.constant_bias,
            limits.spatial_rank,
        ),
        fuses=True,
    ),
    "Gemm": Rule(
        Role.WEIGHTED,
        (
            limits.constant_weights,
            limits.symmetric_weights,
            limits.constant_bias,
            limits.plain_gemm,
        ),
        fuses=True,
    ),
    "MatMul": Rule(
        Role.WEIGHTED,
        (limits.constant_weights, limits.symmetric_weights, limits.matrix_weights),
        fuses=True,
    ),
    "ConvTranspose": Rule(
        Role.WEIGHTED,
        (
            limits.constant_weights,
            limits.symmetric_weights,
            limits.constant_bias,
            limits.spatial_rank,
        ),
        fuses=True,
        chosen=False,
    ),
    "Add": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "Sub": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "Mul": Rule(Role.ARITHMETIC, variadic=True, fuses=True),
    "Div": Rule(Role.ARITHMETIC, variadic=True, fuses=True, chosen=False),
    "Max": Rule(Role.ARITHMETIC, variadic=True, chosen=False),
    "Min": Rule(Role.ARITHMETIC, variadic=True, chosen=False),
    "PRelu": Rule(Role.ARITHMETIC, variadic=True, chosen=False),
    "Where": Rule(Role.ARITHMETIC, data=(1, 2), chosen=False),
    "ReduceMean": Rule(Role.ARITHMETIC, (limits.constant_axes,)),
    "ReduceSum": Rule(Role.ARITHMETIC, (limits.constant_axes,), chosen=False),
    "ReduceProd": Rule(Role.ARITHMETIC, (limits.constant_axes,), chosen=False),
    "ReduceMax": Rule(Role.SAME_SCALE, (limits.constant_axes,)),
    "ReduceMin": Rule(Role.SAME_SCALE, (limits.constant_axes,)),
    "Softmax": Rule(Role.ARITHMETIC, (limits.last_axis,), output=(1 / 256, -128)),
    "LogSoftmax": Rule(Role.ARITHMETIC, (limits.last_axis,), output=(16 / 256, 127), chosen=False),
    "LpNormalization": Rule(
        Role.ARITHMETIC, (limits.last_axis, limits.euclidean), output=(1 / 128, 0), chosen=False
    ),
    "Relu": Rule(Role.TABLE),
    "Clip": Rule(Role.TABLE, (limits.constant_parameters,)),
    "LeakyRelu": Rule(Role.TABLE),
    "Elu": Rule(Role.TABLE),
    "HardSwish": Rule(Role.TABLE),
    "HardSigmoid": Rule(Role.TABLE),
    "Sigmoid": Rule(Role.TABLE, output=(1 / 256, -128)),
    "Tanh": Rule(Role.TABLE, output=(1 / 128, 0)),
    "Abs": Rule(Role.TABLE, chosen=False),
    "Erf": Rule(Role.TABLE, chosen=False),
    "Exp": Rule(Role.TABLE, chosen=False),
    "Gelu": Rule(Role.TABLE, chosen=False),
    "Log": Rule(Role.TABLE, chosen=False),
    "Neg": Rule(Role.TABLE, chosen=False),
    "Reciprocal": Rule(Role.TABLE, chosen=False),
    "Softplus": Rule(Role.TABLE, chosen=False),
    "Sqrt": Rule(Role.TABLE, chosen=False),
    "MaxPool": Rule(
        Role.SAME_SCALE, (limits.values_only, limits.spatial_rank, limits.plain_window)
    ),
    "AveragePool": Rule(Role.SAME_SCALE, (limits.spatial_rank, limits.plain_window)),
    "GlobalAveragePool": Rule(Role.ARITHMETIC, (limits.spatial_rank,)),
    "GlobalMaxPool": Rule(Role.SAME_SCALE, (limits.spatial_rank,)),
    "Concat": Rule(Role.SAME_SCALE, variadic=True),
    "Reshape": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Flatten": Rule(Role.SAME_SCALE),
    "Transpose": Rule(Role.SAME_SCALE),
    "Squeeze": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Unsqueeze": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Slice": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Pad": Rule(Role.SAME_SCALE, (limits.one_kind_of_padding,), chosen_if=(limits.pads_with_zero,)),
    "Resize": Rule(Role.SAME_SCALE, (limits.constant_parameters, limits.interpolates_in_steps)),
    "Expand": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Tile": Rule(Role.SAME_SCALE, (limits.constant_parameters,)),
    "Gather": Rule(Role.SAME_SCALE),
    "DepthToSpace": Rule(Role.SAME_SCALE, (limits.image_of_blocks,)),
    "SpaceToDepth": Rule(Role.SAME_SCALE, (limits.image_of_blocks,)),
    "ArgMax": Rule(Role.ANSWER, chosen=False),
    "ArgMin": Rule(Role.ANSWER, chosen=False),
    "Equal": Rule(Role.ANSWER, variadic=True, chosen=False),
    "Greater": Rule(Role.ANSWER, variadic=True, chosen=False),
    "GreaterOrEqual": Rule(Role.ANSWER, variadic=True, chosen=False),
    "Less": Rule(Role.ANSWER, variadic=True, chosen=False),
    "LessOrEqual": Rule(Role.ANSWER, variadic=True, chosen=False),
}

# fmt: off
WIDE = frozenset([
    "Abs", "Add", "ArgMax", "ArgMin", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose",
    "DepthToSpace", "Equal", "Exp", "Expand", "Flatten", "Gather", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "Greater", "GreaterOrEqual", "LeakyRelu", "Less", "LessOrEqual", "MatMul",
    "Max", "MaxPool", "Min", "Mul", "PRelu", "Pad", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax",
    "SpaceToDepth", "SquaredDifference", "Squeeze", "Sub", "Tanh", "Tile", "Transpose",
    "Unsqueeze", "Where",
])
# fmt: on
"""Operators that have an integer meaning between int16 activations, too."""

OWN_DOMAIN = "edgecomp"
"""The domain of operators of ours that stand for several of ONNX's."""

OWN_RULES: Mapping[str, Rule] = {
    "Rsqrt": Rule(Role.TABLE, chosen=False),
    "SquaredDifference": Rule(Role.ARITHMETIC, (limits.two_operands,), variadic=True, chosen=False),
}
"""Rules of the operators of `OWN_DOMAIN` that have an integer meaning of their own."""

_PRODUCT = Rule(Role.ARITHMETIC, variadic=True, fuses=True, chosen=False)

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


def rule_of(node: ir.Node) -> Rule | None:
    """The rule for `node`; a MatMul with weights has another than one of two activations."""
    if node.domain == OWN_DOMAIN:
        return OWN_RULES.get(node.op_type)
    if node.domain != "":
        return None
    if node.op_type == "MatMul" and limits.product_of_activations(node):
        return _PRODUCT
    return RULES.get(node.op_type)


def why_float(node: ir.Node) -> str | None:
    """Why `node` has no integer meaning, as in "its weights are not constant"; None if it has.

    The node may stand in a float graph or between DequantizeLinear and QuantizeLinear.
    """
    rule = rule_of(node)
    if rule is None:
        return f"there is no integer {node.op_type}"
    data = activation_inputs(node)
    if not data or any(dtype_of(value) != "float32" for value in data):
        return "it does not work on float32"
    if is_constant(data[0]) and not rule.variadic and rule.data is None:
        return "its input is constant"
    kinds = {found.dtype for value in data if (found := dequantization_of(value)) is not None}
    if "int16" in kinds and node.op_type not in WIDE:
        return f"there is no integer {node.op_type} of int16"
    failed = [limit for limit in rule.limits if not limit(node)]
    return str(failed[0].__doc__) if failed else None


def why_not_chosen(node: ir.Node) -> str | None:
    """Why the quantize pass leaves `node` in float; None if it makes it integer."""
    rule = rule_of(node)
    if rule is not None and not rule.chosen:
        return f"the quantize pass leaves {node.op_type} in float"
    reason = why_float(node)
    if rule is None or reason is not None:
        return reason
    failed = [limit for limit in rule.chosen_if if not limit(node)]
    return str(failed[0].__doc__) if failed else None


def activation_inputs(node: ir.Node) -> tuple[ir.Value, ...]:
    """The inputs of `node`, which has an integer meaning, that are quantized as activations.

    Constants are among them where the operator is variadic (Add, Concat ...).
    """
    rule = rule_of(node)
    assert rule is not None, "asked only of operators with a rule"
    if rule.data is not None:
        wanted = tuple(node.inputs[index] for index in rule.data)
    else:
        wanted = tuple(node.inputs) if rule.variadic else tuple(node.inputs[:1])
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
    rule = rule_of(node)
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
