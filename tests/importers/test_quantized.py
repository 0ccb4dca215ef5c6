"""Quantized models of other tools mean the same after import, and become integer operators."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from edgecomp.importers import load
from edgecomp.lowering.lower import lower
from edgecomp.model import Model
from edgecomp.reference import Executor

SHAPE = (1, 3, 12, 12)


def float_net() -> onnx.ModelProto:
    """A residual net with the operators that quantizers treat in their own ways."""
    rng = np.random.default_rng(3)
    constants = []

    def weights(name: str, *shape: int) -> str:
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def bias(name: str, count: int) -> str:
        constants.append(numpy_helper.from_array(rng.normal(size=count).astype(np.float32), name))
        return name

    nodes = [
        helper.make_node(
            "Conv", ["x", weights("w1", 8, 3, 3, 3), bias("b1", 8)], ["c1"], pads=[1] * 4
        ),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", weights("w2", 8, 1, 3, 3)], ["c2"], pads=[1] * 4, group=8),
        helper.make_node("Add", ["c2", "p1"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["gate"]),
        helper.make_node("Mul", ["sum", "gate"], ["gated"]),
        helper.make_node("Concat", ["gated", "p1"], ["both"], axis=1),
        helper.make_node("GlobalAveragePool", ["both"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", weights("w3", 5, 16), bias("b3", 5)], ["y"], transB=1),
    ]
    for node in nodes:
        node.name = f"{node.op_type} of {node.output[0]}"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Ten random images."""

    def __init__(self) -> None:
        self._rows: Iterator[dict[str, Any]] = iter([{"x": image(seed)} for seed in range(10)])

    def get_next(self) -> dict[str, Any] | None:
        """The next one, None at the end."""
        return next(self._rows, None)


def image(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def quantized(folder: Path, **options: Any) -> Path:
    logging.getLogger().setLevel(logging.ERROR)
    onnx.save(float_net(), folder / "float.onnx")
    path = folder / "quantized.onnx"
    quantize_static(str(folder / "float.onnx"), str(path), Samples(), **options)
    return path


def onnxruntime_output(path: Path, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return np.asarray(onnxruntime.InferenceSession(str(path), options).run(None, {"x": x})[0])


def floats_of(model: Model) -> list[str]:
    return [call.op for call in lower(model).calls if call.where == "float"]


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_onnxruntime_quantization(
    tmp_path: Path, form: QuantFormat, activations: QuantType, per_channel: bool
) -> None:
    path = quantized(
        tmp_path,
        quant_format=form,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )

    model = load(path)

    assert floats_of(model) == []
    for seed in (20, 21):
        got = Executor(model.graph).run({"x": image(seed)})["y"]
        scale = lower(model).outputs[0].scale
        assert scale is not None
        # the file's own operators round each for itself, so that a few steps may add up
        assert np.abs(got - onnxruntime_output(path, image(seed))).max() <= 3 * scale


def test_four_bit_weights_are_computed_with_as_int8(tmp_path: Path) -> None:
    path = quantized(tmp_path, activation_type=QuantType.QInt8, weight_type=QuantType.QInt4)

    model = load(path)

    assert floats_of(model) == []
    assert {array.dtype.name for array in lower(model).constants.values()} <= {"int8", "int32"}
    types = {value.dtype.name for value in model.graph.graph.initializers.values() if value.dtype}
    assert "INT4" in types, "lowering leaves the model as it is"


def test_uint8_signature_is_kept(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["real"]),
        helper.make_node("Relu", ["real"], ["positive"]),
        helper.make_node("QuantizeLinear", ["positive", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "uint8",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, 4])],
        [
            numpy_helper.from_array(np.float32(0.1), "scale"),
            numpy_helper.from_array(np.uint8(100), "zero"),
        ],
    )
    path = tmp_path / "uint8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)

    model = load(path)
    program = lower(model)

    for spec in (*program.inputs, *program.outputs):
        assert (spec.dtype, spec.zero_point) == ("uint8", 100)
    assert [call.where for call in program.calls] == ["integer"] * len(program.calls)
    x = np.array([[0, 99, 100, 255]], np.uint8)
    assert Executor(model.graph).run({"x": x})["y"].tolist() == [[100, 100, 100, 255]]


def test_an_operator_of_several_nodes_keeps_its_name(tmp_path: Path) -> None:
    path = quantized(tmp_path, quant_format=QuantFormat.QOperator, weight_type=QuantType.QInt8)
    operators = {node.name: node.op_type for node in onnx.load(path).graph.node}

    named = {str(node.name): node.op_type for node in load(path).graph.graph}

    for name, op in operators.items():
        if op in ("QLinearConv", "QLinearAdd", "QLinearSigmoid", "QLinearConcat"):
            assert named[name] == op.removeprefix("QLinear")
    assert "QLinearConv" in operators.values()
