"""Graphs of quantized operators in ONNX's QDQ form, and what runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgecomp.device import load_device
from edgecomp.importers.onnx import normalise
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

# name: shape, scale, zero point of the inputs
INPUTS: Mapping[str, tuple[tuple[int, ...], float, int]] = {
    "image": ((1, 6, 8, 10), 0.05, 7),
    "other": ((1, 6, 8, 10), 0.03, -11),
    "row": ((10,), 0.04, 3),
    "matrix": ((1, 6, 10, 4), 0.04, 3),
    "sequence": ((1, 6, 9), 0.05, 7),
    "positive": ((4, 50), 0.02, -128),
}


@dataclass(frozen=True)
class Grid:
    """How tensors are stored whose scale and zero point are given for int8.

    Attributes:
        dtype: of activations.
        finer: how many steps a step of int8 is.
        offset: what the zero point is moved by.
        weights: element type of weights.
        weights_offset: their zero point.
    """

    dtype: str
    finer: int = 1
    offset: int = 0
    weights: str = "int8"
    weights_offset: int = 0

    def steps(self, steps: Any) -> Array:
        """Integers for a tensor of int8 that stands for the same numbers."""
        return np.asarray(np.asarray(steps, np.int64) * self.finer + self.offset, self.dtype)


GRIDS: Mapping[str, Grid] = {
    "int8": Grid("int8"),
    "uint8": Grid("uint8", 1, 128, "uint8", 101),
    "int16": Grid("int16", 256),
    "uint16": Grid("uint16", 256, 2**15, "int16"),
}
"""By the element type of activations; the weights of the last two need more than 8 bits signed."""


@dataclass(frozen=True)
class Quantized:
    """A constant.

    Attributes:
        content: in int8 steps.
        scale, zero_point: likewise.
        axis: the channel axis, or None.
        is_weights: whether it is stored as a graph's weights are.
        stored: whether all that is as the model has it already.
    """

    content: Array
    scale: Array
    zero_point: int = 0
    axis: int | None = None
    is_weights: bool = False
    stored: bool = False


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def weights(*shape: int, axis: int | None = None) -> Quantized:
    generator = np.random.default_rng(sum(shape))
    count = 1 if axis is None else shape[axis]
    scale = generator.uniform(0.002, 0.01, count).astype(np.float32)
    content = generator.integers(-127, 128, shape).astype(np.int8)
    return Quantized(content, scale if axis is not None else scale.reshape(()), 0, axis, True)


def activation(content: Any, scale: float, zero_point: int) -> Quantized:
    return Quantized(np.array(content, np.int8), np.float32(scale).reshape(()), zero_point)


class QuantizedGraph:
    """Collects the nodes of a model of quantized operators."""

    def __init__(self, grid: Grid = GRIDS["int8"]) -> None:
        self.grid = grid
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        domain_name = f"{op.lower()} of {output}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=domain_name, **attributes))
        return output

    def quantize(self, value: str, scale: float, zero_point: int) -> str:
        """`value` through QuantizeLinear and DequantizeLinear."""
        steps = self.grid.steps(zero_point)
        grid = [self.constant(np.float32(scale / self.grid.finer)), self.constant(steps)]
        self.add("QuantizeLinear", [value, *grid], f"{value} quantized")
        return self.add("DequantizeLinear", [f"{value} quantized", *grid], f"{value} real")

    def operand(self, given: Any) -> str:
        if given is None or isinstance(given, str):
            return "" if given is None else f"{given} real"
        if not isinstance(given, Quantized):
            return self.constant(given)
        content, scale = self.grid.steps(given.content), given.scale / np.float32(self.grid.finer)
        zero_point = self.grid.steps(given.zero_point)
        if given.stored:
            content, scale = given.content, given.scale
            zero_point = np.asarray(given.zero_point, content.dtype)
        elif given.is_weights:
            kind, offset = self.grid.weights, self.grid.weights_offset
            wide = given.content.astype(np.int64) * (2 if kind == "int16" else 1)
            content = np.clip(wide + offset, *_limits(kind)).astype(kind)
            scale, zero_point = given.scale, np.full(given.scale.shape, offset, kind)
        grid = [self.constant(array) for array in (content, scale, zero_point)]
        axis = {} if given.axis is None else {"axis": given.axis}
        return self.add("DequantizeLinear", grid, f"{grid[0]} real", **axis)


def _limits(kind: str) -> tuple[int, int]:
    return int(np.iinfo(kind).min), int(np.iinfo(kind).max)


def typed_model(
    graph: QuantizedGraph, inputs: Sequence[str], outputs: Mapping[str, int]
) -> onnx.ModelProto:
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "operators",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, INPUTS[n][0]) for n in inputs],
            [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def samples(seed: int, names: Sequence[str]) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    samples = {}
    for name in names:
        shape, scale, zero_point = INPUTS[name]
        steps = generator.integers(-128, 128, shape)
        samples[name] = (np.float32(scale) * (steps - zero_point)).astype(np.float32)
    return samples


def reference(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    outputs: list[Array] = session.run(None, dict(inputs))
    return outputs


def compiled(proto: onnx.ModelProto, tmp_path: Path) -> tuple[Any, Session]:
    model = normalise(proto, {}, {}, "operators")
    path = tmp_path / "operators.edge"
    manifest = compile_model(model, load_device("host"), path)
    return manifest, Session(open_artifact(path))
