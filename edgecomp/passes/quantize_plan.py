"""Which nodes become integer, which values are quantized, and which of these share a scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.graph.narrow import is_widening
from edgecomp.graph.quantizable import (
    QUANTIZED_OPS,
    RULES,
    WIDE,
    Role,
    activation_inputs,
    fused_activation,
    why_not_chosen,
)
from edgecomp.passes.ranges import Affine


@dataclass(frozen=True)
class Group:
    """Values that share one scale and zero point.

    Attributes:
        values: the names of all members, in the order of the graph.
        observed: the members whose contents decide the range; the others move or select these.
        fixed: the parameters, where the meaning of an operator fixes them.
    """

    values: tuple[str, ...]
    observed: tuple[str, ...]
    fixed: Affine | None


@dataclass(frozen=True)
class Plan:
    """What becomes integer.

    Attributes:
        nodes: names of the integer nodes, in the order of the graph, fused activations included.
        fused: name of the activation fused into a node, by that node's name.
        groups: every quantized value is in exactly one.
        makes: the group of what a node, or the activation fused into it, gives: the name of the
            group's first value, by that of the node.
        reads: the groups of what it reads.
        requantized: values whose meaning fixes the scale but whose group has another one; nodes
            that keep scales read them requantized to the group's.
    """

    nodes: tuple[str, ...]
    fused: Mapping[str, str]
    groups: tuple[Group, ...]
    makes: Mapping[str, str]
    reads: Mapping[str, tuple[str, ...]]
    requantized: Mapping[str, Affine]


def make_plan(graph: ir.Graph, exclude: Sequence[str] = (), wide: bool = False) -> Plan:
    """Decide what becomes integer in a float `graph`.

    Nodes with weights do; every other node with an integer meaning does when it touches an integer
    node (so no value is rounded between two float nodes), or when no node has weights.

    Args:
        graph: a normalised float graph; node and value names are unique.
        exclude: patterns (`*`, `?`, `[...]`) of names of nodes that stay float.
        wide: whether activations are int16: operators without such a form stay float.

    Raises:
        EdgecompError: the graph is quantized already, a pattern matches no node, or nothing in it
            can be quantized.
    """
    nodes = list(graph)
    check_names(nodes, exclude)
    kept_float = spared_nodes(nodes, exclude)
    reasons = {node: why_not_chosen(node) or _why_not_wide(node, wide) for node in nodes}
    left = {node for node in nodes if node in kept_float or reasons[node] is not None}
    # an activation follows the node it would be computed with: one rounding, not two
    left |= {tail for node in left if (tail := fused_activation(node)) is not None}
    able = [node for node in nodes if node not in left]
    if not able:
        shown = [Reason(f"stays float: {r}", str(n.name)) for n, r in reasons.items() if r]
        raise EdgecompError([Reason("nothing in the model can be quantized"), *shown[:10]])
    tails = {node: tail for node in able if (tail := fused_activation(node)) in able and tail}
    integer = _integer_nodes(able, tails)
    return _with_groups([n for n in nodes if n in integer], tails)


def _why_not_wide(node: ir.Node, wide: bool) -> str | None:
    if wide and node.op_type not in WIDE:
        return f"there is no integer {node.op_type} of int16"
    return None


def spared_nodes(nodes: Iterable[ir.Node], exclude: Sequence[str]) -> set[ir.Node]:
    """The nodes whose names match a pattern."""
    return {n for n in nodes if any(fnmatchcase(str(n.name), p) for p in exclude)}


def check_names(nodes: Sequence[ir.Node], exclude: Sequence[str]) -> None:
    """Check that `nodes` are those of a float graph, and that each pattern matches one.

    Raises:
        EdgecompError: with every reason why not.
    """
    quantized = [node for node in nodes if node.op_type in QUANTIZED_OPS or is_widening(node)]
    if quantized:
        raise EdgecompError(
            Reason(
                f"the model is quantized already (this is a {quantized[0].op_type})",
                str(quantized[0].name),
                "give the float model, or leave the pass out",
            )
        )
    raise_if_any(
        [
            Reason(
                f"exclude={pattern} matches no node",
                "quantize",
                "give names that `edgecomp inspect` shows",
            )
            for pattern in exclude
            if not any(fnmatchcase(str(node.name), pattern) for node in nodes)
        ]
    )


def _integer_nodes(able: Sequence[ir.Node], tails: Mapping[ir.Node, ir.Node]) -> set[ir.Node]:
    weighted = [node for node in able if RULES[node.op_type].role is Role.WEIGHTED]
    integer = set(weighted or able)
    integer |= {tails[node] for node in integer if node in tails}
    grown = True
    while grown:
        joining = {
            node
            for node in able
            if node not in integer and any(other in integer for other in _neighbours(node))
        }
        joining |= {tails[node] for node in joining if node in tails}
        integer |= joining
        grown = bool(joining)
    return integer


def _neighbours(node: ir.Node) -> Iterable[ir.Node]:
    yield from (p for v in activation_inputs(node) if (p := v.producer()) is not None)
    for use in node.outputs[0].uses():
        if RULES.get(use.node.op_type) and use.node.inputs[use.idx] in activation_inputs(use.node):
            yield use.node


class _Sets:
    """Disjoint sets of values, the first value of each its representative."""

    def __init__(self) -> None:
        self._parent: dict[ir.Value, ir.Value] = {}

    def find(self, value: ir.Value) -> ir.Value:
        parent = self._parent.setdefault(value, value)
        while parent is not value:
            value, parent = parent, self._parent[parent]
        return value

    def join(self, first: ir.Value, second: ir.Value) -> None:
        self._parent[self.find(second)] = self.find(first)

    def groups(self) -> list[list[ir.Value]]:
        found: dict[ir.Value, list[ir.Value]] = {}
        for value in self._parent:
            found.setdefault(self.find(value), []).append(value)
        return list(found.values())


def _with_groups(integer: Sequence[ir.Node], tails: Mapping[ir.Node, ir.Node]) -> Plan:
    sets = _Sets()
    fused = {tail for node, tail in tails.items() if node in integer}
    derived: set[ir.Value] = set()
    fixed: dict[ir.Value, Affine] = {}
    for node in integer:
        if node in fused:
            continue
        rule = RULES[node.op_type]
        output = tails.get(node, node).outputs[0]
        inputs = activation_inputs(node)
        for value in (*inputs, output):
            sets.find(value)
        if rule.role is Role.SAME_SCALE:
            derived.add(output)
            for value in (*inputs[1:], output):
                sets.join(inputs[0], value)
        if rule.output is not None:
            fixed[output] = Affine(*rule.output)
    groups, requantized = [], {}
    for values in sets.groups():
        group = _group(values, derived, fixed)
        groups.append(group)
        if group.fixed is None:
            requantized.update({str(v.name): fixed[v] for v in values if v in fixed})
    names = {str(n.name): str(t.name) for n, t in tails.items() if n in integer}
    group_of = {name: group.values[0] for group in groups for name in group.values}
    makes, reads = {}, {}
    for node in [each for each in integer if each not in fused]:
        makes[str(node.name)] = group_of[str(tails.get(node, node).outputs[0].name)]
        reads[str(node.name)] = tuple(group_of[str(v.name)] for v in activation_inputs(node))
    nodes = tuple(str(n.name) for n in integer)
    return Plan(nodes, names, tuple(groups), makes, reads, requantized)


def _group(
    values: Sequence[ir.Value], derived: set[ir.Value], fixed: Mapping[ir.Value, Affine]
) -> Group:
    observed = [value for value in values if value not in derived]
    wanted = {fixed[value] for value in observed if value in fixed}
    agreed = len(wanted) == 1 and all(v in fixed for v in observed)
    return Group(
        tuple(str(value.name) for value in values),
        tuple(str(value.name) for value in observed),
        wanted.pop() if agreed else None,
    )
