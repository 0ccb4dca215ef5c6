"""A piece of an ONNX graph on its way to TVM: nodes as protos, constants split in two kinds.

Constants TVM must know to shape the code (axes, pads, clip bounds) are embedded; weights stay
operands, so that two layers of the same structure share one kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from edgecomp.graph.values import constant_of, dtype_of, shape_of
from edgecomp.importers.opset import OPSET

# Operand positions TVM reads at compile time, by operator.
EMBEDDED_OPERANDS: dict[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "Expand": (1,),
    "OneHot": (1, 2),
    "Pad": (1, 2, 3),
    "Range": (0, 1, 2),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}


@dataclass
class Fragment:
    """An ONNX graph under construction. Tensors are named t0, t1 ... in order of appearance.

    Two groups of the same structure therefore serialize to the same bytes.

    Attributes:
        nodes: in execution order.
        names: our name of each value of the user's graph.
        operands: the value of the graph, or the constant made here, that each operand stands for.
        embedded: constants TVM sees, by our name.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    names: dict[ir.Value, str] = field(default_factory=dict)
    operands: dict[str, ir.Value | npt.NDArray[Any]] = field(default_factory=dict)
    embedded: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    count: int = 0

    def fresh(self) -> str:
        """A tensor name not used yet."""
        self.count += 1
        return f"t{self.count - 1}"

    def embed(self, array: npt.NDArray[Any]) -> str:
        """The name of a constant TVM sees."""
        name = self.fresh()
        self.embedded[name] = array
        return name

    def constant(self, array: npt.NDArray[Any]) -> str:
        """The name of a constant operand; a single number is embedded in the code instead."""
        if array.size == 1:
            return self.embed(array)
        name = self.fresh()
        self.operands[name] = array
        return name

    def read(self, value: ir.Value | None, op_type: str = "", position: int = 0) -> str:
        """The name of `value` as operand `position` of `op_type`; "" for an operand left out."""
        if value is None:
            return ""
        if value in self.names:
            return self.names[value]
        array = constant_of(value)
        if array is not None and (
            array.size == 1 or position in EMBEDDED_OPERANDS.get(op_type, ())
        ):
            return self.embed(array)
        self.names[value] = self.fresh()
        self.operands[self.names[value]] = value
        return self.names[value]

    def write(self, value: ir.Value) -> str:
        """The name `value` gets where it is computed."""
        self.names[value] = self.fresh()
        return self.names[value]

    def add(
        self, op_type: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """Append a node and return the name of its first output, a fresh one by default."""
        outputs = [self.fresh()] if outputs is None else outputs
        self.nodes.append(helper.make_node(op_type, inputs, outputs, **attributes))
        return outputs[0]

    def copy(self, node: ir.Node) -> None:
        """Append `node` as it is."""
        inputs = [self.read(value, node.op_type, i) for i, value in enumerate(node.inputs)]
        outputs = [self.write(value) for value in node.outputs]
        proto = ir.serde.serialize_node(node)
        copied = helper.make_node(node.op_type, inputs, outputs)
        copied.attribute.extend(sorted(proto.attribute, key=lambda attribute: attribute.name))
        self.nodes.append(copied)

    def model(self, outputs: list[ir.Value]) -> onnx.ModelProto:
        """The whole as an ONNX model that computes `outputs`."""
        inputs = [
            helper.make_tensor_value_info(name, *_type_of(operand))
            for name, operand in self.operands.items()
        ]
        results = [
            helper.make_tensor_value_info(self.names[value], *_type_of(value)) for value in outputs
        ]
        constants = [numpy_helper.from_array(array, n) for n, array in self.embedded.items()]
        graph = helper.make_graph(self.nodes, "group", inputs, results, constants)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _type_of(operand: ir.Value | npt.NDArray[Any]) -> tuple[int, tuple[int, ...]]:
    if isinstance(operand, np.ndarray):
        return helper.np_dtype_to_tensor_dtype(operand.dtype), operand.shape
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype_of(operand))), shape_of(operand)
