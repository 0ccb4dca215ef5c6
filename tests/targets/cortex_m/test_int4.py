"""Kernels that read weights of four bits: the bits of the general ones, for any layer they take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import quantize_multiplier
from edgecomp.lowering.kernels.conv import (
    ConvShape,
    ConvWork,
    DenseWork,
    Rescale,
    conv2d,
    dense,
)
from edgecomp.program import Program
from edgecomp_targets.cortex_m import dsp_conv, int4, mve_slide
from edgecomp_targets.cortex_m.arrange import MATRIX_KINDS, rules
from tests.lowering_batches import compiled as compiled_together

Array = npt.NDArray[Any]

# Compiled together: a failure is not shrunk, which would compile for minutes.
BATCH = 12
compiled = settings(
    compiled_together, max_examples=2, suppress_health_check=(HealthCheck.function_scoped_fixture,)
)
LEAST = {"cortex_m55": -7}
"""The least weight that a core's kernels take, where it is not -8."""
MOST_TAPS = 511
"""Of a filter whose sums surely fit the DSP kernels, whatever its weights."""
SIGNED = Rescale(7, -128, 127, True)


def _weights(rng: np.random.Generator, least: int, *shape: int) -> Array:
    """Of any size or only the extremes."""
    drawn = rng.integers(least, 8, shape)
    extremes = rng.choice([least, 7], shape)
    return np.where(rng.random(shape[0]) < 0.3, extremes.T, drawn.T).T.astype(np.int8)


def _inputs(rng: np.random.Generator, *shape: int) -> Array:
    drawn = rng.integers(-128, 128, shape)
    extremes = rng.choice([-128, 127], shape)
    return np.where(rng.random(shape) < rng.choice([0.2, 0.9]), extremes, drawn).astype(np.int8)


def _channels(rng: np.random.Generator, channels: int, depth: int) -> tuple[Array, Array, Array]:
    """Bias, multiplier and shift; sums come near the outputs' range."""
    scale = rng.uniform(0.5, 2, channels) * 40 / (np.sqrt(depth) * 73 * 5)
    multipliers = [quantize_multiplier(min(float(s), 0.99)) for s in scale]
    return (
        rng.integers(-(2**10), 2**10, channels).astype(np.int32),
        np.array([m.mantissa for m in multipliers], np.int32),
        np.array([m.shift for m in multipliers], np.int8),
    )


def _dense(
    layer: type[Any], rng: np.random.Generator, size: Sequence[int], rescale: Rescale, least: int
) -> Any:
    rows, depth, units = size
    work = DenseWork(rows, depth, units, rescale)
    operands = (_weights(rng, least, units, depth), *_channels(rng, units, depth))
    func = dense(rows, depth, units, rescale)
    return layer(func, "dense", work, [_inputs(rng, rows, depth)], operands, (rows, units))


def _convolution(
    layer: type[Any], rng: np.random.Generator, shape: ConvShape, rescale: Rescale, least: int
) -> Any:
    zero_point = int(rng.integers(-128, 128))
    work = ConvWork(shape, zero_point, rescale)
    filters, inputs = shape.out_channels, shape.x[3] // shape.group
    output = (shape.x[0], shape.output_extent(0), shape.output_extent(1), filters)
    weights = _weights(rng, least, filters, *shape.kernel, inputs)
    operands = (weights, *_channels(rng, filters, weights[0].size))
    func = conv2d(shape, zero_point, rescale)
    return layer(func, "conv2d", work, [_inputs(rng, *shape.x)], operands, output)


