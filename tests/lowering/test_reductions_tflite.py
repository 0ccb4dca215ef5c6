"""Kernels that reduce or normalise axes against TFLite's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import multiply
from edgecomp.lowering.kernels import reduction
from edgecomp.lowering.kernels.softmax import log_softmax
from tests.lowering_batches import (
    Grid,
    batches,
    compiled,
    grids,
    images,
    int8,
    seeds,
)

reductions = st.tuples(
    st.lists(st.integers(1, 7), min_size=1, max_size=4), st.sets(st.integers(0, 3), min_size=1)
).map(lambda drawn: (tuple(drawn[0]), tuple(sorted({axis % len(drawn[0]) for axis in drawn[1]}))))


def _reduce_op(
    tflite_op: Any,
    name: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    source: Grid,
    result: Grid,
) -> Any:
    single_op, operand = tflite_op
    table = operand((len(axes),), dtype="int32", data=np.array(axes, np.int32))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return single_op(
        name,
        (operand(shape, source[:1], source[1]), table),
        operand(kept, result[:1], result[1]),
        "ReducerOptions",
        {"KeepDims": True},
    )


@compiled
@given(batches(reductions, grids, st.floats(0.05, 10.0), st.integers(-128, 127), seeds))
def test_mean(expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    trials = []
    for (shape, axes), source, finer, zero_point, seed in batch:
        result = (float(np.float32(source[0] * finer)), zero_point)
        count = int(np.prod([shape[axis] for axis in axes]))
        factor = multipliers.mean_multiplier(source[0], result[0], count)
        func = reduction.total(shape, axes, source[1], factor, result[1])
        op = _reduce_op(tflite_op, "MEAN", shape, axes, source, result)
        trials.append(trial(func, "reduce", op, int8(seed, shape)))
    expect_tflite(trials)


@compiled
@given(batches(reductions, grids, st.floats(0.05, 10.0), st.integers(-128, 127), seeds))
def test_sum(compile_kernels: Any, batch: list[tuple[Any, ...]]) -> None:
    """TFLM's sum: TFLite 2.14's is wrong for negative sums and wraps where it should saturate."""
    funcs, expected = [], []
    for (shape, axes), source, finer, zero_point, seed in batch:
        result = float(np.float32(source[0] * finer))
        factor = multipliers.mean_multiplier(source[0], result, 1)
        assert factor == multipliers.requantize_multiplier(source[0], result)
        funcs.append((reduction.total(shape, axes, source[1], factor, zero_point), "reduce"))
        (x,) = int8(seed, shape)
        total = (x.astype(np.int64) - source[1]).sum(axis=axes, keepdims=True)
        expected.append((x, np.clip(multiply(total, factor) + zero_point, -128, 127)))
    for kernel, (x, want) in zip(compile_kernels(funcs), expected, strict=True):
        np.testing.assert_array_equal(kernel(x), want)


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@compiled
@given(batches(reductions, grids, seeds))
def test_extreme_over_axes(
    expect_tflite: Any, trial: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    trials = [
        trial(
            reduction.extreme_over(shape, axes, name == "REDUCE_MAX"),
            "reduce",
            _reduce_op(tflite_op, name, shape, axes, grid, grid),
            int8(seed, shape),
        )
        for (shape, axes), grid, seed in batch
    ]
    expect_tflite(trials)


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@compiled
@given(batches(images, st.integers(0, 3), grids, seeds))
def test_index_of_extreme(
    expect_tflite: Any, trial: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    single_op, operand = tflite_op
    trials = []
    for shape, axis, grid, seed in batch:
        outer, inner = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        func = reduction.index_of_extreme(outer, shape[axis], inner, name == "ARG_MAX", last=False)
        op = single_op(
            name,
            (
                operand((outer, shape[axis], inner), grid[:1], grid[1]),
                operand((), dtype="int32", data=np.array(1, np.int32)),
            ),
            operand((outer, inner), dtype="int64"),
            "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions",
            {"OutputType": 4},
        )
        trials.append(trial(func, "reduce_extern", op, int8(seed, (outer, shape[axis], inner))))
    expect_tflite(trials)


@compiled
@given(batches(st.integers(1, 5), st.integers(1, 300), grids, seeds))
def test_log_softmax(
    expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    single_op, operand = tflite_op
    trials = []
    for rows, depth, source, seed in batch:
        op = single_op(
            "LOG_SOFTMAX",
            (operand((rows, depth), source[:1], source[1]),),
            operand((rows, depth), (16 / 256,), 127),
        )
        func = log_softmax(rows, depth, source[0])
        trials.append(trial(func, "softmax", op, int8(seed, (rows, depth))))
    expect_tflite(trials)
