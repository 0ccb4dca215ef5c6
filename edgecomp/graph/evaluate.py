"""One node, evaluated by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from edgecomp.graph.edit import register_constant
from edgecomp.graph.values import constant_of, is_constant

Array = npt.NDArray[Any]


def run_alone(node: ir.Node, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of `node` by the reference evaluator; `feeds` are called x0, x1 ..."""
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(node.inputs)]
    outputs = [f"y{i}" for i in range(len(node.outputs))]
    proto = onnx.helper.make_node(node.op_type, names, outputs)
    proto.attribute.extend(ir.to_proto(attribute) for attribute in node.attributes.values())
    kinds = {
        name: onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(feed.dtype), feed.shape
        )
        for name, feed in feeds.items()
    }
    unknown = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.INT64, None) for n in outputs]
    graph = onnx.helper.make_graph([proto], "move", list(kinds.values()), unknown)
    opset = onnx.helper.make_opsetid("", node.graph.opset_imports[""] if node.graph else 21)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    results = ReferenceEvaluator(model).run(None, dict(feeds))
    return [np.asarray(result) for result in results]


def fold_constant_nodes(graph: ir.Graph) -> None:
    """Replace, in place, every node that reads constants only by what it computes."""
    for node in list(graph):
        if any(value is not None and not is_constant(value) for value in node.inputs):
            continue
        contents = {f"x{i}": constant_of(value) for i, value in enumerate(node.inputs)}
        feeds = {name: content for name, content in contents.items() if content is not None}
        for output, content in zip(node.outputs, run_alone(node, feeds), strict=True):
            name, output.name = str(output.name), f"{output.name}/folded"
            made = register_constant(graph, name, np.asarray(content))
            ir.convenience.replace_all_uses_with(output, made, replace_graph_outputs=True)
        graph.remove(node, safe=True)
