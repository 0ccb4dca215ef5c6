"""Operators on single elements, and reductions: float32 and int8 against TFLite.

A case draws shapes and options and describes one operator. TFLite's reference kernels run the file,
onnxruntime the imported graph: int8 is real numbers there between rounding to the grid, so an
integer kernel may differ by a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tflite
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Case = Callable[[Any], Any]

ACTIVATIONS = (0, 1, 2, 3)

seeds = st.integers(0, 2**32 - 1)
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _broadcast(d: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    whole = d.shape()
    left = tuple(1 if d.size(0, 3) == 0 else n for n in whole)
    right = tuple(1 if d.size(0, 3) == 0 else n for n in whole)
    return left, right, np.broadcast_shapes(left, right)


def binary(table: str, low: float = -4.0, grid: bool = False, fused: bool = True) -> Case:
    """Two operands that broadcast; `grid`: all share one scale."""

    def case(d: Any) -> Any:
        left, right, out = _broadcast(d)
        options = {"FusedActivationFunction": d.pick(ACTIVATIONS)} if fused else {}
        shared = d.grid() if grid else None
        operands = (d.feed(left, shared, low=low), d.feed(right, shared, low=low))
        return d.spec(operands, d.tensor(out, shared), table, options)

    return case


def compare(table: str) -> Case:
    def case(d: Any) -> Any:
        left, right, out = _broadcast(d)
        operands = (d.feed(left), d.feed(right))
        if d.size(0, 1):
            d.fed[1][:] = np.broadcast_to(d.fed[0].reshape(-1)[0], right)
        return d.spec(operands, d.operand(out, dtype="bool"), table)

    return case


def unary(
    low: float = -4.0, table: str = "", fixed: Any = None, source: Any = None, **options: Any
) -> Case:
    """One operand; `fixed` and `source`: the grids of an int8 result and operand."""

    def case(d: Any) -> Any:
        shape = d.shape()
        operand = d.feed(shape, source, low=low)
        return d.spec((operand,), d.tensor(shape, fixed), table, options)

    return case


def logical(count: int, table: str) -> Case:
    def case(d: Any) -> Any:
        shape = d.shape()
        d.fed += [d.random.integers(0, 2, shape).astype(bool) for _ in range(count)]
        tensors = [d.operand(shape, dtype="bool") for _ in range(count + 1)]
        return d.spec(tuple(tensors[:-1]), tensors[-1], table)

    return case


def prelu(d: Any) -> Any:
    shape = d.image()
    slopes = d.random.uniform(-1, 1, (1, 1, shape[3])).astype(np.float32)
    source = d.feed(shape)
    if d.dtype != "int8":
        return d.spec((source, d.constant(slopes, "float32")), d.tensor(shape))
    content = d.random.integers(-128, 128, slopes.shape).astype(np.int8)
    alpha = d.operand(slopes.shape, *d.grid(), data=content)
    return d.spec((source, alpha), d.tensor(shape))


def select(d: Any) -> Any:
    left, right, out = _broadcast(d)
    grid = d.grid()
    d.fed.append(d.random.integers(0, 2, out).astype(bool))
    operands = (d.operand(out, dtype="bool"), d.feed(left, grid), d.feed(right, grid))
    return d.spec(operands, d.tensor(out, grid), "SelectV2Options")


def cast(d: Any) -> Any:
    shape = d.shape()
    dtype = d.pick(("int32", "bool", "int64", "float32"))
    options = {"OutDataType": getattr(tflite.TensorType, dtype.upper())}
    return d.spec((d.feed(shape),), d.operand(shape, dtype=dtype), "CastOptions", options)


def quantize(d: Any) -> Any:
    shape = d.shape()
    return d.spec((d.feed(shape),), d.operand(shape, *d.grid()), "QuantizeOptions")


def dequantize(d: Any) -> Any:
    shape = d.shape()
    d.fed.append(d.random.integers(-128, 128, shape).astype(np.int8))
    operands = (d.operand(shape, *d.grid()),)
    return d.spec(operands, d.operand(shape, dtype="float32"), "DequantizeOptions")


def reduce(d: Any) -> Any:
    shape = d.shape(d.pick((2, 3, 4, 4)))
    count = d.size(1, len(shape))
    axes = sorted(d.random.permutation(len(shape))[:count].tolist())
    if len(shape) == 4 and d.size(0, 1):
        axes = [1, 2]
    keep = bool(d.size(0, 1))
    out = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    return d.spec(
        (d.feed(shape), d.constant(axes)), d.tensor(out), "ReducerOptions", {"KeepDims": keep}
    )


def argument(table: str) -> Case:
    def case(d: Any) -> Any:
        shape = d.shape(d.size(1, 4))
        axis = d.size(0, len(shape) - 1)
        out = shape[:axis] + shape[axis + 1 :]
        options = {"OutputType": tflite.TensorType.INT32}
        operands = (d.feed(shape), d.constant([axis]))
        return d.spec(operands, d.operand(out, dtype="int32"), table, options)

    return case


def cumulative_sum(d: Any) -> Any:
    shape = d.shape()
    options = {"Exclusive": bool(d.size(0, 1)), "Reverse": bool(d.size(0, 1))}
    operands = (d.feed(shape), d.constant(d.size(0, len(shape) - 1)))
    return d.spec(operands, d.tensor(shape), "CumsumOptions", options)


CASES: dict[str, tuple[Case, float | None]] = {
    "ABS": (unary(table="AbsOptions"), 1),
    "ADD": (binary("AddOptions"), 1),
    "ARG_MAX": (argument("ArgMaxOptions"), 0),
    "ARG_MIN": (argument("ArgMinOptions"), 0),
    "CAST": (cast, None),
    "CEIL": (unary(), None),
    "COS": (unary(), None),
    "CUMSUM": (cumulative_sum, None),
    "DEQUANTIZE": (dequantize, None),
    "DIV": (binary("DivOptions", low=0.5), None),
    "ELU": (unary(), 1),
    "EQUAL": (compare("EqualOptions"), None),
    "EXP": (unary(table="ExpOptions", source=((0.02,), 3)), 1),
    "FLOOR": (unary(), None),
    "FLOOR_DIV": (binary("FloorDivOptions", low=0.5, fused=False), None),
    "FLOOR_MOD": (binary("FloorModOptions", low=0.5, fused=False), None),
    "GELU": (unary(table="GeluOptions", Approximate=True), 1),
    "GREATER": (compare("GreaterOptions"), None),
    "GREATER_EQUAL": (compare("GreaterEqualOptions"), None),
    "HARD_SWISH": (unary(), 1),
    "L2_NORMALIZATION": (unary(table="L2NormOptions"), None),
    "LEAKY_RELU": (unary(table="LeakyReluOptions", Alpha=0.3), 1),
    "LESS": (compare("LessOptions"), None),
    "LESS_EQUAL": (compare("LessEqualOptions"), None),
    "LOG": (unary(low=0.1), None),
    "LOGICAL_AND": (logical(2, "LogicalAndOptions"), None),
    "LOGICAL_NOT": (logical(1, "LogicalNotOptions"), None),
    "LOGICAL_OR": (logical(2, "LogicalOrOptions"), None),
    "LOGISTIC": (unary(fixed=((1 / 256,), -128)), 1),
    "LOG_SOFTMAX": (unary(table="LogSoftmaxOptions", fixed=((16 / 256,), 127)), 1),
    "MAXIMUM": (binary("MaximumMinimumOptions", grid=True, fused=False), 0),
    "MEAN": (reduce, 1),
    "MINIMUM": (binary("MaximumMinimumOptions", grid=True, fused=False), 0),
    "MUL": (binary("MulOptions"), 1),
    "NEG": (unary(table="NegOptions"), None),
    "NOT_EQUAL": (compare("NotEqualOptions"), None),
    "POW": (binary("PowOptions", low=0.1, fused=False), None),
    "PRELU": (prelu, 1),
    "QUANTIZE": (quantize, 1),
    "REDUCE_MAX": (reduce, None),
    "REDUCE_MIN": (reduce, None),
    "REDUCE_PROD": (reduce, None),
    "RELU": (unary(), 1),
    "RELU6": (unary(), 1),
    "RELU_N1_TO_1": (unary(), None),
    "ROUND": (unary(), None),
    "RSQRT": (unary(low=0.1), None),
    "SELECT_V2": (select, 0),
    "SIN": (unary(), None),
    "SOFTMAX": (unary(table="SoftmaxOptions", fixed=((1 / 256,), -128), Beta=0.7), 1),
    "SQRT": (unary(low=0.0), None),
    "SQUARE": (unary(table="SquareOptions"), None),
    "SQUARED_DIFFERENCE": (binary("SquaredDifferenceOptions", fused=False), 1),
    "SUB": (binary("SubOptions"), 1),
    "SUM": (reduce, None),
    "TANH": (unary(fixed=((1 / 128,), 0)), 1),
}
"""A case, and by how many steps int8 may differ; None where TFLite has no int8 kernel to ask."""


@pytest.mark.parametrize("name", CASES)
@few
@given(seeds)
def test_float(check_tflite: Any, name: str, seed: int) -> None:
    check_tflite(name, CASES[name][0], "float32", seed, 0)


@pytest.mark.parametrize("name", [name for name, (_, steps) in CASES.items() if steps is not None])
@few
@given(seeds)
def test_int8(check_tflite: Any, name: str, seed: int) -> None:
    check_tflite(name, CASES[name][0], "int8", seed, CASES[name][1])


@pytest.mark.parametrize("name", [name for name, (_, steps) in CASES.items() if steps is not None])
def test_compiled_int8_has_the_bits_of_tflite(check_compiled: Any, name: str) -> None:
    check_compiled(name, CASES[name][0], 7)
