"""Tables of unary operators: every int8, against TFLite's kernels or the real function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.graph.qdq import Quantization
from edgecomp.lowering.tables import TABLES, lookup_table

EVERY = np.arange(-128, 128, dtype=np.int8)

scales = st.floats(-3.5, 0.0).map(lambda exponent: float(np.float32(10**exponent)))
zero_points = st.integers(-128, 127)
quantizations = st.tuples(scales, zero_points)
# (x, y): x input steps fall between the output steps y and y + 1, but for float32's rounding
ties = st.tuples(st.integers(1, 255), st.integers(0, 120))


def _quantization(scale: float, zero_point: int) -> Quantization:
    return Quantization(np.float32(scale).reshape(()), np.array(zero_point, np.int8), "int8", None)


# ONNX operator and attributes, TFLite operator, its options
EXACT: Mapping[str, tuple[str, dict[str, float], str, str, dict[str, Any]]] = {
    "relu": ("Relu", {}, "RELU", "", {}),
    "relu6": ("Clip", {"min": 0.0, "max": 6.0}, "RELU6", "", {}),
    "relu_n1_to_1": ("Clip", {"min": -1.0, "max": 1.0}, "RELU_N1_TO_1", "", {}),
    "abs": ("Abs", {}, "ABS", "AbsOptions", {}),
    "gelu": ("Gelu", {}, "GELU", "GeluOptions", {"Approximate": False}),
    "gelu_tanh": ("Gelu", {"approximate": 1.0}, "GELU", "GeluOptions", {"Approximate": True}),
    "elu": ("Elu", {}, "ELU", "", {}),
}


def _expect_tflite(
    tflite_op: Any,
    case: tuple[str, dict[str, float], str, str, dict[str, Any]],
    source: tuple[float, int],
    result: tuple[float, int],
) -> None:
    op_type, attributes, name, table, options = case
    single_op, operand = tflite_op
    op = single_op(
        name,
        (operand((256,), (source[0],), source[1]),),
        operand((256,), (result[0],), result[1]),
        table,
        options,
    )
    got = lookup_table(op_type, attributes, _quantization(*source), _quantization(*result))
    np.testing.assert_array_equal(got, op.run(EVERY))


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=60, deadline=None)
@given(source=quantizations, result=quantizations)
def test_table_is_tflites(
    tflite_op: Any, name: str, source: tuple[float, int], result: tuple[float, int]
) -> None:
    _expect_tflite(tflite_op, EXACT[name], source, result)


@pytest.mark.parametrize("name", ["relu", "abs"])
@settings(max_examples=200, deadline=None)
@given(source=quantizations, tie=ties, zero_point=st.integers(-128, 0))
def test_table_is_tflites_at_ties(
    tflite_op: Any, name: str, source: tuple[float, int], tie: tuple[int, int], zero_point: int
) -> None:
    result = (float(np.float32(source[0] * tie[0] / (tie[1] + 0.5))), zero_point)
    _expect_tflite(tflite_op, EXACT[name], source, result)


@settings(max_examples=400, deadline=None)
@given(
    source=quantizations,
    tie=ties,
    zero_point=zero_points,
    alpha=st.floats(2**-10, 2.0, width=32),
    positive=st.booleans(),
)
def test_leaky_relu_is_tflites(
    tflite_op: Any,
    source: tuple[float, int],
    tie: tuple[int, int],
    zero_point: int,
    alpha: float,
    positive: bool,
) -> None:
    slope = 1.0 if positive else alpha
    result = (float(np.float32(source[0] * slope * tie[0] / (tie[1] + 0.5))), zero_point)
    case = ("LeakyRelu", {"alpha": alpha}, "LEAKY_RELU", "LeakyReluOptions", {"Alpha": alpha})
    _expect_tflite(tflite_op, case, source, result)


@settings(max_examples=150, deadline=None)
@given(source=quantizations, finer=st.floats(0.0, 2.0), zero_point=zero_points)
def test_hard_swish_is_tflites(
    tflite_op: Any, source: tuple[float, int], finer: float, zero_point: int
) -> None:
    # TFLite refuses an output 128 times finer than the input
    result = (float(np.float32(source[0] / 10**finer)), zero_point)
    _expect_tflite(tflite_op, ("HardSwish", {}, "HARD_SWISH", "", {}), source, result)


@pytest.mark.parametrize(
    ("op_type", "name", "result"),
    [("Sigmoid", "LOGISTIC", (1 / 256, -128)), ("Tanh", "TANH", (1 / 128, 0))],
)
@settings(max_examples=150, deadline=None)
@given(source=quantizations)
def test_squashing_function_is_tflites(
    tflite_op: Any, op_type: str, name: str, result: tuple[float, int], source: tuple[float, int]
) -> None:
    _expect_tflite(tflite_op, (op_type, {}, name, "", {}), source, result)


@settings(max_examples=100, deadline=None)
@given(scale=st.floats(0.001, 0.3), zero_point=zero_points, offset=zero_points)
def test_exp_is_tflites(tflite_op: Any, scale: float, zero_point: int, offset: int) -> None:
    source = (float(np.float32(scale)), zero_point)
    largest = math.exp(scale * (127 - zero_point))
    case = ("Exp", {}, "EXP", "ExpOptions", {})
    _expect_tflite(tflite_op, case, source, (float(np.float32(largest / 200)), offset))


@settings(max_examples=100, deadline=None)
@given(source=quantizations, result=quantizations)
def test_rsqrt_is_tflites(
    tflite_op: Any, source: tuple[float, int], result: tuple[float, int]
) -> None:
    single_op, operand = tflite_op
    defined = EVERY[source[1] + 128 :]  # TFLite refuses negative numbers
    op = single_op(
        "RSQRT",
        (operand(defined.shape, (source[0],), source[1]),),
        operand(defined.shape, (result[0],), result[1]),
    )
    got = lookup_table("Rsqrt", {}, _quantization(*source), _quantization(*result))
    np.testing.assert_array_equal(got[source[1] + 128 :], op.run(defined))
    assert (got[: source[1] + 128] == 127).all()


REAL: Mapping[str, tuple[dict[str, float], Callable[[float], float]]] = {
    "Elu": ({"alpha": 0.3}, lambda x: x if x > 0 else 0.3 * math.expm1(x)),
    "Erf": ({}, math.erf),
    "HardSigmoid": ({"alpha": 0.25}, lambda x: min(max(0.25 * x + 0.5, 0), 1)),
    "LeakyRelu": ({"alpha": -0.5}, lambda x: x if x > 0 else -0.5 * x),
    "Log": ({}, lambda x: math.log(x) if x > 0 else -math.inf),
    "Neg": ({}, lambda x: -x),
    "Reciprocal": ({}, lambda x: 1 / x if x else math.inf),
    "Softplus": ({}, lambda x: math.log1p(math.exp(x))),
    "Sqrt": ({}, lambda x: math.sqrt(max(x, 0))),
}


@pytest.mark.parametrize("op_type", REAL)
@settings(max_examples=40, deadline=None)
@given(source=quantizations, result=quantizations)
def test_table_is_within_half_a_step_of_the_real_function(
    op_type: str, source: tuple[float, int], result: tuple[float, int]
) -> None:
    attributes, function = REAL[op_type]
    got = lookup_table(op_type, attributes, _quantization(*source), _quantization(*result))
    x = source[0] * (EVERY.astype(np.float64) - source[1])
    real = np.array([function(value) for value in x]) / result[0] + result[1]
    assert np.abs(got - np.clip(real, -128, 127)).max() <= 0.5 + 1e-3


def test_every_table_has_a_test() -> None:
    tested = {case[0] for case in EXACT.values()} | REAL.keys()
    assert TABLES.keys() == tested | {"HardSwish", "Sigmoid", "Tanh", "Exp", "Rsqrt"}


@pytest.mark.parametrize(
    ("op_type", "scale", "reason"),
    [("Sin", np.float32(0.1), "Sin has no table"), ("Relu", np.ones(3, np.float32), "one scale")],
)
def test_refusals(op_type: str, scale: Any, reason: str) -> None:
    axis = None if np.ndim(scale) == 0 else 0
    source = Quantization(np.asarray(scale), np.zeros(np.shape(scale), np.int8), "int8", axis)
    with pytest.raises(ValueError, match=reason):
        lookup_table(op_type, {}, source, _quantization(0.1, 0))
