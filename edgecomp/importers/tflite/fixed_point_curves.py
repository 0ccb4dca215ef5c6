"""Logistic and tanh of 16-bit fixed-point numbers, as TFLite's integer LSTM computes them.

The definition is that of gemmlowp's fixedpoint.h: exp by a polynomial on [-1/4, 0) and a product
for each bit above, then 1 / (1 + x) by three Newton-Raphson steps. A number with n integer bits is
raw / 2^(15 - n); results have none. Every intermediate fits in 32 bits.
"""

from __future__ import annotations

from edgecomp.importers.tflite.integers import Integers

_ONE = (1 << 15) - 1
"""1.0 without integer bits, as near as it gets."""

_ONE_2 = 1 << 13
"""1.0 with two integer bits."""

_EXPONENTIALS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""n and exp(-2^n) in Q31."""


def logistic(x: Integers, integer_bits: int) -> Integers:
    """1 / (1 + exp(-x))."""
    negative = (-x).where(x.compare("Greater", 0), x)
    steps = _inverse(_exponential(negative, integer_bits))
    result = _saturated(steps * 2)
    result = result.where(x.compare("Greater", 0), -result + _ONE)
    return (result * 0 + (1 << 14)).where(x.compare("Equal", 0), result)


def tanh(x: Integers, integer_bits: int) -> Integers:
    """Hyperbolic tangent."""
    negative = (-x).where(x.compare("Greater", 0), x)
    steps = _inverse(_exponential(negative, integer_bits + 1))
    result = _saturated((steps - _ONE_2) * 4)
    result = (-result).where(x.compare("Less", 0), result)
    return (result * 0).where(x.compare("Equal", 0), result)


def _product(left: Integers, right: Integers | int) -> Integers:
    """Of two numbers, rounded to nearest, ties up."""
    return (left * right).halved(15, ties_up=True)


def _constant(steps: int) -> int:
    """A Q31 number as Q15."""
    return (steps + (1 << 15)) >> 16


def _saturated(x: Integers) -> Integers:
    return x.clipped(-(1 << 15), _ONE)


def _exponential(x: Integers, integer_bits: int) -> Integers:
    """exp of numbers that are not positive."""
    quarter = 1 << (13 - integer_bits)
    raised = x + (1 << 15)
    inside = raised - raised.quotient(quarter) * quarter - quarter
    result = _on_quarter(inside * (1 << integer_bits))
    remainder = inside - x
    for exponent, factor in _EXPONENTIALS:
        if integer_bits > exponent:
            place = 1 << (15 - integer_bits + exponent)
            whole = remainder.quotient(place)
            odd = (whole - whole.quotient(2) * 2).compare("Equal", 1)
            result = _product(result, _constant(factor)).where(odd, result)
    if integer_bits > 5:
        result = (result * 0).where(x.compare("Less", -(1 << (20 - integer_bits))), result)
    return (result * 0 + _ONE).where(x.compare("Equal", 0), result)


def _on_quarter(x: Integers) -> Integers:
    """exp on [-1/4, 0): its series around -1/8."""
    x = x + (1 << 12)
    square = _product(x, x)
    cube = _product(square, x)
    fourth = _product(square, square).halved(2)
    third = _product(fourth + cube, _constant(715827883))
    tail = (third + square).halved(1)
    middle = _constant(1895147668)
    return _saturated(_product(x + tail, middle) + middle)


def _inverse(x: Integers) -> Integers:
    """2 / (1 + x) with two integer bits, for x in [0, 1]."""
    half = (x + (_ONE + 1)).quotient(2)
    result = _product(half, _constant(-1010580540)) + _constant(1515870810)
    for _ in range(3):
        rest = -_product(half, result) + _ONE_2
        result = result + _saturated(_product(result, rest) * 4)
    return result
