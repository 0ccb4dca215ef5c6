"""Operators on quantized tensors, of the standard and of onnxruntime, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgecomp.importers.onnx import normalise
from edgecomp.importers.qoperator import MICROSOFT, RULES
from edgecomp.reference import Executor

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(6)
IMAGE = (1, 4, 6, 6)


def _grid(scale: float, zero_point: int) -> list[Array]:
    return [np.float32(scale), np.uint8(zero_point)]


def _bytes(*shape: int) -> Array:
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


X = _grid(0.05, 120)
W = _grid(0.01, 130)
Y = _grid(0.1, 110)
SCORES = [np.float32(1 / 256), np.uint8(0)]


@dataclass(frozen=True)
class Case:
    """What a node reads, of which the first is the input, and its attributes."""

    operands: list[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


CASES: Mapping[tuple[str, str], Case] = {
    ("", "QLinearConv"): Case(
        [_bytes(*IMAGE), *X, _bytes(5, 4, 3, 3), *W, *Y, RANDOM.integers(-900, 900, 5).astype("i4")]
    ),
    ("", "QLinearMatMul"): Case([_bytes(3, 7), *X, _bytes(7, 5), *W, *Y]),
    ("", "ConvInteger"): Case([_bytes(*IMAGE), _bytes(5, 4, 3, 3), X[1], W[1]]),
    ("", "MatMulInteger"): Case([_bytes(3, 7), _bytes(7, 5), X[1], W[1]]),
    (MICROSOFT, "QGemm"): Case(
        [_bytes(3, 7), *X, _bytes(5, 7), *W, RANDOM.integers(-900, 900, 5).astype("i4"), *Y],
        {"transB": 1},
    ),
    (MICROSOFT, "QLinearAdd"): Case([_bytes(*IMAGE), *X, _bytes(4, 1, 1), *W, *Y]),
    (MICROSOFT, "QLinearMul"): Case([_bytes(*IMAGE), *X, _bytes(4, 1, 1), *W, *Y]),
    (MICROSOFT, "QLinearAveragePool"): Case(
        [_bytes(*IMAGE), *X, *X], {"kernel_shape": [2, 3], "strides": [2, 1]}
    ),
    (MICROSOFT, "QLinearGlobalAveragePool"): Case([_bytes(*IMAGE), *X, *Y]),
    (MICROSOFT, "QLinearLeakyRelu"): Case([_bytes(*IMAGE), *X, *Y], {"alpha": 0.2}),
    (MICROSOFT, "QLinearSigmoid"): Case([_bytes(*IMAGE), *X, *SCORES]),
    (MICROSOFT, "QLinearSoftmax"): Case([_bytes(3, 7), *X, *SCORES], {"axis": -1, "opset": 17}),
    (MICROSOFT, "QLinearConcat"): Case([_bytes(*IMAGE), *X, _bytes(1, 2, 6, 6), *W], {"axis": 1}),
    (MICROSOFT, "QuantizeLinear"): Case([RANDOM.normal(size=(3, 4)).astype(np.float32), *X]),
    (MICROSOFT, "DequantizeLinear"): Case([_bytes(3, 4), *X]),
}


def _model(domain: str, op: str, case: Case) -> onnx.ModelProto:
    names = [f"operand{i}" for i in range(len(case.operands))]
    first = case.operands[0]
    # the grid of a Concat's result comes before its operands
    order = ["y_scale", "y_zero", *names] if op == "QLinearConcat" else names
    node = helper.make_node(op, order, ["y"], "node", domain=domain, **case.attributes)
    constants = [
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in zip(
            [*names[1:], "y_scale", "y_zero"], [*case.operands[1:], *Y], strict=True
        )
        if name in order
    ]
    graph = helper.make_graph(
        [node],
        "case",
        [
            helper.make_tensor_value_info(
                names[0], helper.np_dtype_to_tensor_dtype(first.dtype), first.shape
            )
        ],
        [onnx.ValueInfoProto(name="y")],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(("domain", "op"), RULES)
def test_operator_is_within_one_step(domain: str, op: str) -> None:
    case = CASES[domain, op]
    proto = _model(domain, op, case)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    (want,) = session.run(None, {"operand0": case.operands[0]})
    dtype = helper.np_dtype_to_tensor_dtype(want.dtype)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", dtype, want.shape))

    model = normalise(proto, {}, {}, "case")

    (got,) = Executor(model.graph).run({"operand0": case.operands[0]}).values()
    assert got.dtype == want.dtype
    step = 1 if want.dtype == np.uint8 else 0
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=1e-6, atol=step)
