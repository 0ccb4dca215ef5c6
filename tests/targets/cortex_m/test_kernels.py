"""Kernels of the cores against the general ones: the same bits for any layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from edgecomp_targets.cortex_m import dsp_wide
from tests.lowering_batches import compiled as compiled_together

Array = npt.NDArray[Any]

# Compiled together: a failure is not shrunk, which would compile for minutes.
BATCH = 12
compiled = settings(
    compiled_together, max_examples=4, suppress_health_check=(HealthCheck.function_scoped_fixture,)
)
CORES = (
    ("cortex_m0plus", "balanced"),
    ("cortex_m3", "balanced"),
    ("cortex_m4", "speed"),
    ("cortex_m4", "size"),
    ("cortex_m33", "balanced"),
    ("cortex_m55", "balanced"),
)

rescales = st.builds(
    Rescale,
    zero_point=st.one_of(st.just(-128), st.integers(-128, 127)),
    low=st.sampled_from([-128, -128, -128, -100, 5]),
    high=st.sampled_from([127, 127, 127, 90, 6]),
    only_down=st.just(True),
)


def _int8(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-128, 128, shape).astype(np.int8)


def _weights(rng: np.random.Generator, most: int, *shape: int) -> Array:
    """Mostly no larger than `most`, sometimes with channels of zeros or with -128."""
    weights = rng.integers(-most, most + 1, shape)
    if rng.random() < 0.2:
        weights[rng.random(shape[0]) < 0.5] = 0
    if most == 127 and rng.random() < 0.1:
        weights[rng.random(shape) < 0.1] = -128
    return weights.astype(np.int8)


def _channels(
    rng: np.random.Generator, most: int, channels: int, depth: int
) -> tuple[Array, Array, Array]:
    """Bias, multiplier and shift of each channel; a real multiplier brings sums to the outputs."""
    spread = rng.uniform(*rng.choice([(-1.5, 0.5), (-0.2, 0.6), (0, 0), (0.3, 2)]), channels)
    scale = 10**spread * 40 / (np.sqrt(depth) * 73 * 0.58 * most)
    multipliers = [quantize_multiplier(float(s)) for s in scale]
    bias = rng.integers(-(2**9) * most, 2**9 * most, channels).astype(np.int32)
    if rng.random() < 0.1:
        bias[0] = 2**30
    return (
        bias,
        np.array([m.mantissa for m in multipliers], np.int32),
        np.array([m.shift for m in multipliers], np.int8),
    )


def _rescale(rescale: Rescale, operands: Sequence[Array]) -> Rescale:
    return replace(rescale, only_down=bool((operands[-1] <= 0).all()))


@st.composite
def layers(draw: Any, layer: type[Any]) -> Any:
    """A convolution, depthwise convolution, dense layer or addition of any shape."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["conv2d", "conv2d", "depthwise_conv2d", "dense", "elementwise"]))
    rescale = draw(rescales)
    most = draw(st.sampled_from([127, 127, 7]))
    if kind == "dense":
        rows, depth, units = draw(st.tuples(*(st.integers(1, n) for n in (2, 40, 13))))
        depth = draw(st.sampled_from([depth, 4 * depth]))
        operands = (_weights(rng, most, units, depth), *_channels(rng, most, units, depth))
        rescale = _rescale(rescale, operands)
        work: Any = DenseWork(rows, depth, units, rescale)
        func = dense(rows, depth, units, rescale)
        return layer(func, kind, work, [_int8(rng, rows, depth)], operands, (rows, units))
    if kind == "elementwise":
        return _addition(draw, rng, layer)
    return _convolution(draw, rng, layer, kind, rescale, most)


