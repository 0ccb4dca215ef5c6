"""Unique, stable node names: what the user is told must be found in the user's file."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir


def name_nodes(proto: onnx.ModelProto) -> None:
    """Give nodes without a name, and later nodes of the same name, one made of op and output.

    A named node keeps its name, so that the second of two `conv` becomes `Conv_<output>`.
    """
    nodes = list(proto.graph.node)
    seen: set[str] = set()
    nameless = []
    for node in nodes:
        if not node.name or node.name in seen:
            nameless.append(node)
        else:
            seen.add(node.name)
    for node in nameless:
        output = next((name for name in node.output if name), "")
        node.name = _unused(f"{node.op_type}_{output}" if output else node.op_type, seen)


def name_new_nodes(graph: ir.Graph) -> None:
    """The same for the nodes that the importer's own steps have made."""
    seen: set[str] = set()
    nameless = []
    for node in graph:
        if not node.name or node.name in seen:
            nameless.append(node)
        else:
            seen.add(node.name)
    for node in nameless:
        output = next((str(value.name) for value in node.outputs if value.name), "")
        node.name = _unused(f"{node.op_type}_{output}" if output else node.op_type, seen)


def _unused(wanted: str, seen: set[str]) -> str:
    name = next(name for name in _candidates(wanted) if name not in seen)
    seen.add(name)
    return name


def _candidates(wanted: str) -> Iterator[str]:
    yield wanted
    count = 1
    while True:
        count += 1
        yield f"{wanted}_{count}"
