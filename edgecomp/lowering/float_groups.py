"""Which float nodes are computed by one kernel: grouping on the ONNX graph, where the names live.

A group is one node that does the work and the elementwise nodes after it. TVM could fuse further,
but on this side of it the user's node names and the list of operators a kernel stands for are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgecomp.graph.values import is_constant, shape_of

# Operators whose output element depends on the input elements of the same place alone, up to
# broadcasting. All have one output.
# fmt: off
ELEMENTWISE = frozenset([
    "Abs", "Add", "And", "BatchNormalization", "BitwiseXor", "Cast", "Ceil", "Clip", "Cos", "Div",
    "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid",
    "HardSwish", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mul",
    "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
    "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu",
    "Where", "Xor",
])
# fmt: on

# More would make a kernel whose operands no longer fit in registers.
LARGEST_GROUP = 16


@dataclass(frozen=True)
class FloatGroup:
    """Nodes that become one kernel where TVM can fuse them, and a few where it cannot.

    Attributes:
        nodes: in execution order; the first gives the group its name.
        inputs: values read from outside, constants included, in order of first use.
        outputs: values that are read outside; the last node's where none is.
    """

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @property
    def name(self) -> str:
        """The user's name of the node that does the work; its first output's where it has none."""
        return self.nodes[0].name or str(self.nodes[0].outputs[0].name)

    @property
    def op(self) -> str:
        """The operators, as in "Conv+Relu"."""
        return "+".join(node.op_type for node in self.nodes)


def group_float_nodes(nodes: Sequence[ir.Node]) -> list[FloatGroup]:
    """Partition `nodes` into groups.

    Args:
        nodes: float nodes in execution order; other nodes of the graph may lie between them.

    Returns:
        Groups in an order in which they can be executed: by their last node.
    """
    position = {node: index for index, node in enumerate(nodes)}
    taken: set[ir.Node] = set()
    groups: list[tuple[ir.Node, ...]] = []
    for node in nodes:
        if node in taken:
            continue
        members = _grow(node, position, taken)
        taken.update(members)
        groups.append(members)
    groups.sort(key=lambda members: position[members[-1]])
    return [_group(members) for members in groups]


def _grow(first: ir.Node, position: dict[ir.Node, int], taken: set[ir.Node]) -> tuple[ir.Node, ...]:
    """`first` and the longest run of elementwise followers of which one value is read outside."""
    members = [first]
    closed = 1
    while len(members) < LARGEST_GROUP and len(first.outputs) == 1:
        candidates = [
            user
            for value in _outputs(members)
            for user in value.consumers()
            if user in position and user not in taken and user not in members
        ]
        candidates = [node for node in candidates if _can_follow(node, first, members)]
        if not candidates:
            break
        members.append(min(candidates, key=position.__getitem__))
        if len(_read_outside(members)) == 1:
            closed = len(members)
    return tuple(sorted(members[:closed], key=position.__getitem__))


def _can_follow(node: ir.Node, first: ir.Node, members: Sequence[ir.Node]) -> bool:
    """Whether `node` is elementwise over outputs as large as the first node's."""
    if node.op_type not in ELEMENTWISE or node.domain not in ("", "ai.onnx"):
        return False
    if len(node.outputs) != 1 or shape_of(node.outputs[0]) != shape_of(first.outputs[0]):
        return False
    if node.op_type == "BatchNormalization":
        return node.inputs[0] in _outputs(members) and all(map(is_constant, node.inputs[1:]))
    return True


def _outputs(nodes: Iterable[ir.Node]) -> list[ir.Value]:
    return [value for node in nodes for value in node.outputs]


def _read_outside(members: Sequence[ir.Node]) -> list[ir.Value]:
    """Values of `members` that other nodes read or the graph gives out."""
    return [
        value
        for value in _outputs(members)
        if value.is_graph_output() or any(user not in members for user in value.consumers())
    ]


def _group(members: tuple[ir.Node, ...]) -> FloatGroup:
    inside = set(_outputs(members))
    inputs: dict[ir.Value, None] = {}
    for node in members:
        for value in node.inputs:
            if value is not None and value not in inside:
                inputs[value] = None
    outputs = _read_outside(members) or members[-1].outputs
    return FloatGroup(members, tuple(inputs), tuple(outputs))
