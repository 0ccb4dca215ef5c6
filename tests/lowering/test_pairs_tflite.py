"""Kernels of two activations against TFLite's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels import comparison
from edgecomp.lowering.kernels.common import broadcast_shape
from edgecomp.lowering.kernels.elementwise import BinaryScales
from edgecomp.lowering.kernels.matmul import batch_matmul
from tests.lowering_batches import (
    Grid,
    batches,
    compiled,
    extents,
    grids,
    int8,
    seeds,
)

NONE = Multiplier(0, 0)


# (shape of a, shape of b), each broadcast to the other
pairs_of_shapes = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=4
).map(
    lambda axes: (
        tuple(1 if one == 1 else extent for extent, one in axes),
        tuple(1 if one == 2 else extent for extent, one in axes),
    )
)

PAIRS = {
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "PRELU": "",
}
RELATIONS = {
    "EQUAL": "==",
    "LESS": "<",
    "LESS_EQUAL": "<=",
    "GREATER": ">",
    "GREATER_EQUAL": ">=",
}


def _pair_kernel(
    name: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    grids_in: tuple[Grid, Grid],
    result: Grid,
) -> Any:
    (left, right), zero_points = grids_in, (grids_in[0][1], grids_in[1][1])
    if name in RELATIONS:
        factors = multipliers.comparison_multipliers(left[0], right[0])
        return comparison.compare(*shapes, RELATIONS[name], zero_points, factors)
    if name == "SQUARED_DIFFERENCE":
        both = multipliers.squared_difference_multipliers(left[0], right[0], result[0])
        constants = BinaryScales(zero_points, both.inputs, both.output, result[1], -128, 127)
        return comparison.squared_difference(*shapes, constants)
    if name == "PRELU":
        identity, product = multipliers.prelu_multipliers(left[0], right[0], result[0])
        inputs = identity, Multiplier(0, 0)
        constants = BinaryScales(zero_points, inputs, product, result[1], -128, 127)
        return comparison.parametric_relu(*shapes, constants)
    return comparison.extreme(*shapes, name == "MAXIMUM")


def _pair_trial(
    trial: Any,
    tflite_op: Any,
    name: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    grids_in: tuple[Grid, Grid],
    result: Grid,
    seed: int,
) -> Any:
    single_op, operand = tflite_op
    if name == "PRELU":  # TFLite wants the output as large as the first operand
        shapes = (broadcast_shape(*shapes), shapes[1])
    if name in ("MAXIMUM", "MINIMUM"):
        grids_in, result = (grids_in[0], grids_in[0]), grids_in[0]
    out = broadcast_shape(*shapes)
    answer = (
        operand(out, dtype="bool") if name in RELATIONS else operand(out, result[:1], result[1])
    )
    op = single_op(
        name,
        tuple(operand(s, g[:1], g[1]) for s, g in zip(shapes, grids_in, strict=True)),
        answer,
        PAIRS.get(name, ""),
    )
    return trial(
        _pair_kernel(name, shapes, grids_in, result), "elementwise", op, int8(seed, *shapes)
    )


@pytest.mark.parametrize("name", [*PAIRS, *RELATIONS])
@compiled
@given(batches(pairs_of_shapes, st.tuples(grids, grids), grids, seeds))
def test_pair(
    expect_tflite: Any, trial: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    expect_tflite([_pair_trial(trial, tflite_op, name, *case) for case in batch])


@compiled
@given(batches(pairs_of_shapes, st.tuples(grids, grids), grids, seeds))
def test_div(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    """TFLite 2.14 divides uint8 only, by the definition that TFLM has for int8.

    Quotients of less than a step it may shift by more than 31 bits, which C leaves undefined.
    """
    single_op, operand = tflite_op
    trials, funcs = [], []
    for shapes, grids_in, result, seed in batch:
        factor = multipliers.div_multiplier(grids_in[0][0], grids_in[1][0], result[0])
        zero_points = (grids_in[0][1], grids_in[1][1])
        constants = BinaryScales(zero_points, (NONE, NONE), factor, result[1], -128, 127)
        funcs.append((comparison.divide(*shapes, constants), "elementwise"))
        x, y = int8(seed, *shapes)
        # TFLite refuses a division by zero
        y = np.where(y == zero_points[1], -zero_points[1] // 2 - 1, y).astype(np.int8)
        op = single_op(
            "DIV",
            tuple(
                operand(s, g[:1], g[1] + 128, dtype="uint8")
                for s, g in zip(shapes, grids_in, strict=True)
            ),
            operand(broadcast_shape(*shapes), result[:1], result[1] + 128, dtype="uint8"),
            "DivOptions",
        )
        scale = grids_in[0][0] / grids_in[1][0] / result[0]
        quotient = scale * (x - float(zero_points[0])) / (y - float(zero_points[1]))
        trials.append((op, x, y, quotient, result[1]))
    for kernel, (op, x, y, quotient, zero_point) in zip(
        compile_kernels(funcs), trials, strict=True
    ):
        want = op.run(*((v.astype(np.int16) + 128).astype(np.uint8) for v in (x, y)))
        got, small = kernel(x, y), np.abs(quotient) < 1
        np.testing.assert_array_equal(got[~small], want[~small].astype(np.int16) - 128)
        real = np.clip(zero_point + quotient, -128, 127)
        assert (np.abs(got - real)[small] < 0.51).all()


@compiled
@given(
    batches(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=2),
        extents,
        extents,
        extents,
        st.booleans(),
        st.tuples(grids, grids),
        grids,
        seeds,
    )
)
def test_batch_matmul(
    compile_kernels: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    single_op, operand = tflite_op
    trials = []
    for stack, rows, depth, columns, adjoint, (left, right), result, seed in batch:
        a = (*(1 if one == 1 else n for n, one in stack), rows, depth)
        b = (*(1 if one == 2 else n for n, one in stack), depth, columns)
        stored = (*b[:-2], columns, depth) if adjoint else b
        op = single_op(
            "BATCH_MATMUL",
            (operand(a, left[:1], left[1]), operand(stored, right[:1], right[1])),
            operand((*broadcast_shape(a[:-2], b[:-2]), rows, columns), result[:1], result[1]),
            "BatchMatMulOptions",
            {"AdjY": adjoint},
        )
        factor = multipliers.dense_multiplier(left[0], right[0], result[0])
        none = Multiplier(0, 0)
        scales = BinaryScales((left[1], right[1]), (none, none), factor, result[1], -128, 127)
        func = batch_matmul(a, b, scales)
        x, y = int8(seed, a, stored)
        trials.append((trial(func, "matmul", op, (x, y)), y.swapaxes(-1, -2) if adjoint else y))
    kernels = compile_kernels([(one.func, one.schedule_as) for one, _ in trials])
    for kernel, (one, y) in zip(kernels, trials, strict=True):
        np.testing.assert_array_equal(kernel(one.inputs[0], y), one.op.run(*one.inputs))
