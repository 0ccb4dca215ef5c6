"""Functions of one int8 as tables of their 256 values, computed at compile time.

Where the TensorFlow Lite 2.14 reference kernels define the int8 operator, the table holds their
bits: Relu, Clip, LeakyRelu, Abs, Rsqrt and HardSwish in integers, Sigmoid, Tanh, Exp, Elu (of
alpha 1) and Gelu by a table of float32 values as there. Elsewhere it holds the real function in
double, rounded to nearest with ties away from zero, saturated. tests/lowering/test_tables.py
compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.graph.qdq import Quantization
from edgecomp.lowering.fixed_point import (
    Multiplier,
    multiply,
    quantize_multiplier,
    quantize_value,
    rounding_divide,
)
from edgecomp.lowering.inverse_root import inverse_roots
from edgecomp.lowering.multipliers import leaky_relu_multipliers, relu_multiplier

Table = npt.NDArray[np.int8]
Steps = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Attributes = Mapping[str, float]

# Every int8, in the order of a table's entries.
INPUTS: Steps = np.arange(-128, 128, dtype=np.int64)


def lookup_table(
    op_type: str, attributes: Attributes, source: Quantization, result: Quantization
) -> Table:
    """The values `op_type` has for the inputs -128 ... 127, int8 [256].

    Args:
        op_type: an ONNX operator of one argument, see `TABLES`.
        attributes: its ONNX attributes, ONNX's defaults where missing. Clip takes its bounds as
            `min` and `max`; Gelu takes `approximate` = 1 for the tanh form.
        source, result: quantization of input and output, int8 per tensor.

    Raises:
        ValueError: there is no table for the operator, or a quantization is not per tensor.
    """
    if op_type not in TABLES:
        raise ValueError(f"{op_type} has no table; there are {', '.join(sorted(TABLES))}")
    for quantization in (source, result):
        if not quantization.per_tensor or quantization.dtype != "int8":
            raise ValueError(f"{op_type}: a table wants int8 with one scale")
    return TABLES[op_type](attributes, source, result)


def _saturated(steps: npt.NDArray[Any]) -> Table:
    return np.clip(steps, -128, 127).astype(np.int8)


def _centred(source: Quantization) -> Steps:
    """The inputs less their zero point."""
    return INPUTS - int(source.zero_point)


def _half_away(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.copysign(np.floor(np.abs(wide) + 0.5), wide)


# Integer definitions


def _clipped(low: float, high: float, source: Quantization, result: Quantization) -> Table:
    """Rescaled to the output, then clamped between `low` and `high` (real numbers)."""
    zero_point = int(result.zero_point)
    steps = multiply(_centred(source), relu_multiplier(source.scale, result.scale)) + zero_point
    if low > -math.inf:
        steps = np.maximum(steps, quantize_value(low, float(result.scale), zero_point))
    if high < math.inf:
        steps = np.minimum(steps, quantize_value(high, float(result.scale), zero_point))
    return _saturated(steps)


def _relu(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    return _clipped(0.0, math.inf, source, result)


def _clip(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    low, high = attributes.get("min", -math.inf), attributes.get("max", math.inf)
    return _clipped(low, high, source, result)


def _leaky_relu(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    alpha = attributes.get("alpha", 0.01)
    if alpha < 0:
        return _real(lambda x: x if x >= 0 else x * alpha, source, result)
    identity, slope = leaky_relu_multipliers(source.scale, alpha, result.scale)
    x = _centred(source)
    steps = np.where(x >= 0, multiply(x, identity), multiply(x, slope))
    return _saturated(steps + int(result.zero_point))


def _abs(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    steps = multiply(np.abs(_centred(source)), relu_multiplier(source.scale, result.scale))
    return _saturated(steps + int(result.zero_point))


# Fractional bits HardSwish gives its input before it multiplies in 16 bits.
_HIGH_RESOLUTION_BITS = 7


def _hard_swish(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    """x * clip(x / 6 + 1/2, 0, 1) in 16 bits: a rescaled x times a Q15 factor in [0, 1]."""
    scale = np.float32(source.scale) * np.float32(1 / (1 << _HIGH_RESOLUTION_BITS))
    to_output = quantize_multiplier(float(scale / np.float32(result.scale)))
    if to_output.shift > 0:  # TFLite refuses so fine an output
        return _real(lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0), source, result)
    to_factor = quantize_multiplier(float(scale / np.float32(3 / 32768)))
    fine = _centred(source) << _HIGH_RESOLUTION_BITS
    value = _multiply_16(fine, to_output)
    factor = fine
    if to_factor.shift > 0:
        factor = _saturated_16(factor << (to_factor.shift - 1))
    factor = _multiply_16(factor, to_factor)
    if to_factor.shift > 0:
        factor = _saturated_16(factor << 1)
    else:
        factor = rounding_divide(factor, -to_factor.shift)
    product = ((factor + (1 << 15)) >> 1) * value
    towards_zero = np.sign(product) * (np.abs(product) >> 15)
    steps = rounding_divide(towards_zero, -to_output.shift)
    return _saturated(steps + int(result.zero_point))


def _multiply_16(values: Steps, multiplier: Multiplier) -> Steps:
    """`values` times the mantissa rounded to Q15, rounded to nearest, ties upwards."""
    mantissa = min((multiplier.mantissa + (1 << 15)) >> 16, (1 << 15) - 1)
    return (values * mantissa + (1 << 14)) >> 15


def _saturated_16(values: Steps) -> Steps:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _inverse_root(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    steps = inverse_roots(_centred(source), np.float32(source.scale), np.float32(result.scale))
    return _saturated(steps + int(result.zero_point))


# Definitions in float32


def _single(
    function: Callable[[Singles], Singles], source: Quantization, result: Quantization
) -> Table:
    """`function` in float32 of the float32 inputs, times the float32 reciprocal of the scale."""
    x = np.float32(source.scale) * _centred(source).astype(np.float32)
    with np.errstate(over="ignore"):
        steps = function(x).astype(np.float32) * (np.float32(1) / np.float32(result.scale))
    return _saturated(_half_away(steps) + float(result.zero_point))


def _rounded(function: Callable[[float], float]) -> Callable[[Singles], Singles]:
    """`function` of doubles on float32 arrays, each value rounded to float32 once."""

    def apply(x: Singles) -> Singles:
        return np.array([function(float(value)) for value in x], np.float64).astype(np.float32)

    return apply


def _bounded_exp(x: float) -> float:
    return math.exp(min(x, 700.0))


_exp32 = _rounded(_bounded_exp)


def _sigmoid(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    one = np.float32(1)
    return _single(lambda x: one / (one + _exp32(-x)), source, result)


def _elu(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    alpha, one = np.float32(attributes.get("alpha", 1.0)), np.float32(1)
    return _single(lambda x: np.where(x < 0, alpha * (_exp32(x) - one), x), source, result)


def _single_table(
    function: Callable[[float], float],
) -> Callable[[Attributes, Quantization, Quantization], Table]:
    return lambda _, source, result: _single(_rounded(function), source, result)


def _gelu(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    if attributes.get("approximate", 0.0):
        return _single(_rounded(_gelu_tanh), source, result)
    return _single(_rounded(lambda x: 0.5 * x * (1 + math.erf(x * math.sqrt(0.5)))), source, result)


def _gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# Definitions in double


def _real(function: Callable[[float], float], source: Quantization, result: Quantization) -> Table:
    """The real function, rounded once; infinities saturate."""
    scale, steps = float(source.scale), _centred(source)
    values = np.array([function(scale * float(x)) for x in steps])
    return _saturated(_half_away(values / float(result.scale)) + float(result.zero_point))


def _real_table(
    function: Callable[[float], float],
) -> Callable[[Attributes, Quantization, Quantization], Table]:
    return lambda _, source, result: _real(function, source, result)


def _hard_sigmoid(attributes: Attributes, source: Quantization, result: Quantization) -> Table:
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return _real(lambda x: min(max(alpha * x + beta, 0.0), 1.0), source, result)


TABLES: Mapping[str, Callable[[Attributes, Quantization, Quantization], Table]] = {
    "Abs": _abs,
    "Clip": _clip,
    "Elu": _elu,
    "Erf": _real_table(math.erf),
    "Exp": _single_table(_bounded_exp),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    # the logarithm of zero and below, where there is none, is the least output
    "Log": _real_table(lambda x: math.log(x) if x > 0 else -math.inf),
    "Neg": _real_table(lambda x: -x),
    # zero becomes the largest output
    "Reciprocal": _real_table(lambda x: 1 / x if x != 0 else math.inf),
    "Relu": _relu,
    "Rsqrt": _inverse_root,
    "Sigmoid": _sigmoid,
    "Softplus": _real_table(lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))),
    # the root of a negative number, where there is none, is that of zero
    "Sqrt": _real_table(lambda x: math.sqrt(max(x, 0.0))),
    "Tanh": _single_table(math.tanh),
}
"""Operators that have a table, by their ONNX name."""
