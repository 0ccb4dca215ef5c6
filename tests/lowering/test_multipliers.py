"""Real multipliers against TFLite on the edge of two outputs, where a unit of a mantissa shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import Multiplier, multiply
from edgecomp.lowering.multipliers import (
    ADD_LEFT_SHIFT,
    add_multipliers,
    conv_multipliers,
    dense_multiplier,
    mean_multiplier,
    mul_multiplier,
    requantize_multiplier,
)

CHANNELS = 32
EVERY = np.arange(-128, 128, dtype=np.int8)

single = st.floats(2**-10, 1.0, width=32)
zero_points = st.integers(-128, 127)
seeds = st.integers(0, 2**32 - 1)


def _on_the_edge(multiplier: Multiplier, output: int) -> int:
    """The least sum that becomes `output`."""
    real = multiplier.mantissa * 2.0 ** (multiplier.shift - 31)
    near = np.arange(-8, 9) + int((output - 0.5) / real)
    reached = multiply(near.astype(np.int64), multiplier) >= output
    assert reached[-1]
    assert not reached[0]
    return int(near[np.argmax(reached)])


def _edges(multipliers: Sequence[Multiplier], seed: int) -> npt.NDArray[np.int64]:
    """A sum for each channel, the last before or the first of a random output."""
    generator = np.random.default_rng(seed)
    outputs = generator.integers(20, 120, len(multipliers)) * generator.choice([-1, 1])
    before = generator.integers(0, 2, len(multipliers))
    first = [_on_the_edge(m, int(q)) for m, q in zip(multipliers, outputs, strict=True)]
    return np.array(first) - before


def _clipped(values: npt.NDArray[np.int64], zero_point: int) -> npt.NDArray[np.int64]:
    return np.clip(values + zero_point, -128, 127)


def _weighted(
    tflite_op: Any,
    name: str,
    table: str,
    scales: tuple[float, npt.NDArray[np.float32], float],
    bias: npt.NDArray[np.int64],
) -> npt.NDArray[np.int8]:
    """What TFLite makes of the sums `bias` alone: the inputs are zero."""
    single_op, operand = tflite_op
    source, weights, result = scales
    if name == "CONV_2D":
        shapes: list[tuple[int, ...]] = [(1, 1, 1, 1), (CHANNELS, 1, 1, 1), (1, 1, 1, CHANNELS)]
        options = {"StrideH": 1, "StrideW": 1}
    else:
        shapes, options = [(1, 1), (CHANNELS, 1), (1, CHANNELS)], {}
    ones = np.ones(shapes[1], np.int8)
    steps = tuple(weights * np.float32(source))
    op = single_op(
        name,
        (
            operand(shapes[0], (source,)),
            operand(shapes[1], tuple(weights), data=ones),
            operand((CHANNELS,), steps, 0, "int32", data=bias.astype(np.int32)),
        ),
        operand(shapes[2], (result,)),
        table,
        options,
    )
    made: npt.NDArray[np.int8] = op.run(np.zeros(shapes[0], np.int8)).reshape(-1)
    return made


# 32-bit sums resolve one unit of a float32 product from about here down
tiny = st.floats(-6.5, -5.0).map(lambda exponent: 10**exponent)


@settings(max_examples=100, deadline=None)
@given(source=single, multiplier=tiny, seed=seeds)
def test_conv(tflite_op: Any, source: float, multiplier: float, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.5, 1, CHANNELS).astype(np.float32)
    result = float(np.float32(source / multiplier))
    multipliers = conv_multipliers(source, weights, result)
    bias = _edges(multipliers, seed)
    made = _weighted(tflite_op, "CONV_2D", "Conv2DOptions", (source, weights, result), bias)
    want = [multiply(b, m) for b, m in zip(bias, multipliers, strict=True)]
    np.testing.assert_array_equal(made, np.clip(want, -128, 127))


@settings(max_examples=100, deadline=None)
@given(source=single, weights=single, multiplier=tiny, seed=seeds)
def test_dense(tflite_op: Any, source: float, weights: float, multiplier: float, seed: int) -> None:
    result = float(np.float32(source * weights / multiplier))
    factor = dense_multiplier(source, weights, result)
    bias = _edges([factor] * CHANNELS, seed)
    scales = (source, np.array([weights], np.float32), result)
    made = _weighted(tflite_op, "FULLY_CONNECTED", "FullyConnectedOptions", scales, bias)
    np.testing.assert_array_equal(made, np.clip(multiply(bias, factor), -128, 127))


# (x, y): x input steps fall between the output steps y and y + 1, but for float32's rounding
ties = st.tuples(st.integers(1, 255), st.integers(0, 120))


def _scale_of_tie(source: float, tie: tuple[int, int]) -> float:
    """The output's scale."""
    return float(np.float32(source * tie[0] / (tie[1] + 0.5)))


