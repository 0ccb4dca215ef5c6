"""Kernels that resize, pad, rearrange or spread images against TFLite's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering import multipliers
from edgecomp.lowering.fixed_point import quantize_value
from edgecomp.lowering.integer_index import nearest_places
from edgecomp.lowering.kernels import indexing, movement
from edgecomp.lowering.kernels.conv import Rescale
from edgecomp.lowering.kernels.resize import Interpolation, bilinear
from edgecomp.lowering.kernels.transpose_conv import TransposeConvShape, conv2d_transpose
from tests.lowering_batches import (
    Grid,
    Image,
    batches,
    compiled,
    extents,
    grids,
    images,
    int8,
    seeds,
)


@compiled
@given(batches(images, extents, extents, st.sampled_from(["", "corners", "half"]), grids, seeds))
def test_resize_bilinear(
    expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    trials = []
    for shape, height, width, mode, grid, seed in batch:
        out = (height + 3, width + 1)
        flags = (mode == "corners", mode == "half")
        rows = Interpolation(shape[1], out[0], *flags)
        columns = Interpolation(shape[2], out[1], *flags)
        op = _resize_op(tflite_op, "RESIZE_BILINEAR", shape, out, grid, mode)
        func = bilinear(shape, rows, columns)
        trials.append(trial(func, "elementwise", op, int8(seed, shape)))
    expect_tflite(trials)


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
    (x,) = int8(seed, shape)
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
@given(batches(images, st.lists(st.integers(0, 3), min_size=8, max_size=8), grids, seeds))
def test_pad(expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]) -> None:
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
        trials.append(trial(func, "movement", op, int8(seed, shape)))
    expect_tflite(trials)


@compiled
@given(batches(images, st.integers(1, 3), grids, seeds))
def test_blocks(
    expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
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
            trials.append(trial(func, "movement", op, int8(seed, shape)))
    expect_tflite(trials)


def _transpose_conv_trial(
    trial: Any,
    tflite_op: Any,
    image: Image,
    channels: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    same: bool,
    source: Grid,
    result: Grid,
    seed: int,
) -> Any:
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
    return trial(func, "conv_transpose", op, int8(seed, image), constants)


@compiled
@given(
    batches(
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
def test_transpose_conv(
    expect_tflite: Any, trial: Any, tflite_op: Any, batch: list[tuple[Any, ...]]
) -> None:
    expect_tflite([_transpose_conv_trial(trial, tflite_op, *case) for case in batch])
