"""What is wrong with a model before anything is done with it, by the user's names."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from edgecomp.errors import Reason
from edgecomp.importers.opset import nodes_of


def unsupported(proto: onnx.ModelProto) -> Iterator[Reason]:
    """Reasons why no part of edgecomp can use what the model holds."""
    graph = proto.graph
    for sparse in graph.sparse_initializer:
        yield Reason("the tensor is sparse", sparse.values.name, "store it as a dense tensor")
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            yield Reason("the tensor holds strings", tensor.name, "use a model of numbers only")
    if not graph.output:
        yield Reason("the graph has no outputs", graph.name, "export the model again")
    for node in nodes_of(proto):
        for attribute in node.attribute:
            if attribute.HasField("s") and not _is_utf8(attribute.s):
                yield Reason(
                    f"the attribute {attribute.name} is no text", node.name, "export again"
                )
    inputs = {value.name for value in graph.input}
    for value in graph.output:
        if value.name in inputs:
            yield Reason("the output is an input itself", value.name, "remove it from the outputs")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def miswired(graph: onnx.GraphProto) -> Iterator[Reason]:
    """Reasons why the values that nodes read and make do not fit together."""
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in made:
                yield Reason(f"the value {name} is made twice", node.name, "export the model again")
            made.add(name)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in made:
                yield Reason(f"nothing makes its input {name}", node.name, "export the model again")
    for value in graph.output:
        if value.name not in made:
            yield Reason("nothing makes this output", value.name, "export the model again")
    yield from _cycle(graph)


def _cycle(graph: onnx.GraphProto) -> Iterator[Reason]:
    """A reason naming the nodes that wait for each other, by Kahn's topological sort."""
    readers: dict[str, list[int]] = {}
    makers = {name for node in graph.node for name in node.output if name}
    waits = []
    for index, node in enumerate(graph.node):
        reads = {name for name in node.input if name in makers}
        waits.append(len(reads))
        for name in reads:
            readers.setdefault(name, []).append(index)
    ready = [index for index, count in enumerate(waits) if count == 0]
    done = 0
    while ready:
        done += 1
        for name in graph.node[ready.pop()].output:
            for reader in readers.get(name, []):
                waits[reader] -= 1
                if waits[reader] == 0:
                    ready.append(reader)
    if done < len(waits):
        stuck = [graph.node[index].name for index, count in enumerate(waits) if count > 0]
        named = ", ".join(stuck[:5]) + (" ..." if len(stuck) > 5 else "")
        yield Reason(
            f"nodes wait for each other's outputs ({named}): the graph has a cycle",
            graph.name,
            "export the model again",
        )
