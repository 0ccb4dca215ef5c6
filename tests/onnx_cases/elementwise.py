"""Operators on single elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.onnx_cases.draw import Case, Draw, Fed, Spec


def unary(op: str, low: float = -4.0, high: float = 4.0, **attributes: Any) -> Case:
    """One operand of floats from `low` to `high`."""
    return lambda d: Spec(op, (d.feed(d.shape(), low, high),), attributes)


def binary(op: str, low: float = -4.0, high: float = 4.0, **attributes: Any) -> Case:
    """Two operands that broadcast."""

    def case(d: Draw) -> Spec:
        left, right, _ = d.broadcast()
        return Spec(op, (d.feed(left, low, high), d.feed(right, low, high)), attributes)

    return case


def several(op: str) -> Case:
    """Up to three operands of one shape."""

    def case(d: Draw) -> Spec:
        shape = d.shape()
        return Spec(op, tuple(d.feed(shape) for _ in range(d.size(2, 3))))

    return case


def logical(op: str, count: int) -> Case:
    """Operands that are true or false."""

    def case(d: Draw) -> Spec:
        shape = d.shape()
        return Spec(op, tuple(d.truth(shape) for _ in range(count)))

    return case


def whole(op: str, count: int = 2, **attributes: Any) -> Case:
    """Operands that are integers."""

    def case(d: Draw) -> Spec:
        shape = d.shape()
        numbers = (d.random.integers(1, 90, shape).astype(np.int32) for _ in range(count))
        return Spec(op, tuple(Fed(array) for array in numbers), attributes)

    return case


def is_infinite(d: Draw) -> Spec:
    content = d.feed(d.shape()).content
    content[content > 1], content[content < -1] = np.inf, -np.inf
    signs = {"detect_positive": d.size(0, 1), "detect_negative": d.size(0, 1)}
    return Spec("IsInf", (Fed(content),), signs)


def clip(d: Draw) -> Spec:
    bounds = [np.float32(-1.5), np.float32(2.5)]
    bounds[d.size(0, 1)] = d.pick((None, np.float32(0.5)))
    return Spec("Clip", (d.feed(d.shape()), *bounds))


def prelu(d: Draw) -> Spec:
    shape = d.image()
    return Spec("PRelu", (d.feed(shape), d.weights((shape[1], 1, 1))))


def where(d: Draw) -> Spec:
    left, right, out = d.broadcast()
    return Spec("Where", (d.truth(out), d.feed(left), d.feed(right)))


def cast(d: Draw) -> Spec:
    return Spec("Cast", (d.feed(d.shape()),), {"to": d.pick((6, 7, 9, 11))})


ELEMENTWISE: Mapping[str, Case] = {
    **{
        op: unary(op)
        for op in (
            *("Abs", "Atan", "Asinh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp"),
            *("Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsNaN", "LeakyRelu"),
            *("Mish", "Neg", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin"),
            *("Sinh", "Softplus", "Softsign", "Tanh", "ThresholdedRelu", "Shape", "Size"),
        )
    },
    **{op: binary(op) for op in ("Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum")},
    **{op: binary(op) for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    "Acos": unary("Acos", -0.99, 0.99),
    "Acosh": unary("Acosh", 1.01, 4.0),
    "And": logical("And", 2),
    "Asin": unary("Asin", -0.99, 0.99),
    "Atanh": unary("Atanh", -0.9, 0.9),
    "BitwiseAnd": whole("BitwiseAnd"),
    "BitwiseNot": whole("BitwiseNot", 1),
    "BitwiseOr": whole("BitwiseOr"),
    "BitwiseXor": whole("BitwiseXor"),
    "Cast": cast,
    "Clip": clip,
    "Div": binary("Div", 0.5),
    "Dropout": unary("Dropout"),
    "EyeLike": lambda d: Spec("EyeLike", (d.feed(d.shape(2)),), {"k": d.size(-2, 2)}),
    "IsInf": is_infinite,
    "Log": unary("Log", 0.1),
    "Mod": whole("Mod"),
    "Not": logical("Not", 1),
    "Or": logical("Or", 2),
    "PRelu": prelu,
    "Pow": binary("Pow", 0.2, 3.0),
    "Reciprocal": unary("Reciprocal", 0.5),
    "Sqrt": unary("Sqrt", 0.0),
    "Tan": unary("Tan", -1.2, 1.2),
    "Where": where,
    "Xor": logical("Xor", 2),
}
"""By operator."""
