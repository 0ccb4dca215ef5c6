"""What each operator does to channel numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from edgecomp.graph.channels.combining import batch_norm, elementwise, matmul
from edgecomp.graph.channels.moving import gather, moved, pad, reduced, same_channels, slices
from edgecomp.graph.channels.trace import Trace
from edgecomp.graph.channels.weighted import conv, conv_transpose, gemm

Rule = Callable[[Trace, ir.Node], None]

ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "And", "BitShift", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div",
        "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater",
        "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less",
        "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or",
        "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin",
        "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where",
        "Xor",
    }
)  # fmt: skip
MOVES = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Reshape", "SpaceToDepth", "Split",
        "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
WINDOWS = frozenset(
    {
        "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LRN", "LpPool", "MaxPool",
        "Resize", "Upsample",
    }
)  # fmt: skip
"""Operators on the axes after the second; LRN looks at neighbours, whichever these then are."""

REDUCTIONS = frozenset(
    {
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    }
)  # fmt: skip

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(MOVES, moved),
    **dict.fromkeys(WINDOWS, same_channels),
    **dict.fromkeys(REDUCTIONS, reduced),
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gather": gather,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": pad,
    "Slice": slices,
}


def rule_of(node: ir.Node) -> Rule:
    """The rule of `node`; an operator without one keeps all its channels."""
    found = RULES.get(node.op_type) if node.domain == "" else None
    return found if found is not None else unknown


def unknown(trace: Trace, node: ir.Node) -> None:
    """Softmax, normalizations, recurrent cells and the like need every channel they were given."""
    trace.freeze(node, f"{node.op_type} needs all its channels")