@st.composite
def layers(draw: Any, layer: type[Any], least: int) -> Any:
    """A convolution or a dense layer of any shape."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zero_point = draw(st.sampled_from([-128, -128, 7, 127]))
    low, high = draw(st.sampled_from([(-128, 127), (-128, 127), (-100, 90), (5, 6)]))
    rescale = Rescale(zero_point, low, high, True)
    if draw(st.booleans()):
        depth = draw(st.one_of(st.integers(1, 60), st.integers(1, 99).map(lambda n: 4 * n)))
        size = draw(st.integers(1, 3)), depth, draw(st.integers(1, 13))
        return _dense(layer, rng, size, rescale, least)
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (3, 3), (10, 4)]))
    pads = draw(st.tuples(*(st.integers(0, k // 2) for k in (*kernel, *kernel))))
    extents = [draw(st.integers(max(1, k - pads[i] - pads[i + 2]), 12)) for i, k in
               enumerate(kernel)]  # fmt: skip
    deepest = MOST_TAPS // (kernel[0] * kernel[1])
    channels = draw(st.sampled_from([c for c in (1, 3, 4, 13, 16, 32, 64) if c <= deepest]))
    stride = draw(st.integers(1, 2))
    shape = ConvShape(
        (draw(st.integers(1, 2)), *extents, channels),
        draw(st.integers(1, 19)),
        kernel,
        (stride, stride),
        pads,
        (1, 1),
        1,
    )
    return _convolution(layer, rng, shape, rescale, least)


def _paying(layer: type[Any], rng: np.random.Generator, least: int) -> list[Any]:
    """Layers of every kernel, so large that a program with them packs its weights."""
    shapes = [((1, 3, 8, 16), 9), ((1, 2, 4, 32), 6), ((1, 1, 4, 64), 5)]
    sliding = [
        ConvShape(x, filters, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1) for x, filters in shapes
    ]
    one_scale = _dense(layer, rng, (1, 80, 12), SIGNED, least)
    for constant in one_scale.constants[2:]:
        constant[:] = constant[0]
    return [
        *(_convolution(layer, rng, shape, SIGNED, least) for shape in sliding),
        one_scale,
        _dense(layer, rng, (1, 500, 10), SIGNED, least),
    ]


@pytest.mark.parametrize("core", ["cortex_m4", "cortex_m55"])
def test_any_layer_has_the_bits_of_the_general_kernel(
    core: str,
    layer_class: type[Any],
    arranged: Callable[..., Program],
    on_core: Callable[..., list[Array]],
    portable: Callable[..., list[Array]],
    general: Callable[..., list[Array]],
) -> None:
    least = LEAST.get(core, int4.LOW)

    @compiled
    @given(st.lists(layers(layer_class, least), min_size=BATCH, max_size=BATCH))
    def check(batch: list[Any]) -> None:
        batch = [*batch, *_paying(layer_class, np.random.default_rng(4), least)]
        assert {call.weights for call in arranged(batch, core, "size").calls} == {"int4"}
        want = general(batch)
        for have in (on_core(batch, core, "size"), portable(batch, core, "size")):
            for got, wanted, layer in zip(have, want, batch, strict=True):
                np.testing.assert_array_equal(got, wanted, err_msg=str(layer.work))

    check()


def _storage(layer: Any, core: str, optimize: str = "size", packs: bool = True) -> str:
    """What `arrange` stores the layer's weights as."""
    for table in rules(core, optimize, packs):
        rule = table.get((layer.schedule_as, type(layer.work)))
        found = rule(layer.work, *layer.constants) if rule is not None else None
        if found is not None:
            return found.weights
    raise AssertionError("no kernel takes the layer")


@pytest.fixture
def dense_layer(layer_class: type[Any]) -> Any:
    """A dense layer that every core packs."""
    return _dense(layer_class, np.random.default_rng(1), (1, 64, 64), SIGNED, -7)


@pytest.mark.parametrize("core", ["cortex_m4", "cortex_m7", "cortex_m33", "cortex_m55"])
def test_packing_is_a_matter_of_optimize(core: str, dense_layer: Any) -> None:
    modes = ("speed", "balanced", "size")
    assert [_storage(dense_layer, core, mode) for mode in modes] == ["", "int4", "int4"]
    assert _storage(dense_layer, core, "size", packs=False) == ""


@pytest.mark.parametrize(("filters", "stored"), [(47, ""), (48, "int4")])
def test_balanced_packs_convolutions_of_many_filters(
    filters: int, stored: str, layer_class: type[Any]
) -> None:
    shape = ConvShape((1, 5, 5, 16), filters, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    layer = _convolution(layer_class, np.random.default_rng(2), shape, SIGNED, -8)
    assert _storage(layer, "cortex_m4", "balanced") == stored


@pytest.mark.parametrize(
    ("core", "weight"), [("cortex_m4", 8), ("cortex_m4", -9), ("cortex_m55", 8)]
)
def test_a_weight_too_large_leaves_the_layer_as_it_is(
    core: str, weight: int, dense_layer: Any
) -> None:
    dense_layer.constants[0][3, 5] = weight
    assert _storage(dense_layer, core) == ""


def test_helium_does_not_take_the_least_weight(dense_layer: Any) -> None:
    dense_layer.constants[0][3, 5] = -8
    assert _storage(dense_layer, "cortex_m55") == ""
    assert _storage(dense_layer, "cortex_m4") == "int4"


@pytest.mark.parametrize(("depth", "stored"), [(511, "int4"), (512, "")])
def test_sums_that_might_overflow_are_refused(depth: int, stored: str, layer_class: Any) -> None:
    layer = _dense(layer_class, np.random.default_rng(3), (2, depth, 6), SIGNED, -8)
    layer.constants[0][:] = -8
    assert _storage(layer, "cortex_m4") == stored


def test_groups_and_depthwise_convolutions_stay_as_they_are() -> None:
    shape = ConvShape((1, 6, 6, 8), 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2)
    rng = np.random.default_rng(5)
    operands = (_weights(rng, -7, 8, 3, 3, 4), *_channels(rng, 8, 36))
    work = ConvWork(shape, 0, SIGNED)
    assert dsp_conv.conv_int4(work, *operands) is None
    assert mve_slide.conv_int4(work, *operands) is None
    assert "depthwise_conv2d" not in [kind for kind, _ in MATRIX_KINDS]


def test_few_weights_do_not_pay_for_code() -> None:
    half = np.ones((64, 2 * int4.LEAST_SAVED // 64 // 2), np.int8)
    assert int4.pays([half, half])
    assert not int4.pays([half, half[1:]])


@pytest.mark.parametrize(("units", "stored"), [(256, "int4"), (255, "")])
def test_a_program_that_saves_little_stays_as_it_is(
    units: int, stored: str, layer_class: type[Any], arranged: Callable[..., Program]
) -> None:
    layer = _dense(layer_class, np.random.default_rng(6), (1, 32, units), SIGNED, -7)
    assert [call.weights for call in arranged([layer], "cortex_m4", "size").calls] == [stored]
