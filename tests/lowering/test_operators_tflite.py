"""Kernels that reduce, compare, multiply, resize and pick, against TFLite's, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import Multiplier, multiply, quantize_value
from edgecomp.lowering.integer_index import nearest_places
from edgecomp.lowering.kernels import comparison, indexing, movement, reduction
from edgecomp.lowering.kernels.common import broadcast_shape
from edgecomp.lowering.kernels.conv import Rescale
from edgecomp.lowering.kernels.elementwise import BinaryScales
from edgecomp.lowering.kernels.matmul import batch_matmul
from edgecomp.lowering.kernels.resize import Interpolation, bilinear
from edgecomp.lowering.kernels.softmax import log_softmax
from edgecomp.lowering.kernels.transpose_conv import TransposeConvShape, conv2d_transpose

# Operators compiled together; a failure is not shrunk: that would compile for minutes.
BATCH = 12
compiled = settings(
    max_examples=4, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
Grid = tuple[float, int]
Array = npt.NDArray[Any]
Image = tuple[int, int, int, int]

scales = st.floats(-3.5, -0.01).map(lambda exponent: float(np.float32(10**exponent)))
grids = st.tuples(scales, st.integers(-128, 127))
seeds = st.integers(0, 2**32 - 1)
extents = st.integers(1, 9)
images = st.tuples(st.integers(1, 2), extents, extents, extents)
NONE = Multiplier(0, 0)


@dataclass(frozen=True)
class Trial:
    """One operator in both worlds: a kernel, a TFLite model, and the inputs of each."""

    func: Any
    schedule_as: str
    op: Any
    inputs: tuple[Array, ...]
    constants: tuple[Array, ...] = ()


def _expect_equal(compile_kernels: Any, trials: Sequence[Trial]) -> None:
    kernels = compile_kernels([(trial.func, trial.schedule_as) for trial in trials])
    for kernel, trial in zip(kernels, trials, strict=True):
        want = trial.op.run(*trial.inputs)
        got = kernel(*trial.inputs, *trial.constants)
        np.testing.assert_array_equal(got.reshape(want.shape), want)


def _batches(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*strategies), min_size=BATCH, max_size=BATCH)


def _int8(seed: int, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    generator = np.random.default_rng(seed)
    return tuple(generator.integers(-128, 128, shape).astype(np.int8) for shape in shapes)


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
        factors = multipliers.prelu_multipliers(left[0], right[0], result[0])
        return comparison.parametric_relu(*shapes, zero_points, *factors, result[1])
    return comparison.extreme(*shapes, name == "MAXIMUM")


def _pair_trial(
    tflite_op: Any,
    name: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    grids_in: tuple[Grid, Grid],
    result: Grid,
    seed: int,
) -> Trial:
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
    return Trial(
        _pair_kernel(name, shapes, grids_in, result), "elementwise", op, _int8(seed, *shapes)
    )


@pytest.mark.parametrize("name", [*PAIRS, *RELATIONS])
@compiled
@given(_batches(pairs_of_shapes, st.tuples(grids, grids), grids, seeds))
def test_pair(
    compile_kernels: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    _expect_equal(compile_kernels, [_pair_trial(tflite_op, name, *case) for case in batch])


@compiled
@given(_batches(pairs_of_shapes, st.tuples(grids, grids), grids, seeds))
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
        x, y = _int8(seed, *shapes)
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
        assert (np.abs(got - zero_point - quotient)[small] < 0.51).all()


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
@given(_batches(reductions, grids, st.floats(0.05, 10.0), st.integers(-128, 127), seeds))
def test_mean(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    trials = []
    for (shape, axes), source, finer, zero_point, seed in batch:
        result = (float(np.float32(source[0] * finer)), zero_point)
        count = int(np.prod([shape[axis] for axis in axes]))
        factor = multipliers.mean_multiplier(source[0], result[0], count)
        func = reduction.total(shape, axes, source[1], factor, result[1])
        op = _reduce_op(tflite_op, "MEAN", shape, axes, source, result)
        trials.append(Trial(func, "reduce", op, _int8(seed, shape)))
    _expect_equal(compile_kernels, trials)


@compiled
@given(_batches(reductions, grids, st.floats(0.05, 10.0), st.integers(-128, 127), seeds))
def test_sum(compile_kernels: Any, batch: list[tuple[Any, ...]]) -> None:
    """TFLM's sum: TFLite 2.14's is wrong for negative sums and wraps where it should saturate."""
    funcs, expected = [], []
    for (shape, axes), source, finer, zero_point, seed in batch:
        result = float(np.float32(source[0] * finer))
        factor = multipliers.mean_multiplier(source[0], result, 1)
        assert factor == multipliers.requantize_multiplier(source[0], result)
        funcs.append((reduction.total(shape, axes, source[1], factor, zero_point), "reduce"))
        (x,) = _int8(seed, shape)
        total = (x.astype(np.int64) - source[1]).sum(axis=axes, keepdims=True)
        expected.append((x, np.clip(multiply(total, factor) + zero_point, -128, 127)))
    for kernel, (x, want) in zip(compile_kernels(funcs), expected, strict=True):
        np.testing.assert_array_equal(kernel(x), want)


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN"])
@compiled
@given(_batches(reductions, grids, seeds))
def test_extreme_over_axes(
    compile_kernels: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
) -> None:
    trials = [
        Trial(
            reduction.extreme_over(shape, axes, name == "REDUCE_MAX"),
            "reduce",
            _reduce_op(tflite_op, name, shape, axes, grid, grid),
            _int8(seed, shape),
        )
        for (shape, axes), grid, seed in batch
    ]
    _expect_equal(compile_kernels, trials)


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@compiled
@given(_batches(images, st.integers(0, 3), grids, seeds))
def test_index_of_extreme(
    compile_kernels: Any, tflite_op: Any, name: str, batch: list[tuple[Any, ...]]
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
        trials.append(Trial(func, "reduce_extern", op, _int8(seed, (outer, shape[axis], inner))))
    _expect_equal(compile_kernels, trials)


@compiled
@given(_batches(st.integers(1, 5), st.integers(1, 300), grids, seeds))
def test_log_softmax(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    single_op, operand = tflite_op
    trials = []
    for rows, depth, source, seed in batch:
        op = single_op(
            "LOG_SOFTMAX",
            (operand((rows, depth), source[:1], source[1]),),
            operand((rows, depth), (16 / 256,), 127),
        )
        func = log_softmax(rows, depth, source[0])
        trials.append(Trial(func, "softmax", op, _int8(seed, (rows, depth))))
    _expect_equal(compile_kernels, trials)


@compiled
@given(
    _batches(
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
def test_batch_matmul(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
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
        func = batch_matmul(a, b, (left[1], right[1]), factor, result[1])
        x, y = _int8(seed, a, stored)
        trials.append((Trial(func, "matmul", op, (x, y)), y.swapaxes(-1, -2) if adjoint else y))
    kernels = compile_kernels([(trial.func, trial.schedule_as) for trial, _ in trials])
    for kernel, (trial, y) in zip(kernels, trials, strict=True):
        np.testing.assert_array_equal(kernel(trial.inputs[0], y), trial.op.run(*trial.inputs))


@compiled
@given(_batches(images, extents, extents, st.sampled_from(["", "corners", "half"]), grids, seeds))
def test_resize_bilinear(
    compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    trials = []
    for shape, height, width, mode, grid, seed in batch:
        out = (height + 3, width + 1)
        flags = (mode == "corners", mode == "half")
        rows = Interpolation(shape[1], out[0], *flags)
        columns = Interpolation(shape[2], out[1], *flags)
        op = _resize_op(tflite_op, "RESIZE_BILINEAR", shape, out, grid, mode)
        func = bilinear(shape, rows, columns)
        trials.append(Trial(func, "elementwise", op, _int8(seed, shape)))
    _expect_equal(compile_kernels, trials)


def _resize_op(
    tflite_op: Any, name: str, shape: Image, out: tuple[int, int], grid: Grid, mode: str
) -> Any:
    single_op, operand = tflite_op
    return single_op(
        name,
        (
            operand(shape, grid[:1], grid[1]),
            operand((2,), dtype="int32", data=np.array(out, np.int32)),
        ),
        operand((shape[0], *out, shape[3]), grid[:1], grid[1]),
        "ResizeBilinearOptions" if name == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions",
        {"AlignCorners": mode == "corners", "HalfPixelCenters": mode == "half"},
    )


NEAREST = {
    "": ("asymmetric", "floor"),
    "corners": ("align_corners", "round_prefer_ceil"),
    "half": ("half_pixel", "round_prefer_ceil"),
}


@settings(max_examples=60, deadline=None)
@given(
    images, st.integers(1, 40), st.integers(1, 40), st.sampled_from(sorted(NEAREST)), grids, seeds
)
def test_resize_nearest(
    tflite_op: Any, shape: Image, height: int, width: int, mode: str, grid: Grid, seed: int
) -> None:
    (x,) = _int8(seed, shape)
    want = _resize_op(tflite_op, "RESIZE_NEAREST_NEIGHBOR", shape, (height, width), grid, mode)
    places = [
        np.clip(nearest_places(n, out, None, *NEAREST[mode]), 0, n - 1)
        for n, out in ((shape[1], height), (shape[2], width))
    ]
    np.testing.assert_array_equal(x[:, places[0]][:, :, places[1]], want.run(x))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-5, 20), min_size=1, max_size=12))
def test_a_found_walk_gives_the_indices(indices: list[int]) -> None:
    array = np.array(indices, np.int64)
    found = indexing.find_walk(array)
    assert found is None or found.indices().tolist() == indices


@pytest.mark.parametrize(
    "indices",
    [
        [3],
        [2, 2, 2],
        [7, 5, 3, 1],
        [0, 0, 1, 1, 2, 2],
        [0, 1, 2, 0, 1, 2],
        [1, 1, 3, 3, 1, 1, 3, 3],
    ],
)
def test_regular_indices_are_a_walk(indices: list[int]) -> None:
    found = indexing.find_walk(np.array(indices, np.int64))
    assert found is not None
    assert found.indices().tolist() == indices


@compiled
@given(_batches(images, st.lists(st.integers(0, 3), min_size=8, max_size=8), grids, seeds))
def test_pad(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    single_op, operand = tflite_op
    trials = []
    for shape, border, grid, seed in batch:
        before, after = border[:4], border[4:]
        table = np.array([before, after], np.int32).T.copy()
        value = np.array([quantize_value(0.3 * grid[0], *grid)]).clip(-128, 127).astype(np.int8)
        out = tuple(b + n + a for b, n, a in zip(before, shape, after, strict=True))
        op = single_op(
            "PADV2",
            (
                operand(shape, grid[:1], grid[1]),
                operand((4, 2), dtype="int32", data=table),
                operand((1,), grid[:1], grid[1], data=value),
            ),
            operand(out, grid[:1], grid[1]),
            "PadV2Options",
        )
        func = movement.pad(shape, "int8", before, after, int(value[0]))
        trials.append(Trial(func, "movement", op, _int8(seed, shape)))
    _expect_equal(compile_kernels, trials)


@compiled
@given(_batches(images, st.integers(1, 3), grids, seeds))
def test_blocks(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    single_op, operand = tflite_op
    trials = []
    for (n, h, w, c), block, grid, seed in batch:
        small, large = (n, h, w, c * block**2), (n, h * block, w * block, c)
        for name, shape, out in (
            ("DEPTH_TO_SPACE", small, large),
            ("SPACE_TO_DEPTH", large, small),
        ):
            table = "DepthToSpaceOptions" if name == "DEPTH_TO_SPACE" else "SpaceToDepthOptions"
            op = single_op(
                name,
                (operand(shape, grid[:1], grid[1]),),
                operand(out, grid[:1], grid[1]),
                table,
                {"BlockSize": block},
            )
            func = (
                indexing.depth_to_space(shape, "int8", block, depth_first=True)
                if name == "DEPTH_TO_SPACE"
                else indexing.space_to_depth(shape, "int8", block)
            )
            trials.append(Trial(func, "movement", op, _int8(seed, shape)))
    _expect_equal(compile_kernels, trials)


def _transpose_conv_trial(
    tflite_op: Any,
    image: Image,
    channels: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    same: bool,
    source: Grid,
    result: Grid,
    seed: int,
) -> Trial:
    single_op, operand = tflite_op
    generator = np.random.default_rng(seed)
    weights = generator.integers(-127, 128, (channels, *kernel, image[3])).astype(np.int8)
    bias = generator.integers(-2000, 2000, channels).astype(np.int32)
    weight_scales = generator.uniform(0.001, 0.02, channels).astype(np.float32)
    out, pads = [], []
    for extent, taps, stride in zip(image[1:3], kernel, strides, strict=True):
        full = (extent - 1) * stride + taps
        out.append(extent * stride if same else max(full, extent * stride))
        pads.append(max(0, full - extent * stride) // 2 if same else 0)
    bias_scales = np.float32(source[0]) * weight_scales
    op = single_op(
        "TRANSPOSE_CONV",
        (
            operand((4,), dtype="int32", data=np.array([image[0], *out, channels], np.int32)),
            operand(weights.shape, tuple(weight_scales.tolist()), 0, data=weights),
            operand(image, source[:1], source[1]),
            operand((channels,), tuple(bias_scales.tolist()), 0, dtype="int32", data=bias),
        ),
        operand((image[0], *out, channels), result[:1], result[1]),
        "TransposeConvOptions",
        {"Padding": 0 if same else 1, "StrideH": strides[0], "StrideW": strides[1]},
    )
    missing = [(0, -taps % stride) for taps, stride in zip(kernel, strides, strict=True)]
    filled = np.pad(weights, ((0, 0), *missing, (0, 0)))
    factors = multipliers.conv_multipliers(source[0], weight_scales, result[0])
    shape = TransposeConvShape(
        image,
        (out[0], out[1], channels),
        (filled.shape[1], filled.shape[2]),
        strides,
        (pads[0], pads[1]),
        1,
    )
    rescale = Rescale(result[1], -128, 127, all(factor.shift <= 0 for factor in factors))
    constants = (
        filled,
        bias,
        np.array([factor.mantissa for factor in factors], np.int32),
        np.array([factor.shift for factor in factors], np.int8),
    )
    func = conv2d_transpose(shape, source[1], rescale)
    return Trial(func, "conv_transpose", op, _int8(seed, image), constants)


@compiled
@given(
    _batches(
        images,
        st.integers(1, 5),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.booleans(),
        grids,
        grids,
        seeds,
    )
)
def test_transpose_conv(compile_kernels: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
    _expect_equal(compile_kernels, [_transpose_conv_trial(tflite_op, *case) for case in batch])
