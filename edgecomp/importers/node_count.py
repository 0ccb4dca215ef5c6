"""How many nodes a model has once its functions are written out, and how many are too many.

A file of a few kilobytes can define functions that call each other twice, forty levels deep.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator

import onnx

from edgecomp.errors import Reason

MAX_NODES = 10_000
"""Models for devices have tens to thousands of nodes; the importer takes seconds for these."""

Function = tuple[str, str]


def too_many_nodes(proto: onnx.ModelProto) -> Iterator[Reason]:
    """A reason when the model has more than `MAX_NODES` nodes with its functions written out."""
    count = written_out(proto)
    if count > MAX_NODES:
        shown = f"{count}" if count < 10**9 else "billions of"
        yield Reason(
            f"the graph has {shown} nodes with its functions written out, and {MAX_NODES} are "
            "the most that are handled",
            proto.graph.name,
            "simplify or split the model",
        )


def written_out(proto: onnx.ModelProto) -> int:
    """The number of nodes, a function's counted for each call; calls in a circle count once."""
    called = {
        (function.domain, function.name): list(_operators(function.node))
        for function in proto.functions
    }
    counts: dict[Function, int] = {}
    try:
        order = list(graphlib.TopologicalSorter(called).static_order())
    except graphlib.CycleError:
        order = []
    for function in order:
        if function in called:
            counts[function] = sum(counts.get(operator, 1) for operator in called[function])
    return sum(counts.get(operator, 1) for operator in _operators(proto.graph.node))


def _operators(nodes: Iterable[onnx.NodeProto]) -> Iterator[Function]:
    """Domain and name of the operator of every node, those of subgraphs too."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node.domain, node.op_type
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                waiting.extend(graph.node)
