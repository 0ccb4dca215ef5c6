"""An ONNX graph under construction: nodes, constants, and the type of every value at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import defs, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.folding import KEPT, SMALL_BYTES
from edgecomp.importers.inputs import MAX_ELEMENTS
from edgecomp.importers.opset import OPSET

Array = npt.NDArray[Any]

IR_VERSION = 10

_KNOWN_VALUES = 64
"""A constant of at most so many elements may decide a shape (axes, pads ...)."""


class GraphBuilder:
    """Appends nodes whose operands exist already, so that the graph is sorted and has no cycle.

    A node whose operands are all constant is computed at once, if its result is small.
    """

    def __init__(self) -> None:
        self.constants: dict[str, Array] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._types: dict[str, onnx.TypeProto] = {}
        self._names: dict[str, int] = {}
        self._made: dict[str, onnx.NodeProto] = {}
        self._read: set[str] = set()
        self._node_names: dict[str, int] = {}
        self._functions: list[onnx.FunctionProto] = []
        self.opsets = [helper.make_opsetid("", OPSET)]

    def fresh(self, name: str) -> str:
        """`name` for a value, or a name made of it where another value has it."""
        return _fresh(name, self._names)

    def input(self, name: str, shape: Sequence[int], dtype: str) -> str:
        """A graph input; it gets the name given."""
        unique = self.fresh(name)
        self._types[unique] = _type(shape, np.dtype(dtype))
        return unique

    def constant(self, array: Array, name: str) -> str:
        """A constant; the name of an equal scalar or vector may be given instead of a new one."""
        unique = self.fresh(name)
        self.constants[unique] = np.ascontiguousarray(array).reshape(array.shape)
        self._types[unique] = _type(array.shape, array.dtype)
        return unique

    def shape(self, value: str) -> tuple[int, ...]:
        """The static shape of a value."""
        return tuple(dim.dim_value for dim in self._types[value].tensor_type.shape.dim)

    def dtype(self, value: str) -> np.dtype[Any]:
        """The element type of a value."""
        return helper.tensor_dtype_to_np_dtype(self._types[value].tensor_type.elem_type)

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        name: str,
        results: Sequence[str],
        attributes: Mapping[str, Any],
    ) -> list[str]:
        """Append a node named `name` whose outputs are named `results`, made unique.

        Raises:
            EdgecompError: the operands do not fit the operator, or an output's shape is not
                static or too large.
        """
        while inputs and inputs[-1] == "":
            inputs = inputs[:-1]
        outputs = [self.fresh(result) for result in results]
        node = helper.make_node(op_type, inputs, outputs, **attributes)
        node.name = _fresh(name, self._node_names)
        types = self._infer(node)
        for output in outputs:
            self._types[output] = types[output]
            self._made[output] = node
        self._read.update(inputs)
        computed = self._computed(node)
        if computed is None:
            self._nodes.append(node)
        else:
            for output, array in zip(outputs, computed, strict=True):
                self.constants[output] = np.asarray(array)
        return outputs

    def dequantized(self, value: str) -> str | None:
        """The integers of which a DequantizeLinear makes `value`, or None."""
        node = self._made.get(value)
        return node.input[0] if node is not None and node.op_type == "DequantizeLinear" else None

    def rename(self, value: str, name: str) -> str:
        """Call a value that no node reads yet `name`, if that is free; return what it is called."""
        if name in self._names or value in self._read or value not in self._made:
            return value
        self._names[name] = 0
        self._types[name] = self._types.pop(value)
        node = self._made[name] = self._made.pop(value)
        if value in self.constants:
            self.constants[name] = self.constants.pop(value)
        outputs = [name if output == value else output for output in node.output]
        del node.output[:]
        node.output.extend(outputs)
        return name

    def call(
        self,
        function: onnx.FunctionProto,
        inputs: Sequence[str],
        name: str,
        results: Mapping[str, tuple[Sequence[int], str]],
    ) -> list[str]:
        """Append a node named `name` that calls `function`, which becomes part of the model.

        Args:
            inputs: operands; "" where one is left out.
            results: shape and element type of each output by its name, which is made unique.
        """
        self._functions.append(function)
        outputs = [self.fresh(result) for result in results]
        node = helper.make_node(function.name, inputs, outputs, domain=function.domain)
        node.name, node.overload = _fresh(name, self._node_names), function.overload
        for output, (shape, dtype) in zip(outputs, results.values(), strict=True):
            self._types[output] = _type(shape, np.dtype(dtype))
            self._made[output] = node
        self._read.update(inputs)
        self._nodes.append(node)
        return outputs

    def model(self, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        """The graph as a model, with the constants that are read and the functions called."""
        domains = sorted({function.domain for function in self._functions})
        return helper.make_model(
            self.graph(name, inputs, outputs),
            functions=self._functions,
            opset_imports=[*self.opsets, *(helper.make_opsetid(each, 1) for each in domains)],
            ir_version=IR_VERSION,
        )

    def function_nodes(self) -> list[onnx.NodeProto]:
        """The nodes as the body of a function has them: constants are nodes, too."""
        used = {value for node in self._nodes for value in node.input}
        constants = [
            helper.make_node("Constant", [], [value], value=numpy_helper.from_array(array))
            for value, array in self.constants.items()
            if value in used
        ]
        return [*constants, *self._nodes]

    def graph(self, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.GraphProto:
        """The graph, with the constants that are read."""
        used = {value for node in self._nodes for value in node.input} | set(outputs)
        constants = [
            numpy_helper.from_array(array, value)
            for value, array in self.constants.items()
            if value in used
        ]

        def described(value: str) -> onnx.ValueInfoProto:
            return helper.make_value_info(value, self._types[value])

        return helper.make_graph(
            self._nodes,
            name,
            [described(value) for value in inputs],
            [described(value) for value in outputs],
            constants,
        )

    def _infer(self, node: onnx.NodeProto) -> Mapping[str, onnx.TypeProto]:
        """The type of each output of `node`."""
        schema = defs.get_schema(node.op_type, OPSET)
        operands = [value for value in node.input if value]
        types = {value: self._types[value] for value in operands}
        data = {
            value: numpy_helper.from_array(self.constants[value], value)
            for value in operands
            if value in self.constants and self.constants[value].size <= _KNOWN_VALUES
        }
        try:
            found: dict[str, onnx.TypeProto] = onnx.shape_inference.infer_node_outputs(
                schema, node, types, data, opset_imports=self.opsets, ir_version=IR_VERSION
            )
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise EdgecompError(
                Reason(
                    f"its operands do not fit ({_last_line(error)})",
                    node.name,
                    "convert the model again",
                )
            ) from error
        for output in node.output:
            _require_bearable(node, output, found.get(output))
        return found

    def _computed(self, node: onnx.NodeProto) -> list[Array] | None:
        """The outputs of a node whose operands are all constant and whose outputs are small."""
        operands = [value for value in node.input if value]
        if node.op_type in KEPT or any(value not in self.constants for value in operands):
            return None
        if any(self._bytes(value) > SMALL_BYTES for value in (*operands, *node.output)):
            return None
        graph = helper.make_graph(
            [node],
            "constant",
            [
                helper.make_value_info(value, self._types[value])
                for value in dict.fromkeys(operands)
            ],
            [helper.make_value_info(value, self._types[value]) for value in node.output],
        )
        model = helper.make_model(graph, opset_imports=self.opsets, ir_version=IR_VERSION)
        values = {value: self.constants[value] for value in operands}
        try:
            with np.errstate(all="ignore"):
                computed = ReferenceEvaluator(model).run(None, values)
        except Exception:  # whatever the operator's own implementation raises: it stays a node
            return None
        return [np.asarray(array) for array in computed]

    def _bytes(self, value: str) -> int:
        return math.prod(self.shape(value)) * self.dtype(value).itemsize


def _type(shape: Sequence[int], dtype: np.dtype[Any]) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), list(shape))


def _fresh(name: str, taken: dict[str, int]) -> str:
    """`name`, or `name_2` ... where it is taken; remembered as taken."""
    count = taken.get(name, 0)
    unique = name
    while unique in taken:
        count += 1
        unique = f"{name}_{count + 1}"
    taken[name] = max(count, taken.get(name, 0))
    taken.setdefault(unique, 0)
    return unique


def _require_bearable(node: onnx.NodeProto, output: str, found: onnx.TypeProto | None) -> None:
    """Raise unless the shape of an output is static and can be laid out in memory."""
    dims = [] if found is None else list(found.tensor_type.shape.dim)
    unknown = found is None or not found.tensor_type.HasField("shape")
    if unknown or any(not dim.HasField("dim_value") for dim in dims):
        raise EdgecompError(
            Reason(
                f"the shape of the output of {node.op_type} is not known at compile time",
                node.name,
                "convert the model with static shapes",
            )
        )
    sizes = [dim.dim_value for dim in dims]
    if any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        raise EdgecompError(
            Reason(f"its output of shape {sizes} cannot be laid out in memory", node.name)
        )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].rstrip(".")[:200] if lines else type(error).__name__
