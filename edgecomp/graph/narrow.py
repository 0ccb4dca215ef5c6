"""Constants of less bits than what is computed with them: 4-bit integers, 16-bit floats."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecomp.graph.edit import add_constant
from edgecomp.graph.values import constant_input, constant_of

WIDER = {ir.DataType.INT4: np.int8, ir.DataType.UINT4: np.uint8}


def widen_narrow_constants(model: ir.Model) -> None:
    """Give int4 and uint4 initializers a byte for each element, in place; the numbers stay."""
    for value in model.graph.initializers.values():
        wider = None if value.dtype is None else WIDER.get(value.dtype)
        content = constant_of(value)
        if wider is not None and content is not None:
            value.const_value = ir.tensor(content.astype(wider), name=value.name)
            # a type of its own: clones of a graph share them
            value.type = ir.TensorType(value.const_value.dtype)


def is_widening(node: ir.Node) -> bool:
    """Whether `node` makes float32 of a float16 constant."""
    if node.op_type != "Cast" or node.domain != "" or not node.inputs:
        return False
    content = constant_input(node, 0)
    to = node.attributes.get_int("to", 0)
    return content is not None and content.dtype == np.float16 and to == ir.DataType.FLOAT


def widen_half_weights(model: ir.Model) -> None:
    """Put float32 constants in the place of float16 ones and their Cast, in place."""
    for node in [node for node in model.graph if is_widening(node)]:
        content, made = constant_input(node, 0), node.outputs[0]
        assert content is not None, "it widens a constant"
        name = str(made.name)
        made.name = f"{name}/widened"
        constant = add_constant(model.graph, name, content.astype(np.float32))
        ir.convenience.replace_all_uses_with(made, constant, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