def _convolution(
    draw: Any, rng: Any, layer: type[Any], kind: str, rescale: Rescale, most: int
) -> Any:
    depthwise = kind == "depthwise_conv2d"
    kernel = (3, 3) if depthwise else draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (10, 4)]))
    channels = draw(st.sampled_from([4, 8, 12, 5] if depthwise else [1, 3, 4, 8, 12, 5]))
    filters = channels if depthwise else draw(st.one_of(st.integers(1, 9), st.sampled_from([4, 8])))
    stride = draw(st.integers(1, 2))
    pads = draw(st.tuples(*(st.integers(0, k // 2) for k in (*kernel, *kernel))))
    height = draw(st.integers(max(1, kernel[0] - pads[0] - pads[2]), 14))
    width = draw(st.integers(max(1, kernel[1] - pads[1] - pads[3]), 14))
    shape = ConvShape(
        (1, height, width, channels),
        filters,
        kernel,
        (stride, stride),
        pads,
        (1, 1),
        channels if depthwise else 1,
    )
    zero_point = draw(st.integers(-128, 127))
    output = (1, shape.output_extent(0), shape.output_extent(1), filters)
    depth = kernel[0] * kernel[1] * (1 if depthwise else channels)
    weights = _weights(rng, most, filters, *kernel, 1 if depthwise else channels)
    if depthwise:
        weights = np.ascontiguousarray(weights[..., 0].transpose(1, 2, 0))
    operands = (weights, *_channels(rng, most, filters, depth))
    rescale = _rescale(rescale, operands)
    work = ConvWork(shape, zero_point, rescale)
    func = (depthwise_conv2d if depthwise else conv2d)(shape, zero_point, rescale)
    return layer(func, kind, work, [_int8(rng, *shape.x)], operands, output)


@st.composite
def short_patches(draw: Any, layer: type[Any]) -> Any:
    """A convolution that the kernels of 16-bit weights take: a ReLU, many pixels, few inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel, channels, stride = draw(
        st.sampled_from([((1, 1), 4 * n, 1) for n in range(1, 17)])
        | st.sampled_from([((3, 3), 3, 2), ((10, 4), 1, 2), ((3, 3), 4, 1), ((2, 3), 5, 2)])
    )
    pads = draw(st.tuples(*(st.integers(0, k // 2) for k in (*kernel, *kernel))))
    extents = draw(st.tuples(st.integers(20, 24), st.integers(18, 22)))
    filters = draw(st.sampled_from([4, 8, 12]))
    strides, depth = (stride, stride), kernel[0] * kernel[1] * channels
    shape = ConvShape((1, *extents, channels), filters, kernel, strides, pads, (1, 1), 1)
    rescale = Rescale(-128, -128, draw(st.sampled_from([127, 90])), True)
    zero_point = draw(st.integers(-128, 127))
    multiplier = [quantize_multiplier(float(x)) for x in rng.uniform(0.0015, 0.004, filters)]
    constants = (
        rng.integers(-(2**12), 2**12, filters).astype(np.int32),
        np.array([m.mantissa for m in multiplier], np.int32),
        np.array([m.shift for m in multiplier], np.int8),
    )
    weights = rng.integers(-60, 61, (filters, *kernel, channels)).astype(np.int8)
    output = (1, shape.output_extent(0), shape.output_extent(1), filters)
    func, work = conv2d(shape, zero_point, rescale), ConvWork(shape, zero_point, rescale)
    assert depth <= 64
    assert dsp_wide.conv(work, weights, *constants) is not None
    return layer(func, "conv2d", work, [_int8(rng, *shape.x)], (weights, *constants), output)


def _addition(draw: Any, rng: Any, layer: type[Any]) -> Any:
    shape = (draw(st.integers(1, 40)),)
    half = Multiplier(1 << 30, 0)
    other = quantize_multiplier(draw(st.floats(0.001, 0.5)))
    inputs = draw(st.sampled_from([(half, other), (other, half)]))
    scales = BinaryScales(
        (draw(st.integers(-128, 127)), draw(st.integers(-128, 127))),
        inputs,
        quantize_multiplier(draw(st.floats(0.2, 8.0)) * 2.0**-19),
        draw(st.integers(-128, 127)),
        draw(st.sampled_from([-128, -128, -50])),
        draw(st.sampled_from([127, 127, 60])),
    )
    work = AddWork(shape, shape, scales, False)
    data = [_int8(rng, *shape), _int8(rng, *shape)]
    return layer(add(shape, shape, scales, False), "elementwise", work, data, (), shape)


def _expect_equal(have: Sequence[Array], want: Sequence[Array], batch: Sequence[Any]) -> None:
    for got, wanted, layer in zip(have, want, batch, strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=str(layer.work))


@pytest.mark.parametrize(("core", "optimize"), CORES)
def test_any_layer_has_the_bits_of_the_general_kernel(
    core: str,
    optimize: str,
    on_core: Callable[..., list[Array]],
    portable: Callable[..., list[Array]],
    general: Callable[..., list[Array]],
    layer_class: type[Any],
) -> None:
    @compiled
    @given(st.lists(layers(layer_class), min_size=BATCH, max_size=BATCH))
    def check(batch: Sequence[Any]) -> None:
        want = general(batch)
        _expect_equal(on_core(batch, core, optimize), want, batch)
        _expect_equal(portable(batch, core, optimize), want, batch)

    check()


def test_short_patches_have_the_bits_of_the_general_kernel(
    on_core: Callable[..., list[Array]],
    portable: Callable[..., list[Array]],
    general: Callable[..., list[Array]],
    layer_class: type[Any],
) -> None:
    @compiled
    @given(st.lists(short_patches(layer_class), min_size=BATCH, max_size=BATCH))
    def check(batch: Sequence[Any]) -> None:
        want = general(batch)
        _expect_equal(on_core(batch, "cortex_m4", "speed"), want, batch)
        _expect_equal(portable(batch, "cortex_m4", "speed"), want, batch)

    check()
