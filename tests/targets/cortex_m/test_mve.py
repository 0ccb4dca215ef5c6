"""The Helium kernels against the general ones: every form of their inner loops, and its edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.lowering.fixed_point import Multiplier, quantize_multiplier
from edgecomp.lowering.kernels.conv import (
    ConvShape,
    ConvWork,
    DenseWork,
    Rescale,
    conv2d,
    dense,
    depthwise_conv2d,
)
from edgecomp.lowering.kernels.elementwise import AddWork, BinaryScales, add
from edgecomp_targets.cortex_m import mve_conv, mve_depthwise, mve_slide
from edgecomp_targets.cortex_m.mve_stream import CLAMPED, ONE, ONE_SCALE, SEGMENTS, WHOLE, patch_of

Array = npt.NDArray[Any]

CORE = "cortex_m55"
RELU = Rescale(-128, -128, 127, True)
SIGNED = Rescale(7, -128, 127, True)
NARROW = Rescale(-20, -50, 90, True)
FORM_FIELD = 18
"""Which of `ec_mve_conv_shape` the form is."""

# Input, filters, kernel, strides, pads (top, left, bottom, right).
CONVOLUTIONS = {
    "one vector, an odd pixel": ((1, 3, 5, 16), 8, (1, 1), (1, 1), (0, 0, 0, 0), RELU),
    "one vector, the sign matters": ((1, 2, 2, 16), 4, (1, 1), (1, 1), (0, 0, 0, 0), SIGNED),
    "two vectors, filters overlap": ((2, 3, 3, 32), 7, (1, 1), (1, 1), (0, 0, 0, 0), SIGNED),
    "three vectors, one filter": ((1, 2, 4, 48), 1, (1, 1), (1, 1), (0, 0, 0, 0), RELU),
    "four vectors, strides": ((1, 5, 6, 64), 5, (1, 1), (2, 2), (0, 0, 0, 0), NARROW),
    "whole, rows are copied": ((2, 3, 4, 20), 6, (1, 1), (1, 1), (0, 0, 0, 0), SIGNED),
    "segments of one": ((1, 6, 5, 16), 9, (3, 1), (1, 1), (1, 0, 1, 0), SIGNED),
    "segments of three": ((1, 5, 6, 16), 4, (3, 3), (1, 1), (1, 1, 1, 1), RELU),
    "segments of three, no border": ((1, 5, 7, 16), 4, (3, 3), (2, 2), (0, 0, 0, 0), SIGNED),
    "segments of three, one row": ((1, 2, 3, 128), 6, (1, 1), (1, 1), (0, 0, 0, 0), SIGNED),
    "segments of six": ((1, 5, 4, 32), 10, (3, 3), (2, 2), (0, 0, 1, 1), SIGNED),
    "gathered": ((2, 9, 7, 1), 6, (5, 4), (2, 2), (2, 1, 2, 2), SIGNED),
    "gathered, no border": ((1, 6, 9, 3), 9, (3, 3), (1, 1), (0, 0, 0, 0), RELU),
    "one pixel": ((1, 1, 1, 40), 10, (1, 1), (1, 1), (0, 0, 0, 0), SIGNED),
}

# Input, filters, pads: 3x3 by steps of one pixel, of which four make a group.
SLIDING = {
    "sixteen channels": ((1, 5, 8, 16), 5, (1, 1, 1, 1), SIGNED),
    "thirty-two, one filter": ((2, 4, 4, 32), 1, (1, 0, 1, 2), NARROW),
    "sixty-four": ((1, 3, 12, 64), 4, (0, 1, 1, 1), RELU),
    "no border": ((1, 6, 10, 16), 3, (0, 0, 0, 0), SIGNED),
}

# Input, strides, pads: kernels of 3x3.
DEPTHWISE = {
    "whole groups": ((1, 3, 16, 8), (1, 1), (1, 1, 1, 1), RELU),
    "down the image, rest of a group": ((1, 13, 2, 16), (1, 1), (1, 1, 1, 1), SIGNED),
    "strides": ((1, 19, 18, 11), (2, 2), (0, 0, 1, 1), SIGNED),
    "strides that differ": ((2, 9, 8, 3), (1, 2), (1, 0, 0, 1), NARROW),
    "other strides that differ": ((1, 7, 9, 20), (2, 1), (1, 1, 1, 1), RELU),
    "more border than image": ((1, 1, 1, 9), (1, 1), (2, 2, 2, 2), SIGNED),
    "last input unused": ((1, 10, 18, 8), (2, 2), (0, 0, 0, 0), RELU),
}

# Input, kernel, strides, pads.
OTHER_DEPTHWISE = {
    "5x5": ((1, 9, 11, 9), (5, 5), (1, 1), (2, 2, 2, 2), SIGNED),
    "5x5 by steps": ((2, 8, 7, 4), (5, 5), (2, 2), (1, 2, 2, 1), RELU),
    "over time": ((1, 40, 1, 16), (9, 1), (1, 1), (0, 0, 0, 0), NARROW),
    "a long row": ((1, 1, 20, 8), (1, 7), (1, 3), (0, 3, 0, 3), SIGNED),
}

# Rows, depth, units, whether all units have one scale.
DENSE = {
    "row": ((1, 70, 10), SIGNED, False),
    "row of one scale": ((1, 40, 12), NARROW, True),
    "row of one scale, a rest": ((1, 32, 7), SIGNED, True),
    "rows": ((3, 100, 6), RELU, True),
}

# Elements, which operand has the larger scale, zero point, low, high.
ADDITIONS = {
    "groups": (1024, 0, -128, -128, 127),
    "groups and a rest, the sign matters": (1031, 1, 3, -128, 127),
    "a narrow range": (1100, 1, -5, -90, 70),
    "no table": (37, 0, 9, -128, 127),
}


def _channels(rng: np.random.Generator, channels: int, depth: int) -> tuple[Array, Array, Array]:
    """Bias, multiplier and shift; sums come near the outputs' range, and one shift is 0."""
    shifts = -rng.integers(6, 10, channels) - int(np.log2(depth) / 2)
    bias = rng.integers(-(2**14), 2**14, channels)
    bias[0] = rng.integers(-99, 99)
    if channels > 1:
        shifts[0] = 0
    multipliers = rng.integers(2**30, 2**31, channels)
    return bias.astype(np.int32), multipliers.astype(np.int32), shifts.astype(np.int8)


