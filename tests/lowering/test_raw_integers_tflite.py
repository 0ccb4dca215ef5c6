"""TFLite operators that work on integers as they lie in tensors, and products of rows: its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.random_shapes import RandomShapes

Array = npt.NDArray[Any]
BATCH = 8

few = settings(
    max_examples=1,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
seeds = st.integers(0, 2**32 - 1)


class Shapes(RandomShapes):
    """Shapes, grids and integers from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def grid(self, dtype: str) -> tuple[tuple[float, ...], int]:
        scale = float(np.float32(10 ** self.random.uniform(-3, -1)))
        return (scale,), 0 if dtype == "int16" else int(self.random.integers(-128, 128))

    def integers(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Of all sizes, none zero."""
        bits = 15 if dtype == "int16" else 7
        sign = self.random.choice((-1, 1), shape)
        return np.asarray(sign * np.exp2(self.random.uniform(0, bits, shape)), dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(seeds)
def test_quotients_and_remainders(
    tflite_op: Any, expect_program: Any, dtype: str, seed: int
) -> None:
    """Scales and zero points mean nothing to them."""
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for i in range(BATCH):
        left, right, out = d.broadcast()
        tensors = [operand(shape, *d.grid(dtype), dtype) for shape in (left, right, out)]
        name, table = (("FLOOR_DIV", "FloorDivOptions"), ("FLOOR_MOD", "FloorModOptions"))[i % 2]
        op = single_op(name, tuple(tensors[:2]), tensors[2], table)
        trials.append((op, [d.integers(left, dtype), d.integers(right, dtype)]))
    expect_program(trials)


@few
@given(seeds)
def test_comparisons_of_int16_on_two_grids(tflite_op: Any, expect_program: Any, seed: int) -> None:
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for name, table in (
        ("EQUAL", "EqualOptions"),
        ("LESS", "LessOptions"),
        ("GREATER_EQUAL", "GreaterEqualOptions"),
    ):
        shape = d.shape()
        tensors = [operand(shape, *d.grid("int16"), "int16") for _ in range(2)]
        op = single_op(name, tuple(tensors), operand(shape, dtype="bool"), table)
        x, y = d.integers(shape, "int16"), d.integers(shape, "int16")
        y.reshape(-1)[::2] = x.reshape(-1)[::2]
        trials.append((op, [x, y]))
    expect_program(trials)


@pytest.mark.parametrize("name", ["ADD", "SUB"])
@few
@given(seeds)
def test_int16_on_scales_of_powers_of_two(
    tflite_op: Any, expect_program: Any, name: str, seed: int
) -> None:
    """By shifts, unless the file says that its scales are general ones."""
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for i in range(BATCH):
        shape, power, down = d.shape(), -d.size(8, 14), d.size(0, 4)
        scales = [(2.0**power,), (2.0 ** (power - down),)]
        if i % 2:
            scales.reverse()
        tensors = [operand(shape, scale, 0, "int16") for scale in (*scales, (2.0**power,))]
        options: dict[str, Any] = {"FusedActivationFunction": d.pick((0, 1, 2, 3))}
        if i % 4:
            options["PotScaleInt16"] = bool(i % 4 < 3)
        table = "AddOptions" if name == "ADD" else "SubOptions"
        op = single_op(name, tuple(tensors[:2]), tensors[2], table, options)
        trials.append((op, [d.integers(shape, "int16"), d.integers(shape, "int16")]))
    expect_program(trials)


def _reduced(d: Shapes) -> tuple[tuple[int, ...], list[int], bool, tuple[int, ...]]:
    """A shape, some of its axes, whether they stay, and the shape of what is left."""
    shape = d.shape()
    axes = sorted(d.random.permutation(len(shape))[: d.size(1, len(shape))].tolist())
    keep = bool(d.size(0, 1))
    out = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    return shape, axes, keep, out


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(seeds)
def test_products(tflite_op: Any, expect_program: Any, dtype: str, seed: int) -> None:
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for _ in range(BATCH):
        shape, axes, keep, out = _reduced(d)
        operands = (
            operand(shape, *d.grid(dtype), dtype),
            operand((len(axes),), dtype="int32", data=np.array(axes, np.int32)),
        )
        result = operand(out, *d.grid(dtype), dtype)
        op = single_op("REDUCE_PROD", operands, result, "ReducerOptions", {"KeepDims": keep})
        trials.append((op, [d.integers(shape, dtype)]))
    expect_program(trials)


@few
@given(seeds)
def test_sums_of_int16_keep_their_low_bits(tflite_op: Any, expect_program: Any, seed: int) -> None:
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for _ in range(BATCH):
        shape, axes, keep, out = _reduced(d)
        grid = d.grid("int16")
        places = operand((len(axes),), dtype="int32", data=np.array(axes, np.int32))
        operands = (operand(shape, *grid, "int16"), places)
        result = operand(out, *grid, "int16")
        op = single_op("SUM", operands, result, "ReducerOptions", {"KeepDims": keep})
        trials.append((op, [d.integers(shape, "int16")]))
    expect_program(trials)


@few
@given(seeds)
def test_rows_divided_by_their_norm(tflite_op: Any, expect_program: Any, seed: int) -> None:
    single_op, operand = tflite_op
    d, trials = Shapes(seed), []
    for i in range(BATCH):
        shape = (*d.shape(d.size(1, 3)), d.size(1, 300))
        scale, zero_point = d.grid("int8")
        result = operand(shape, (1 / 128,), 0)
        op = single_op(
            "L2_NORMALIZATION", (operand(shape, scale, zero_point),), result, "L2NormOptions"
        )
        x = d.integers(shape, "int8")
        if i == 0:  # a row of zeros
            x[:] = zero_point
        trials.append((op, [x]))
    expect_program(trials)
