"""Unique, stable node names: what the user is told must be found in the user's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
import onnx_ir as ir


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give nodes without a name, and later nodes of the same name, one made of op and output.

    The first of two nodes called `conv` keeps its name, the second becomes `Conv_<output>`. The
    nodes of subgraphs likewise, each subgraph by itself.
    """
    graphs = [graph]
    while graphs:
        nodes = list(graphs.pop().node)
        wanted = [(node.name, _own(node.op_type, node.output)) for node in nodes]
        for node, name in zip(nodes, _unique(wanted), strict=True):
            node.name = name
            graphs.extend(a.g for a in node.attribute if a.HasField("g"))
            graphs.extend(each for a in node.attribute for each in a.graphs)


def file_names(graph: onnx.GraphProto) -> dict[str, str]:
    """The name in the file of every node, by the name it has in the main graph.

    A node of a subgraph gets there when an `If` is inlined, as `<name of the If>_<its name>`.
    """
    names: dict[str, str] = {}
    graphs = [("", graph)]
    while graphs:
        prefix, subgraph = graphs.pop()
        for node in subgraph.node:
            full = f"{prefix}{node.name}"
            if node.name:
                names[full] = node.name
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    graphs.append((f"{full}_", attribute.g))
    return names


def name_new_nodes(graph: ir.Graph, names: Mapping[str, str]) -> None:
    """Give nodes that are in `names` (see `file_names`) the name in the file, and others their own.

    The others are those that the importer's own steps have made.
    """
    nodes = list(graph)
    wanted = [
        (
            names.get(str(node.name)),
            _own(node.op_type, [str(value.name or "") for value in node.outputs]),
        )
        for node in nodes
    ]
    for node, name in zip(nodes, _unique(wanted), strict=True):
        node.name = name


def _own(op_type: str, outputs: Iterable[str]) -> str:
    """The name made of a node's operator and its first output."""
    return "_".join([op_type, *[name for name in outputs if name][:1]])


def _unique(wanted: Sequence[tuple[str | None, str]]) -> list[str]:
    """For each (name in the file, name instead) a name no other has; first come, first served."""
    first: dict[str, int] = {}
    for index, (name, _) in enumerate(wanted):
        if name:
            first.setdefault(name, index)
    taken = set(first)
    names = []
    for index, (name, instead) in enumerate(wanted):
        if not name or first[name] != index:
            name, count = instead, 1
            while name in taken:
                count += 1
                name = f"{instead}_{count}"
            taken.add(name)
        names.append(name)
    return names