def _int8(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-128, 128, shape).astype(np.int8)


def _convolution(layer: Any, rng: np.random.Generator, row: Any, depthwise: bool) -> Any:
    x, filters, kernel, strides, pads, rescale = row
    shape = ConvShape(x, filters, kernel, strides, pads, (1, 1), x[3] if depthwise else 1)
    zero_point = int(rng.integers(-128, 128))
    work = ConvWork(shape, zero_point, rescale)
    output = (x[0], shape.output_extent(0), shape.output_extent(1), filters)
    if depthwise:
        name, func = "depthwise_conv2d", depthwise_conv2d(shape, zero_point, rescale)
        weights = _int8(rng, *kernel, filters)
        weights[..., 0] //= 64
    else:
        name, func = "conv2d", conv2d(shape, zero_point, rescale)
        weights = _int8(rng, filters, *kernel, x[3])
        weights[0] //= 64 if filters > 1 else 1
    constants = _channels(rng, filters, kernel[0] * kernel[1] * (1 if depthwise else x[3]))
    return layer(func, name, work, [_int8(rng, *x)], (weights, *constants), output)


def _dense(layer: Any, rng: np.random.Generator, row: Any) -> Any:
    (rows, depth, units), rescale, one_scale = row
    work = DenseWork(rows, depth, units, rescale)
    bias, multiplier, shift = _channels(rng, units, depth)
    if one_scale:
        multiplier[:], shift[:] = multiplier[-1], shift[-1]
    operands = (_int8(rng, units, depth), bias, multiplier, shift)
    func = dense(rows, depth, units, rescale)
    return layer(func, "dense", work, [_int8(rng, rows, depth)], operands, (rows, units))


def _addition(layer: Any, rng: np.random.Generator, row: Any) -> Any:
    count, half, zero_point, low, high = row
    inputs = [Multiplier(1 << 30, 0), quantize_multiplier(0.3)]
    scales = BinaryScales(
        (int(rng.integers(-128, 128)), int(rng.integers(-128, 128))),
        (inputs[half], inputs[1 - half]),
        quantize_multiplier(1.3 * 2.0**-19),
        zero_point,
        low,
        high,
    )
    shape = (count,)
    work = AddWork(shape, shape, scales, False)
    data = [_int8(rng, *shape), _int8(rng, *shape)]
    return layer(add(shape, shape, scales, False), "elementwise", work, data, (), shape)


