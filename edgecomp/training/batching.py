"""Whether a graph computes the samples of a batch by itself, given them along its first axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import onnx_ir as ir

from edgecomp.graph.values import shape_of

_ELEMENTWISE = frozenset(
    {"Add", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
     "Identity", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid", "Softplus", "Sub", "Tanh"}
)  # fmt: skip
_OF_CHANNELS = frozenset(
    {"AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}
)
"""Operators that ONNX defines with samples along the first axis."""


def computes_batches(
    nodes: Iterable[ir.Node], inputs: Iterable[ir.Value], wanted: Iterable[str]
) -> bool:
    """Whether `nodes` mean, for [samples, ...], what they mean for each sample [1, ...].

    Then no `torch.vmap` is needed, which costs time: its convolutions lose their memory format.
    Only what is known to keep samples apart counts.

    Args:
        nodes: of a graph, in execution order.
        inputs: of the graph, which have the samples.
        wanted: names of values that have to depend on them.
    """
    sampled = set(inputs)
    if any(not _has_one(value) for value in sampled):
        return False
    for node in nodes:
        read = [value for value in node.inputs if value is not None]
        if not sampled.intersection(read):
            continue
        if not _keeps_apart(node, sampled) or not all(map(_has_one, node.outputs)):
            return False
        sampled.update(node.outputs)
    return set(wanted) <= {str(value.name) for value in sampled}


def _has_one(value: ir.Value) -> bool:
    """Whether the first axis of `value` can have samples."""
    shape = shape_of(value)
    return len(shape) > 1 and shape[0] == 1


def _keeps_apart(node: ir.Node, sampled: set[ir.Value]) -> bool:
    first, *others = node.inputs
    if node.domain != "":
        return False
    if node.op_type in _ELEMENTWISE:
        rank = len(shape_of(node.outputs[0]))
        return all(_aligned(v, rank, v in sampled) for v in node.inputs if v is not None)
    known = node.op_type in _OF_CHANNELS or _CONDITIONS.get(node.op_type, _never)(node)
    return known and first in sampled and not sampled.intersection(v for v in others if v)


def _aligned(value: ir.Value, rank: int, sampled: bool) -> bool:
    """Whether a broadcast to `rank` axes keeps the samples of `value` along the first."""
    shape = shape_of(value)
    return len(shape) == rank if sampled else len(shape) < rank or shape[0] == 1


def _never(node: ir.Node) -> bool:
    return False


def _along_others(node: ir.Node) -> bool:
    """Whether a Softmax runs along another axis than the first."""
    rank = len(shape_of(node.outputs[0]))
    return node.attributes.get_int("axis", -1) % rank > 0


def _per_tensor(node: ir.Node) -> bool:
    """Whether one scale serves all samples."""
    scale = node.inputs[1]
    return scale is not None and len(shape_of(scale)) == 0


_CONDITIONS: Mapping[str, Callable[[ir.Node], bool]] = {
    "DequantizeLinear": _per_tensor,
    "Flatten": lambda node: node.attributes.get_int("axis", 1) == 1,
    "Gemm": lambda node: node.attributes.get_int("transA", 0) == 0,
    "LogSoftmax": _along_others,
    "QuantizeLinear": _per_tensor,
    "Softmax": _along_others,
}
"""Operators that keep samples apart under a condition, the first input having them alone."""
