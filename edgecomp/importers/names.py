"""Unique, stable node names: what the user is told must be found in the user's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx
import onnx_ir as ir


def name_nodes(proto: onnx.ModelProto) -> None:
    """Give nodes without a name, and later nodes of the same name, one made of op and output.

    The first of two nodes called `conv` keeps its name, the second becomes `Conv_<output>`.
    """
    nodes = list(proto.graph.node)
    for node, name in zip(
        nodes, _unique([(n.name, _own(n, n.output)) for n in nodes]), strict=True
    ):
        node.name = name


def name_new_nodes(graph: ir.Graph) -> None:
    """The same for the nodes that the importer's own steps have made."""
    nodes = list(graph)
    wanted = [(n.name or "", _own(n, [v.name or "" for v in n.outputs])) for n in nodes]
    for node, name in zip(nodes, _unique(wanted), strict=True):
        node.name = name


def _own(node: onnx.NodeProto | ir.Node, outputs: Iterable[str]) -> str:
    """The name made of a node's operator and its first output."""
    return "_".join([node.op_type, *[name for name in outputs if name][:1]])


def _unique(wanted: Sequence[tuple[str, str]]) -> list[str]:
    """For each (name in the file, name instead) a name no other has; first come, first served."""
    first: dict[str, int] = {}
    for index, (name, _) in enumerate(wanted):
        if name:
            first.setdefault(name, index)
    taken = set(first)
    names = []
    for index, (name, instead) in enumerate(wanted):
        if first.get(name) != index:
            name, count = instead, 1
            while name in taken:
                count += 1
                name = f"{instead}_{count}"
            taken.add(name)
        names.append(name)
    return names
