"""Weights of a few values: a table, and for each weight the index of its value.

In a graph that is a call of the ONNX function `edgecomp.Palette`, whose body of standard operators
any ONNX runtime can run. Indices are uint4, two in a byte, where a table has up to 16 values.
Tables of several channels stand one behind the other; offsets say where each begins.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper

from edgecomp.graph.edit import add_constant
from edgecomp.graph.quantizable import OWN_DOMAIN
from edgecomp.graph.values import constant_input

Array = npt.NDArray[Any]

PALETTE = "Palette"
MOST_IN_4_BITS = 16

FUNCTION: onnx.FunctionProto = helper.make_function(
    OWN_DOMAIN,
    PALETTE,
    ["indices", "table", "offsets"],
    ["weights"],
    [
        helper.make_node("Cast", ["indices"], ["entries"], to=onnx.TensorProto.INT64),
        helper.make_node("Add", ["entries", "offsets"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["weights"], axis=0),
    ],
    [helper.make_opsetid("", 21)],
)
"""indices [as the weights], table [values of all channels], int64 offsets that broadcast."""


def is_palette(node: ir.Node | None) -> bool:
    """Whether `node` makes weights of a table."""
    return node is not None and node.domain == OWN_DOMAIN and node.op_type == PALETTE


def palette_bytes(indices: Array, table: Array) -> int:
    """Bytes that a palette takes in a file; arguments as those of `add_palette`."""
    bits = 4 if table.shape[-1] <= MOST_IN_4_BITS else 8
    offsets = 8 * (len(table) if table.ndim == 2 else 1)
    return -(-indices.size * bits // 8) + table.nbytes + offsets


def add_palette(model: ir.Model, name: str, indices: Array, table: Array) -> ir.Value:
    """Weights `table[indices]`, called `name`, as a node before all others.

    Args:
        model: the model; it gets the function where it lacks it.
        name: of the weights; no other value has it.
        indices: of the weights' shape.
        table: float or integer [values], or [channels, values] with the channels the first axis of
            the indices.
    """
    function = ir.serde.deserialize_function(FUNCTION)
    model.functions.setdefault(function.identifier(), function)
    model.opset_imports.setdefault(OWN_DOMAIN, 1)
    graph, count = model.graph, table.shape[-1]
    offsets = np.zeros((1,) * indices.ndim, np.int64)
    if table.ndim == 2:
        offsets = np.arange(len(table)).reshape([-1, *(1,) * (indices.ndim - 1)]) * count
    narrow = ml_dtypes.uint4 if count <= MOST_IN_4_BITS else np.uint8
    inputs = [
        add_constant(graph, f"{name}/indices", indices.astype(narrow)),
        add_constant(graph, f"{name}/table", table.reshape(-1)),
        add_constant(graph, f"{name}/offsets", offsets),
    ]
    node = ir.node(PALETTE, inputs, domain=OWN_DOMAIN, name=f"{name}/palette")
    made = node.outputs[0]
    made.name, made.type, made.shape = name, inputs[1].type, ir.Shape(indices.shape)
    graph.insert_before(graph[0], node)
    return made


def palette_of(value: ir.Value | None) -> tuple[Array, Array] | None:
    """Indices and table that make `value`, as `add_palette` takes them; None where none do."""
    node = None if value is None else value.producer()
    if node is None or not is_palette(node):
        return None
    indices, table, offsets = (constant_input(node, index) for index in range(3))
    if indices is None or table is None or offsets is None:
        return None
    rows = table.reshape(offsets.size, -1) if offsets.size > 1 else table
    return indices.astype(np.uint8), rows


def weights_of(indices: Array, table: Array) -> Array:
    """The weights that a palette stands for; arguments as those of `add_palette`."""
    if table.ndim == 1:
        return np.asarray(table[indices])
    channels = np.arange(len(table)).reshape([-1, *(1,) * (indices.ndim - 1)])
    return np.asarray(table[channels, indices])


def expand_palettes(model: ir.Model) -> None:
    """Put the weights themselves, as constants, in the place of every palette, in place."""
    for node in [node for node in model.graph if is_palette(node)]:
        output = node.outputs[0]
        found = palette_of(output)
        if found is None:
            continue
        name = str(output.name)
        output.name = f"{name}/expanded"
        constant = add_constant(model.graph, name, weights_of(*found))
        ir.convenience.replace_all_uses_with(output, constant, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