Grid = tuple[float, int]
grids = st.tuples(single, zero_points)


def _pairs(tflite_op: Any, name: str, table: str, left: Grid, right: Grid, result: Grid) -> Any:
    """TFLite's output for every pair of int8 inputs, [256, 256]."""
    single_op, operand = tflite_op
    op = single_op(
        name,
        (operand((256, 1), left[:1], left[1]), operand((1, 256), right[:1], right[1])),
        operand((256, 256), result[:1], result[1]),
        table,
    )
    return op.run(EVERY[:, None], EVERY[None, :])


def _centred(grid: Grid) -> npt.NDArray[np.int64]:
    return EVERY.astype(np.int64) - grid[1]


@settings(max_examples=100, deadline=None)
@given(left=grids, right=grids, factor=st.integers(1, 255), tie=ties, zero_point=zero_points)
def test_mul(
    tflite_op: Any, left: Grid, right: Grid, factor: int, tie: tuple[int, int], zero_point: int
) -> None:
    result = (_scale_of_tie(left[0] * right[0] * factor, tie), zero_point)
    product = _centred(left)[:, None] * _centred(right)[None, :]
    want = _clipped(multiply(product, mul_multiplier(left[0], right[0], result[0])), zero_point)
    made = _pairs(tflite_op, "MUL", "MulOptions", left, right, result)
    np.testing.assert_array_equal(made, want)


@settings(max_examples=100, deadline=None)
@given(left=grids, right=grids, tie=ties, zero_point=zero_points, subtract=st.booleans())
def test_add_and_sub(
    tflite_op: Any,
    left: Grid,
    right: Grid,
    tie: tuple[int, int],
    zero_point: int,
    subtract: bool,
) -> None:
    result = (_scale_of_tie(max(left[0], right[0]), tie), zero_point)
    factors = add_multipliers(left[0], right[0], result[0])
    x = multiply(_centred(left) << ADD_LEFT_SHIFT, factors.inputs[0])[:, None]
    y = multiply(_centred(right) << ADD_LEFT_SHIFT, factors.inputs[1])[None, :]
    want = _clipped(multiply(x - y if subtract else x + y, factors.output), zero_point)
    name, table = ("SUB", "SubOptions") if subtract else ("ADD", "AddOptions")
    made = _pairs(tflite_op, name, table, left, right, result)
    np.testing.assert_array_equal(made, want)


@settings(max_examples=200, deadline=None)
@given(source=grids, tie=ties, zero_point=zero_points)
def test_requantize(tflite_op: Any, source: Grid, tie: tuple[int, int], zero_point: int) -> None:
    single_op, operand = tflite_op
    result = _scale_of_tie(source[0], tie)
    op = single_op(
        "QUANTIZE",
        (operand((256,), source[:1], source[1]),),
        operand((256,), (result,), zero_point),
        "QuantizeOptions",
    )
    steps = multiply(_centred(source), requantize_multiplier(source[0], result))
    np.testing.assert_array_equal(op.run(EVERY), _clipped(steps, zero_point))


@settings(max_examples=200, deadline=None)
@given(source=grids, tie=ties, zero_point=zero_points, count=st.integers(1, 200), seed=seeds)
def test_mean(
    tflite_op: Any, source: Grid, tie: tuple[int, int], zero_point: int, count: int, seed: int
) -> None:
    single_op, operand = tflite_op
    x = np.random.default_rng(seed).integers(-128, 128, (1, 1, count, 64)).astype(np.int8)
    sums = (x.astype(np.int64) - source[1]).sum(axis=(1, 2))
    result = _scale_of_tie(source[0], (max(1, int(abs(sums[0, 0]))), tie[1])) / count
    result = float(np.float32(result))
    axes = operand((2,), dtype="int32", data=np.array([1, 2], np.int32))
    op = single_op(
        "MEAN",
        (operand(x.shape, source[:1], source[1]), axes),
        operand((1, 64), (result,), zero_point),
        "ReducerOptions",
    )
    want = _clipped(multiply(sums, mean_multiplier(source[0], result, count)), zero_point)
    np.testing.assert_array_equal(op.run(x), want)
