"""Quantized ONNX operators from import to the running program, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgecomp.graph.quantizable import WIDE
from tests.quantized_graph import (
    GRIDS,
    INPUTS,
    Grid,
    QuantizedGraph,
    activation,
    compiled,
    ints,
    reference,
    samples,
    typed_model,
    weights,
)


@dataclass(frozen=True)
class Case:
    """One operator between DequantizeLinear and QuantizeLinear.

    Attributes:
        op: operators joined by " > " when several follow each other without quantization.
        inputs: names of `INPUTS`, arrays (constants), or None.
        scale, zero_point: of the output.
        attributes: of the first operator.
    """

    op: str
    inputs: tuple[Any, ...]
    scale: float = 0.05
    zero_point: int = 7
    attributes: Mapping[str, Any] = field(default_factory=dict)


ONE = ("image",)
PAIR = ("image", "other")
SIZES = (None, None, ints(1, 6, 11, 7))
ROUND = {"coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"}
FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
TRANSPOSE_CONV = {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}

CASES: Mapping[str, Case] = {
    "mean_hwc": Case("ReduceMean", (*ONE, ints(1, 2, 3)), 0.01, 3),
    "mean_c": Case("ReduceMean", (*ONE, ints(1)), 0.03, 3, {"keepdims": 0}),
    "mean_hw": Case("ReduceMean", (*ONE, ints(2, 3)), 0.02, 3, {"keepdims": 0}),
    "mean_last": Case("ReduceMean", (*ONE, ints(-1)), 0.03, 3),
    "mean_sequence": Case("ReduceMean", ("sequence", ints(2)), 0.03, 3),
    "sum_rows": Case("ReduceSum", (*ONE, ints(2)), 0.3, -4),
    "sum_all": Case("ReduceSum", ONE, 5.0, 0, {"keepdims": 0}),
    "max_hw": Case("ReduceMax", (*ONE, ints(2, 3))),
    "min_c": Case("ReduceMin", (*ONE, ints(1)), 0.06, 2, {"keepdims": 0}),
    "softmax": Case("Softmax", ONE, 1 / 256, -128),
    "log_softmax": Case("LogSoftmax", ONE, 16 / 256, 127),
    "log_softmax_rescaled": Case("LogSoftmax", ONE, 0.1, 100),
    "abs": Case("Abs", ONE, 0.03, -128),
    "neg": Case("Neg", ONE, 0.05, -3),
    "exp": Case("Exp", ONE, 2.0, -128),
    "erf": Case("Erf", ONE, 1 / 128, 0),
    "gelu": Case("Gelu", ONE, 0.03, -100),
    "gelu_tanh": Case("Gelu", ONE, 0.03, -100, {"approximate": "tanh"}),
    "softplus": Case("Softplus", ONE, 0.03, -128),
    "hard_swish": Case("HardSwish", ONE, 0.03, -100),
    "elu": Case("Elu", ONE, 0.03, -80),
    "leaky": Case("LeakyRelu", ONE, 0.03, -80, {"alpha": 0.1}),
    "sqrt": Case("Sqrt", ("positive",), 0.01, -128),
    "log": Case("Log", ("positive",), 0.03, 40),
    "rsqrt": Case("Sqrt > Reciprocal", ("positive",), 0.03, -128),
    "chain": Case("Sin > Abs > Sqrt > Neg", ONE, 0.01, 100),
    "slice": Case(
        "Slice", (*ONE, ints(1, -1, 20), ints(6, -100, 1), ints(1, 2, 3), ints(2, -1, -3))
    ),
    "pad": Case("Pad", (*ONE, ints(0, 0, 1, 2, 0, 0, 3, 0))),
    "pad_value": Case("Pad", (*ONE, ints(0, 1, 1, 2, 0, 0, 3, 0), np.float32(-1.3))),
    "pad_cut": Case("Pad", (*ONE, ints(0, 0, -1, 2, 0, 0, 3, -2), np.float32(0.7))),
    "pad_reflect": Case(
        "Pad", (*ONE, ints(0, 0, 2, 1, 0, 0, 3, 4)), attributes={"mode": "reflect"}
    ),
    "pad_edge": Case("Pad", (*ONE, ints(0, 2, 2, 1, 0, 0, 3, 4)), attributes={"mode": "edge"}),
    "nearest_up": Case("Resize", (*ONE, None, np.float32([1, 1, 2, 3]))),
    "nearest_floor": Case("Resize", (*ONE, *SIZES), attributes={"mode": "nearest", **FLOOR}),
    "nearest_corners": Case("Resize", (*ONE, *SIZES), attributes={"mode": "nearest", **ROUND}),
    "linear_up": Case(
        "Resize", (*ONE, None, np.float32([1, 1, 2, 4])), attributes={"mode": "linear"}
    ),
    "linear_corners": Case(
        "Resize",
        (*ONE, None, None, ints(1, 6, 15, 19)),
        attributes={"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "linear_asymmetric": Case(
        "Resize",
        (*ONE, None, np.float32([1, 1, 2, 2])),
        attributes={"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    ),
    "gather": Case("Gather", (*ONE, ints(5, 0, -2, 3)), attributes={"axis": 1}),
    "gather_scalar": Case("Gather", (*ONE, np.int64(4)), attributes={"axis": 2}),
    "tile": Case("Tile", (*ONE, ints(1, 2, 1, 3))),
    "expand": Case("Expand", ("row", ints(3, 6, 10)), 0.04, 3),
    "depth_to_space": Case("SpaceToDepth > DepthToSpace", ONE, attributes={"blocksize": 2}),
    "space_to_depth": Case("SpaceToDepth", ONE, attributes={"blocksize": 2}),
    "global_max": Case("GlobalMaxPool", ONE),
    "max": Case("Max", PAIR),
    "max_constant": Case("Max", ("image", activation(3, 0.1, 0))),
    "min": Case("Min", (*PAIR, "row"), 0.04, 0),
    "div": Case("Div", PAIR, 0.5, 4),
    "product": Case("MatMul", ("image", "matrix"), 0.5, 4),
    "prelu": Case("PRelu", ("image", activation(np.arange(-3, 3)[:, None, None], 0.2, -1))),
    "squared": Case("Sub > Square", PAIR, 0.5, -128),
    "conv": Case("Conv", ("image", weights(5, 6, 3, 3, axis=0)), 0.3, 5, {"pads": [1, 1, 1, 1]}),
    "depthwise": Case("Conv", ("image", weights(12, 1, 3, 2)), 0.2, 5, {"group": 6}),
    "dense": Case("MatMul", ("positive", weights(50, 7)), 0.1, -128),
    "dense_per_unit": Case("Gemm", ("positive", weights(7, 50, axis=0)), 0.1, -128, {"transB": 1}),
    "conv_transpose": Case(
        "ConvTranspose", ("image", weights(6, 4, 3, 3, axis=1)), 0.2, 5, TRANSPOSE_CONV
    ),
    "conv_transpose_groups": Case(
        "ConvTranspose",
        ("image", weights(6, 4, 2, 3)),
        0.2,
        5,
        {"strides": [3, 2], "group": 2, "dilations": [1, 2]},
    ),
    "conv_transpose_sequence": Case(
        "ConvTranspose", ("sequence", weights(6, 2, 4)), 0.2, 5, {"strides": [2], "pads": [1, 1]}
    ),
}


def _steps(op: str) -> float:
    """By how many steps int16 may differ: multipliers have 16 bits there, and curves tables."""
    return {"Exp": 12.0, "Softmax": 16.0, "Sub > Square": 3.0}.get(op, 1.0)


def _cases(dtype: str) -> Mapping[str, Case]:
    """Those that have an integer meaning between activations of a type; of unsigned ones, a few."""
    cases = dict(CASES)
    if GRIDS[dtype].finer > 1:
        wide = {*WIDE, "Sub > Square"}
        cases = {name: case for name, case in cases.items() if _operators(case) <= wide}
    if dtype.startswith("u"):
        cases = {name: case for name, case in cases.items() if _operators(case) <= UNSIGNED}
    return cases


UNSIGNED = frozenset({"Add", "Conv", "ConvTranspose", "Gemm", "MatMul", "ReduceMean", "Softmax"})


def _operators(case: Case) -> set[str]:
    return {case.op} if case.op == "Sub > Square" else set(case.op.split(" > "))


def _model(cases: Mapping[str, Case], grid: Grid) -> onnx.ModelProto:
    graph = QuantizedGraph(grid)
    names = sorted({x for case in cases.values() for x in case.inputs if isinstance(x, str)})
    for name in names:
        _, scale, zero_point = INPUTS[name]
        graph.quantize(name, scale, zero_point)
    outputs = {}
    for name, case in cases.items():
        operands = [graph.operand(given) for given in case.inputs]
        attributes = dict(case.attributes)
        for step, op in enumerate(case.op.split(" > ")):
            made = f"{name} float {step}"
            if op == "Square":
                graph.add("Mul", [operands[0], operands[0]], made)
            else:
                graph.add(op, operands, made, **attributes)
            keeps = op == "SpaceToDepth"
            operands, attributes = [made], attributes if keeps else {}
        outputs[graph.quantize(operands[0], case.scale, case.zero_point)] = TensorProto.FLOAT
    return typed_model(graph, names, outputs)


@pytest.mark.parametrize("dtype", GRIDS)
def test_operators_are_integer_and_within_a_step(tmp_path: Path, dtype: str) -> None:
    grid = GRIDS[dtype]
    cases = _cases(dtype)
    proto = _model(cases, grid)
    inputs = samples(5, [value.name for value in proto.graph.input])
    wanted = reference(proto, inputs)
    manifest, session = compiled(proto, tmp_path)
    assert not [f"{op.name}: {op.op}" for op in manifest.ops if op.where != "integer"]
    with session:
        outputs = list(session.run(inputs).values())
    wrong = {}
    for (name, case), got, want in zip(cases.items(), outputs, wanted, strict=True):
        assert got.shape == want.shape, name
        steps = np.abs(got - want) / np.float32(case.scale / grid.finer)
        allowed = 1.0 if grid.finer == 1 else _steps(case.op)
        if steps.max(initial=0) > allowed + 0.01:
            wrong[name] = (float(steps.max()), float((steps > allowed + 0.01).mean()))
    assert not wrong