@pytest.fixture
def layers(layer_class: type[Any]) -> list[Any]:
    """Every row of the tables."""
    rng = np.random.default_rng(55)
    wide = [(x, x[3], (3, 3), *rest) for x, *rest in DEPTHWISE.values()]
    others = [(x, x[3], *rest) for x, *rest in OTHER_DEPTHWISE.values()]
    sliding = [(x, n, (3, 3), (1, 1), *rest) for x, n, *rest in SLIDING.values()]
    return [
        *(_convolution(layer_class, rng, row, False) for row in CONVOLUTIONS.values()),
        *(_convolution(layer_class, rng, row, True) for row in wide),
        *(_dense(layer_class, rng, row) for row in DENSE.values()),
        *(_addition(layer_class, rng, row) for row in ADDITIONS.values()),
        *(_convolution(layer_class, rng, row, False) for row in sliding),
        *(_convolution(layer_class, rng, row, True) for row in others),
    ]


def _expect_equal(have: Sequence[Array], want: Sequence[Array]) -> None:
    names = [*CONVOLUTIONS, *DEPTHWISE, *DENSE, *ADDITIONS, *SLIDING, *OTHER_DEPTHWISE]
    for got, wanted, name in zip(have, want, names, strict=True):
        assert len(np.unique(wanted)) > 3, name
        np.testing.assert_array_equal(got, wanted, err_msg=name)


def test_every_form_has_the_bits_of_the_general_kernel(
    layers: list[Any],
    on_core: Callable[..., list[Array]],
    portable: Callable[..., list[Array]],
    general: Callable[..., list[Array]],
) -> None:
    want = general(layers)
    _expect_equal(on_core(layers, CORE, "speed"), want)
    _expect_equal(portable(layers, CORE, "speed"), want)


def _slides(layer: Any) -> bool:
    made = mve_slide.conv(layer.work, *layer.constants)
    return made is not None and made.function == "ec_mve_slide"


def test_the_tables_reach_every_form(layers: list[Any]) -> None:
    rules = {"conv2d": mve_conv.conv, "dense": mve_conv.dense}
    found, slides = set(), 0
    for layer in layers:
        if layer.schedule_as in rules:
            made = rules[layer.schedule_as](layer.work, *layer.constants)
            slides += layer.schedule_as == "conv2d" and _slides(layer)
            found.add(int(made.constants["geometry"][FORM_FIELD]))
        elif layer.schedule_as == "depthwise_conv2d":
            assert mve_depthwise.depthwise(layer.work, *layer.constants) is not None
    whole = {8 * kind + vectors for kind in (CLAMPED, WHOLE) for vectors in (1, 2)}
    segments = {8 * SEGMENTS + vectors for vectors in (1, 3, 6)}
    assert slides == len(SLIDING)
    assert found >= whole | segments | {8 * CLAMPED + 3, 8 * WHOLE + 4, 8 * ONE, 8 * ONE_SCALE}


def test_few_outputs_are_left_to_the_general_kernel() -> None:
    shape = ConvShape((1, 9, 1, 16), 16, (9, 1), (1, 1), (0, 0, 0, 0), (1, 1), 16)
    weights, constants = np.ones((9, 1, 16), np.int8), np.ones(16, np.int32)
    work = ConvWork(shape, 0, RELU)
    assert mve_depthwise.depthwise(work, weights, constants, constants, -constants) is None


@pytest.mark.parametrize(
    ("rows", "span", "segments", "vectors"),
    [
        (1, 64, 1, 4),
        (1, 65, 1, 6),
        (1, 110, 7, 1),
        (1, 128, 3, 3),
        (3, 48, 1, 3),
        (3, 96, 1, 6),
        (3, 80, 1, 6),
    ],
)
def test_a_patch_is_read_in_the_cheapest_way(
    rows: int, span: int, segments: int, vectors: int
) -> None:
    patch = patch_of(rows, span, span)
    assert (patch.segments, patch.vectors) == (segments, vectors)
    assert patch.row_bytes >= span
