"""Operators on single elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from tests.tflite_cases.draw import Case, Draw, Spec

ACTIVATIONS = (0, 1, 2, 3)


def binary(table: str, low: float = -4.0, grid: bool = False, fused: bool = True) -> Case:
    """Two operands that broadcast; `grid`: all share one scale."""

    def case(d: Draw) -> Spec:
        left, right, out = d.broadcast()
        options = {"FusedActivationFunction": d.pick(ACTIVATIONS)} if fused else {}
        shared = d.grid() if grid else None
        operands = (d.feed(left, shared, low=low), d.feed(right, shared, low=low))
        return d.spec(operands, d.tensor(out, shared), table, options)

    return case


def compare(table: str) -> Case:
    def case(d: Draw) -> Spec:
        left, right, out = d.broadcast()
        operands = (d.feed(left), d.feed(right))
        if d.size(0, 1):
            d.fed[1][:] = np.broadcast_to(d.fed[0].reshape(-1)[0], right)
        return d.spec(operands, d.operand(out, dtype="bool"), table)

    return case


def unary(
    low: float = -4.0,
    table: str = "",
    fixed: Any = None,
    source: Any = None,
    least: int = -128,
    **options: Any,
) -> Case:
    """One operand; `fixed`, `source`: grids of an int8 result and operand of at least `least`."""

    def case(d: Draw) -> Spec:
        shape = d.shape()
        operand = d.feed(shape, source, low=low)
        if d.dtype == "int8":
            np.maximum(d.fed[0], least, out=d.fed[0])
        return d.spec((operand,), d.tensor(shape, fixed), table, options)

    return case


def logical(count: int, table: str) -> Case:
    def case(d: Draw) -> Spec:
        shape = d.shape()
        d.fed += [d.random.integers(0, 2, shape).astype(bool) for _ in range(count)]
        tensors = [d.operand(shape, dtype="bool") for _ in range(count + 1)]
        return d.spec(tuple(tensors[:-1]), tensors[-1], table)

    return case


def prelu(d: Draw) -> Spec:
    shape = d.image()
    slopes = d.random.uniform(-1, 1, (1, 1, shape[3])).astype(np.float32)
    source = d.feed(shape)
    if d.dtype != "int8":
        return d.spec((source, d.constant(slopes, "float32")), d.tensor(shape))
    content = d.random.integers(-128, 128, slopes.shape).astype(np.int8)
    alpha = d.operand(slopes.shape, *d.grid(), data=content)
    return d.spec((source, alpha), d.tensor(shape))


def add_n(d: Draw) -> Spec:
    shape = d.shape()
    operands = tuple(d.feed(shape) for _ in range(d.size(2, 4)))
    return d.spec(operands, d.tensor(shape), "AddNOptions")


def select(d: Draw) -> Spec:
    """Operands of one shape; the condition of the same, or a vector over the first axis."""
    shape, grid = d.shape(), d.grid()
    condition = d.pick((shape, shape[:1]))
    d.fed.append(d.random.integers(0, 2, condition).astype(bool))
    operands = (d.operand(condition, dtype="bool"), d.feed(shape, grid), d.feed(shape, grid))
    return d.spec(operands, d.tensor(shape, grid), "SelectOptions")


def select_v2(d: Draw) -> Spec:
    left, right, out = d.broadcast()
    grid = d.grid()
    d.fed.append(d.random.integers(0, 2, out).astype(bool))
    operands = (d.operand(out, dtype="bool"), d.feed(left, grid), d.feed(right, grid))
    return d.spec(operands, d.tensor(out, grid), "SelectV2Options")


def cast(d: Draw) -> Spec:
    shape = d.shape()
    dtype = d.pick(("int32", "bool", "int64", "float32"))
    options = {"OutDataType": getattr(tflite.TensorType, dtype.upper())}
    return d.spec((d.feed(shape),), d.operand(shape, dtype=dtype), "CastOptions", options)


def quantize(d: Draw) -> Spec:
    shape = d.shape()
    return d.spec((d.feed(shape),), d.operand(shape, *d.grid()), "QuantizeOptions")


def dequantize(d: Draw) -> Spec:
    shape = d.shape()
    d.fed.append(d.random.integers(-128, 128, shape).astype(np.int8))
    operands = (d.operand(shape, *d.grid()),)
    return d.spec(operands, d.operand(shape, dtype="float32"), "DequantizeOptions")


CASES: dict[str, tuple[Case, float | None]] = {
    "ABS": (unary(table="AbsOptions"), 1),
    "ADD": (binary("AddOptions"), 1),
    "ADD_N": (add_n, None),
    "CAST": (cast, 0),
    "CEIL": (unary(), None),
    "COS": (unary(), None),
    "DEQUANTIZE": (dequantize, None),
    "DIV": (binary("DivOptions", low=0.5), None),
    "ELU": (unary(), 1),
    "EQUAL": (compare("EqualOptions"), 1),
    "EXP": (unary(table="ExpOptions", source=((0.02,), 3)), 1),
    "FLOOR": (unary(), None),
    "FLOOR_DIV": (binary("FloorDivOptions", low=0.5, fused=False), None),
    "FLOOR_MOD": (binary("FloorModOptions", low=0.5, fused=False), None),
    "GELU": (unary(table="GeluOptions", Approximate=True), 1),
    "GREATER": (compare("GreaterOptions"), 1),
    "GREATER_EQUAL": (compare("GreaterEqualOptions"), 1),
    "HARD_SWISH": (unary(), 1),
    "L2_NORMALIZATION": (unary(table="L2NormOptions", fixed=((1 / 128,), 0)), 1),
    "LEAKY_RELU": (unary(table="LeakyReluOptions", Alpha=0.3), 1),
    "LESS": (compare("LessOptions"), 1),
    "LESS_EQUAL": (compare("LessEqualOptions"), 1),
    "LOG": (unary(low=0.1), None),
    "LOGICAL_AND": (logical(2, "LogicalAndOptions"), None),
    "LOGICAL_NOT": (logical(1, "LogicalNotOptions"), None),
    "LOGICAL_OR": (logical(2, "LogicalOrOptions"), None),
    "LOGISTIC": (unary(fixed=((1 / 256,), -128)), 1),
    "LOG_SOFTMAX": (unary(table="LogSoftmaxOptions", fixed=((16 / 256,), 127)), 1),
    "MAXIMUM": (binary("MaximumMinimumOptions", grid=True, fused=False), 0),
    "MINIMUM": (binary("MaximumMinimumOptions", grid=True, fused=False), 0),
    "MUL": (binary("MulOptions"), 1),
    "NEG": (unary(table="NegOptions"), None),
    "NOT_EQUAL": (compare("NotEqualOptions"), 1),
    "POW": (binary("PowOptions", low=0.1, fused=False), None),
    "PRELU": (prelu, 1),
    "QUANTIZE": (quantize, 1),
    "RELU": (unary(), 1),
    "RELU6": (unary(), 1),
    "RELU_0_TO_1": (unary(), 1),
    "RELU_N1_TO_1": (unary(), 1),
    "ROUND": (unary(), None),
    "RSQRT": (unary(low=0.1, source=((0.02,), -128), least=-127), 1),
    "SELECT": (select, 0),
    "SELECT_V2": (select_v2, 0),
    "SIGN": (unary(table="SignOptions"), None),
    "SIN": (unary(), None),
    "SOFTMAX": (unary(table="SoftmaxOptions", fixed=((1 / 256,), -128), Beta=0.7), 1),
    "SQRT": (unary(low=0.0), None),
    "SQUARE": (unary(table="SquareOptions"), None),
    "SQUARED_DIFFERENCE": (binary("SquaredDifferenceOptions", fused=False), 1),
    "SUB": (binary("SubOptions"), 1),
    "TANH": (unary(fixed=((1 / 128,), 0)), 1),
    "ZEROS_LIKE": (unary(table="ZerosLikeOptions"), None),
}
"""A case, and by how many steps int8 may differ; None where TFLite has no int8 kernel to ask."""
