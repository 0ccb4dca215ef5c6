"""A case as a model: of floats, or quantized to int8 around its one operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edgecomp.graph.quantizable import RULES, Role
from tests.onnx_cases.draw import Bias, Fed, Spec, Weights

Array = npt.NDArray[Any]
Grid = tuple[np.float32, np.int8]
"""Scale and zero point."""


@dataclass(frozen=True)
class Built:
    """A model of one operator.

    Attributes:
        proto: the model.
        inputs: what it is given, by name.
        wanted: what onnxruntime makes of that, by name.
        scale: of the quantized output; None where outputs are no quantized floats.
    """

    proto: onnx.ModelProto
    inputs: Mapping[str, Array]
    wanted: Mapping[str, Array]
    scale: float | None = None


class _Graph:
    """Collects nodes, inputs and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: dict[str, Array] = {}

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, operands: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, operands, outputs, outputs[0], **attributes))
        return outputs[0]

    def feed(self, array: Array) -> str:
        name = f"input{len(self.inputs)}"
        self.inputs[name] = array
        return name

    def quantized(self, value: str, grid: Grid) -> str:
        """`value` through QuantizeLinear and DequantizeLinear."""
        constants = [self.constant(number) for number in grid]
        steps = self.add("QuantizeLinear", [value, *constants], f"{value}_steps")
        return self.add("DequantizeLinear", [steps, *constants], f"{value}_real")

    def stored(self, steps: Array, scale: Array, axis: int | None = None) -> str:
        """Constant integers, dequantized."""
        operands = [self.constant(steps), self.constant(scale)]
        along = {} if axis is None else {"axis": axis}
        return self.add("DequantizeLinear", operands, f"{operands[0]}_real", **along)

    def built(self, outputs: list[str], scale: float | None = None) -> Built:
        proto = self._proto([onnx.ValueInfoProto(name=name) for name in outputs])
        wanted = _reference(proto, self.inputs, outputs)
        proto = self._proto([_described(name, wanted[name]) for name in outputs])
        return Built(proto, self.inputs, wanted, scale)

    def _proto(self, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        inputs = [_described(name, array) for name, array in self.inputs.items()]
        graph = helper.make_graph(self.nodes, "case", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _described(name: str, array: Array) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, dtype, array.shape)


def _reference(
    proto: onnx.ModelProto, inputs: Mapping[str, Array], outputs: list[str]
) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))


def float_model(spec: Spec) -> Built:
    """The operator in floats."""
    graph = _Graph()
    operands = []
    for operand in spec.operands:
        if isinstance(operand, Fed):
            operands.append(graph.feed(operand.content))
        elif operand is None:
            operands.append("")
        else:
            content = operand.content if isinstance(operand, (Weights, Bias)) else operand
            operands.append(graph.constant(content))
    outputs = [f"output{i}" for i in range(spec.outputs)]
    graph.add(spec.op, operands, *outputs, **spec.attributes)
    return graph.built(outputs)


def int8_model(spec: Spec) -> Built:
    """The operator between DequantizeLinear and QuantizeLinear, inputs on their grids."""
    rule = RULES[spec.op]
    real = next(iter(float_model(spec).wanted.values()))
    fed = [x.content for x in spec.operands if isinstance(x, Fed) and x.content.dtype.kind == "f"]
    shared = _grid(np.concatenate([array.reshape(-1) for array in fed]))
    graph = _Graph()
    operands: list[str] = []
    scale = np.ones(1, np.float32)  # of products
    for operand in spec.operands:
        if isinstance(operand, Fed) and operand.content.dtype.kind == "f":
            grid = shared if rule.role is Role.SAME_SCALE else _grid(operand.content)
            scale = scale * grid[0]
            operands.append(graph.quantized(graph.feed(_on(operand.content, grid)), grid))
        elif isinstance(operand, Weights):
            steps, scales = _weights(operand)
            scale = scale * scales
            operands.append(graph.stored(steps, scales, operand.axis))
        elif isinstance(operand, Bias):
            whole = np.full(operand.content.shape, scale, np.float32)
            steps = np.rint(operand.content / whole).astype(np.int32)
            operands.append(graph.stored(steps, whole, 0))
        else:
            operands.append(_as_it_is(graph, operand))
    graph.add(spec.op, operands, "made", **spec.attributes)
    if rule.role is Role.ANSWER:
        return graph.built(["made"])
    result = _result_grid(rule, shared, real)
    return graph.built([graph.quantized("made", result)], float(result[0]))


def _as_it_is(graph: _Graph, operand: Any) -> str:
    if operand is None:
        return ""
    return graph.feed(operand.content) if isinstance(operand, Fed) else graph.constant(operand)


def _result_grid(rule: Any, shared: Grid, real: Array) -> Grid:
    if rule.role is Role.SAME_SCALE:
        return shared
    if rule.output is not None:
        return np.float32(rule.output[0]), np.int8(rule.output[1])
    return _grid(real)


def _grid(values: Array) -> Grid:
    """What holds `values` and 0."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = np.float32(max((high - low) / 255, 1e-4))
    return scale, np.int8(np.clip(np.rint(-128 - low / scale), -128, 127))


def _on(values: Array, grid: Grid) -> Array:
    """`values` at the nearest points of `grid`."""
    scale, zero_point = grid
    steps = np.clip(np.rint(values / scale) + zero_point, -128, 127) - zero_point
    return np.asarray(steps * scale, np.float32)


def _weights(weights: Weights) -> tuple[Array, Array]:
    content, axis = weights.content, weights.axis
    others = None if axis is None else tuple(i for i in range(content.ndim) if i != axis)
    largest = np.abs(content).max(axis=others, keepdims=True)
    scales = np.maximum(largest / 127, 1e-5).astype(np.float32)
    steps = np.rint(content / scales).astype(np.int8)
    return steps, scales.reshape(() if axis is None else -1)
