"""Weights of half precision: the constants take half the bytes, all is computed in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.edit import add_constant
from edgecomp.graph.params import parameters_of
from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.graph.values import constant_of, elements_of
from edgecomp.model import Model
from edgecomp.passes.quantize_plan import check_names, spared_nodes

FEWEST = 64
"""Elements of a constant that is worth it: the Cast that it needs takes about 100 bytes."""


def with_half_weights(model: Model, exclude: Sequence[str], where: str) -> Model:
    """`model` with float16 in the place of learned float32 constants, each followed by a Cast.

    Constants with numbers that float16 has not, of more than 65,504, stay as they are.

    Args:
        model: a float model.
        exclude: patterns of names of nodes whose constants stay.
        where: the pass's name.

    Raises:
        EdgecompError: the model is quantized already, a pattern matches no node, or there is
            nothing to do.
    """
    graph = model.graph.clone()
    nodes = list(graph.graph)
    check_names(nodes, exclude)
    spared = spared_nodes(nodes, exclude)
    kept = {value for node in nodes if node in spared for value in node.inputs}
    found = dict.fromkeys(value for node in nodes for value in _halvable(node))
    chosen = [value for value in found if value not in kept]
    if not chosen:
        reason = f"no constant of {FEWEST} or more float32 numbers can become float16"
        raise EdgecompError(Reason(reason, where, "leave the pass out"))
    for value in chosen:
        _halve(graph.graph, value)
    return model.with_graph(graph)


def _halvable(node: ir.Node) -> list[ir.Value]:
    if node.domain == OWN_DOMAIN:  # its constants have a type of their own
        return []
    return [
        value
        for value in parameters_of(node)
        if value.dtype == ir.DataType.FLOAT
        and not value.is_graph_output()
        and elements_of(value) >= FEWEST
        and (content := constant_of(value)) is not None
        and np.abs(content).max() <= np.finfo(np.float16).max
    ]


def _halve(graph: ir.Graph, value: ir.Value) -> None:
    content, name = constant_of(value), str(value.name)
    assert content is not None, "a parameter is constant"
    users = list(value.uses())
    stored = add_constant(graph, f"{name}_half", content.astype(np.float16))
    cast = ir.node("Cast", [stored], {"to": int(ir.DataType.FLOAT)}, name=f"{name}/widened")
    made = cast.outputs[0]
    del graph.initializers[name]
    value.name = f"{name}_float32"
    made.name, made.shape, made.type = name, value.shape, ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(graph[0], cast)
    for use in users:
        use.node.replace_input_with(use.idx, made)
