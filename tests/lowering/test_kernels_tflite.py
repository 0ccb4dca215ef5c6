"""Element-wise, pooling, softmax and moving kernels against TFLite's, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import Multiplier, quantize_value
from edgecomp.lowering.kernels.common import broadcast_shape
from edgecomp.lowering.kernels.elementwise import BinaryScales, add, multiply, requantize
from edgecomp.lowering.kernels.movement import concat
from edgecomp.lowering.kernels.pool import MeanWork, PoolShape, average_pool, max_pool, mean
from edgecomp.lowering.kernels.softmax import softmax
from edgecomp.lowering.multipliers import (
    add_multipliers,
    mean_multiplier,
    mul_multiplier,
    requantize_multiplier,
)
from tests.lowering_batches import compiled as compiled_together

# Operators compiled together, which is several times faster than one by one. A failure is not
# shrunk: that would compile for minutes.
BATCH = 12
compiled = settings(compiled_together, max_examples=5)
# Real bounds of TFLite's fused activations, by their number in the schema.
ACTIVATIONS = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
SAME, VALID = 0, 1

Grid = tuple[float, int]
Int8 = npt.NDArray[np.int8]
Image = tuple[int, int, int, int]

scales = st.floats(-3.5, 0.0).map(lambda exponent: float(np.float32(10**exponent)))
grids = st.tuples(scales, st.integers(-128, 127))
activations = st.sampled_from(sorted(ACTIVATIONS))
seeds = st.integers(0, 2**32 - 1)
images = st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 12), st.integers(1, 20))


@dataclass(frozen=True)
class Trial:
    """One operator in both worlds: a kernel, a TFLite model, and the inputs of both."""

    func: Any
    schedule_as: str
    op: Any
    inputs: tuple[Int8, ...]


def _expect_equal(compile_kernels: Any, trials: Sequence[Trial]) -> None:
    kernels = compile_kernels([(trial.func, trial.schedule_as) for trial in trials])
    for kernel, trial in zip(kernels, trials, strict=True):
        want = trial.op.run(*trial.inputs)
        np.testing.assert_array_equal(kernel(*trial.inputs), want)


def _batches(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*strategies), min_size=BATCH, max_size=BATCH)


def _int8(seed: int, *shapes: tuple[int, ...]) -> tuple[Int8, ...]:
    generator = np.random.default_rng(seed)
    return tuple(generator.integers(-128, 128, shape).astype(np.int8) for shape in shapes)


def _limits(activation: int, grid: Grid) -> tuple[int, int]:
    low, high = ACTIVATIONS[activation]
    bottom = -128 if low is None else max(-128, quantize_value(low, *grid))
    return bottom, 127 if high is None else min(127, quantize_value(high, *grid))


# (shape of a, shape of b), each broadcast to the other
pairs_of_shapes = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=4
).map(
    lambda axes: (
        tuple(1 if one == 1 else extent for extent, one in axes),
        tuple(1 if one == 2 else extent for extent, one in axes),
    )
)


def _binary_trial(
    tflite_op: Any,
    name: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    trailing: bool,
    operands: tuple[Grid, Grid],
    result: Grid,
    activation: int,
    seed: int,
) -> Trial:
    """`trailing`: the second operand goes without its leading axis, as broadcasting allows."""
    single_op, operand = tflite_op
    left, right = shapes[0], shapes[1][1:] if trailing and shapes[1][0] == 1 else shapes[1]
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}
    op = single_op(
        name,
        (
            operand(left, operands[0][:1], operands[0][1]),
            operand(right, operands[1][:1], operands[1][1]),
        ),
        operand(broadcast_shape(left, right), result[:1], result[1]),
        options[name],
        {"FusedActivationFunction": activation},
    )
    zero_points, low_high = (operands[0][1], operands[1][1]), _limits(activation, result)
    if name == "MUL":
        factor = mul_multiplier(operands[0][0], operands[1][0], result[0])
        none = (Multiplier(0, 0), Multiplier(0, 0))
        func = multiply(left, right, BinaryScales(zero_points, none, factor, result[1], *low_high))
    else:
        factors = add_multipliers(operands[0][0], operands[1][0], result[0])
        constants = BinaryScales(zero_points, factors.inputs, factors.output, result[1], *low_high)
        func = add(left, right, constants, subtract=name == "SUB")
    return Trial(func, "elementwise", op, _int8(seed, left, right))


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@compiled
@given(_batches(pairs_of_shapes, st.booleans(), st.tuples(grids, grids), grids, activations, seeds))
def test_binary(
    compile_kernels: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    _expect_equal(compile_kernels, [_binary_trial(tflite_op, name, *case) for case in batch])


def _pool_trial(
    tflite_op: Any,
    name: str,
    image: Image,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: int,
    grid: Grid,
    activation: int,
    seed: int,
) -> Trial:
    single_op, operand = tflite_op
    kernel = (min(kernel[0], image[1]), min(kernel[1], image[2]))
    out, before, after = [], [], []
    for extent, window, stride in zip(image[1:3], kernel, strides, strict=True):
        free = extent if padding == SAME else extent - window + 1
        out.append(-(-free // stride))
        missing = max(0, (out[-1] - 1) * stride + window - extent)
        before.append(missing // 2)
        after.append(missing - missing // 2)
    op = single_op(
        name,
        (operand(image, grid[:1], grid[1]),),
        operand((image[0], *out, image[3]), grid[:1], grid[1]),
        "Pool2DOptions",
        {
            "Padding": padding,
            "StrideH": strides[0],
            "StrideW": strides[1],
            "FilterHeight": kernel[0],
            "FilterWidth": kernel[1],
            "FusedActivationFunction": activation,
        },
    )
    pads = (before[0], before[1], after[0], after[1])
    shape = PoolShape(image, kernel, strides, pads, (out[0], out[1]))
    pool = max_pool if name == "MAX_POOL_2D" else average_pool
    return Trial(pool(shape, _limits(activation, grid)), "pool2d", op, _int8(seed, image))


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@compiled
@given(
    _batches(
        images,
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.sampled_from([SAME, VALID]),
        grids,
        activations,
        seeds,
    )
)
def test_pool(
    compile_kernels: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    _expect_equal(compile_kernels, [_pool_trial(tflite_op, name, *case) for case in batch])


def _mean_trial(
    tflite_op: Any, image: Image, source: Grid, finer: float, zero_point: int, seed: int
) -> Trial:
    single_op, operand = tflite_op
    result = (float(np.float32(source[0] * finer)), zero_point)
    op = single_op(
        "MEAN",
        (
            operand(image, source[:1], source[1]),
            operand((2,), dtype="int32", data=np.array([1, 2], np.int32)),
        ),
        operand((image[0], 1, 1, image[3]), result[:1], result[1]),
        "ReducerOptions",
        {"KeepDims": True},
    )
    factor = mean_multiplier(source[0], result[0], image[1] * image[2])
    func = mean(MeanWork(image, source[1], result[1], factor))
    return Trial(func, "pool2d", op, _int8(seed, image))


@compiled
@given(_batches(images, grids, st.floats(0.05, 10.0), st.integers(-128, 127), seeds))
def test_mean(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_mean_trial(tflite_op, *case) for case in batch])


def _softmax_trial(
    tflite_op: Any, rows: int, depth: int, source: Grid, beta: float, seed: int
) -> Trial:
    single_op, operand = tflite_op
    op = single_op(
        "SOFTMAX",
        (operand((rows, depth), source[:1], source[1]),),
        operand((rows, depth), (1 / 256,), -128),
        "SoftmaxOptions",
        {"Beta": beta},
    )
    return Trial(softmax(rows, depth, source[0], beta), "softmax", op, _int8(seed, (rows, depth)))


@compiled
@given(
    _batches(
        st.integers(1, 5),
        st.integers(1, 300),
        grids,
        st.one_of(st.just(1.0), st.floats(2**-4, 4.0, width=32)),
        seeds,
    )
)
def test_softmax(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_softmax_trial(tflite_op, *case) for case in batch])


def _requantize_trial(tflite_op: Any, image: Image, source: Grid, result: Grid, seed: int) -> Trial:
    single_op, operand = tflite_op
    op = single_op(
        "QUANTIZE",
        (operand(image, source[:1], source[1]),),
        operand(image, result[:1], result[1]),
        "QuantizeOptions",
    )
    factor = requantize_multiplier(source[0], result[0])
    func = requantize(image, source[1], factor, result[1])
    return Trial(func, "elementwise", op, _int8(seed, image))


@compiled
@given(_batches(images, grids, grids, seeds))
def test_requantize(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_requantize_trial(tflite_op, *case) for case in batch])


def _concat_trial(
    tflite_op: Any, image: Image, axis: int, extents: list[int], grid: Grid, seed: int
) -> Trial:
    single_op, operand = tflite_op
    shapes = [(*image[:axis], extent, *image[axis + 1 :]) for extent in extents]
    op = single_op(
        "CONCATENATION",
        tuple(operand(shape, grid[:1], grid[1]) for shape in shapes),
        operand((*image[:axis], sum(extents), *image[axis + 1 :]), grid[:1], grid[1]),
        "ConcatenationOptions",
        {"Axis": axis},
    )
    return Trial(concat(shapes, "int8", axis), "elementwise", op, _int8(seed, *shapes))


@compiled
@given(
    _batches(
        images,
        st.integers(0, 3),
        st.lists(st.integers(1, 6), min_size=1, max_size=4),
        grids,
        seeds,
    )
)
def test_concat(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_concat_trial(tflite_op, *case) for case in batch])
