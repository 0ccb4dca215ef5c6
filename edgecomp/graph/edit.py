"""Small changes of an `onnx_ir` graph that keep the user's names."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx_ir as ir


def add_constant(graph: ir.Graph, name: str, content: npt.NDArray[Any]) -> ir.Value:
    """A new initializer holding `content`, called `name` or, where that is taken, `name_2` ..."""
    taken = {value.name for value in graph.inputs} | set(graph.initializers)
    taken |= {output.name for node in graph for output in node.outputs}
    unused, count = name, 1
    while unused in taken:
        count += 1
        unused = f"{name}_{count}"
    return register_constant(graph, unused, content)


def register_constant(graph: ir.Graph, name: str, content: npt.NDArray[Any]) -> ir.Value:
    """A new initializer holding `content`, called `name`, which no other initializer has."""
    tensor = ir.tensor(content, name=name)
    value = ir.Value(
        name=name,
        shape=ir.Shape(content.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def remove_node(node: ir.Node, replacement: ir.Value) -> None:
    """Remove a `node` of one output whose readers read `replacement` from now on.

    A node makes `replacement`, which takes over the name if the output is the graph's; a name
    the user knows from the signature has to stay.
    """
    output, graph = node.outputs[0], node.graph
    assert graph is not None, "the node belongs to a graph"
    is_output, name = output.is_graph_output(), output.name
    ir.convenience.replace_all_uses_with(output, replacement, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if is_output:
        replacement.name = name


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`; None for several readers, none, or a graph output."""
    users = list(value.uses())
    if len(users) != 1 or value.is_graph_output():
        return None
    return users[0].node
