"""Kernels that leave weights of zero out: the bits of the general ones, and where they win."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp.lowering.fixed_point import quantize_multiplier
from edgecomp.lowering.kernels.conv import ConvShape, ConvWork, DenseWork, Rescale, conv2d, dense
from edgecomp_targets.cortex_m import sparse_choice
from edgecomp_targets.cortex_m.arrange import rules
from edgecomp_targets.cortex_m.sparse_choice import FAMILIES, Layer, with_sparse
from tests.lowering_batches import compiled as compiled_together

Array = npt.NDArray[Any]
Counted = Callable[[Any, str], int]

BATCH = 8
CORES = ("cortex_m0plus", "cortex_m3", "cortex_m4")
TOLERANCE = 0.1
compiled = settings(
    compiled_together, max_examples=2, suppress_health_check=(HealthCheck.function_scoped_fixture,)
)


def _channels(rng: np.random.Generator, weights: Array) -> list[Array]:
    """Bias, multiplier and shift of each channel."""
    count = len(weights)
    kept = max(1, np.count_nonzero(weights) // count)
    real = rng.uniform(0.3, 1.5, count) * 40 / (np.sqrt(kept) * 73 * 73)
    multipliers = [quantize_multiplier(float(x)) for x in real]
    return [
        rng.integers(-(2**12), 2**12, count).astype(np.int32),
        np.array([m.mantissa for m in multipliers], np.int32),
        np.array([m.shift for m in multipliers], np.int8),
    ]


def _pruned(rng: np.random.Generator, zeros: float, block: int, *shape: int) -> Array:
    """int8 weights, a share of them zero: whole blocks of the last axis."""
    weights = rng.integers(-127, 128, shape)
    groups = -(-shape[-1] // block)
    gone = np.repeat(rng.random((*shape[:-1], groups)) < zeros, block, -1)
    return (weights * ~gone[..., : shape[-1]]).astype(np.int8)


def _row(layer: type[Any], rescale: Rescale, weights: Array, rng: np.random.Generator) -> Any:
    units, depth = weights.shape
    x = rng.integers(-128, 128, (1, depth)).astype(np.int8)
    work, func = DenseWork(1, depth, units, rescale), dense(1, depth, units, rescale)
    return layer(func, "dense", work, [x], [weights, *_channels(rng, weights)], (1, units))


def _conv(
    layer: type[Any],
    rescale: Rescale,
    weights: Array,
    rng: np.random.Generator,
    extents: tuple[int, int],
    stride: int = 1,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Any:
    filters, *kernel, channels = weights.shape
    size = (kernel[0], kernel[1])
    source = (1, *extents, channels)
    shape = ConvShape(source, filters, size, (stride, stride), pads, (1, 1), 1)
    zero_point = int(rng.integers(-128, 128))
    x = rng.integers(-128, 128, source).astype(np.int8)
    output = (1, shape.output_extent(0), shape.output_extent(1), filters)
    work, func = ConvWork(shape, zero_point, rescale), conv2d(shape, zero_point, rescale)
    return layer(func, "conv2d", work, [x], [weights, *_channels(rng, weights)], output)


@st.composite
def layers(draw: Any, layer: type[Any]) -> Any:
    """A dense layer of one row or a convolution, with zeros here and there or in blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zeros, block = draw(st.sampled_from([0.3, 0.6, 0.9, 0.99, 1.0])), draw(st.sampled_from([1, 4]))
    low, high = draw(st.sampled_from([(-128, 127), (-128, 127), (-100, 90)]))
    rescale = Rescale(draw(st.sampled_from([-128, 3, 127])), low, high, True)
    filters = draw(st.integers(1, 9))
    if draw(st.booleans()):
        depth = draw(st.sampled_from([1, 7, 40, 300, 900]))
        return _row(layer, rescale, _pruned(rng, zeros, block, filters, depth), rng)
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 5)]))
    channels = draw(st.sampled_from([1, 3, 8, 70]))
    pads = draw(st.tuples(*(st.integers(0, k // 2) for k in (*kernel, *kernel))))
    extents = draw(st.tuples(st.integers(kernel[0], 7), st.integers(kernel[1], 7)))
    weights = _pruned(rng, zeros, block, filters, *kernel, channels)
    return _conv(layer, rescale, weights, rng, extents, draw(st.integers(1, 2)), pads)


def _chosen(layer: Any, core: str, optimize: str) -> Any:
    """The kernel taken for one layer, and the one it would have if zeros were not looked for."""
    kind = (layer.schedule_as, type(layer.work))
    made = [
        t[kind](layer.work, *layer.constants) for t in rules(core, optimize, False) if kind in t
    ]
    usual = next((found for found in made if found is not None), None)
    (taken,) = with_sparse([Layer(layer.work, usual, layer.constants)], core, optimize)
    return taken, usual


@pytest.mark.parametrize("core", CORES)
def test_any_layer_has_the_bits_of_the_general_kernel(
    core: str,
    on_core: Callable[..., list[Array]],
    portable: Callable[..., list[Array]],
    general: Callable[..., list[Array]],
    layer_class: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sparse_choice, "_wins", lambda *_: True)
    monkeypatch.setattr(sparse_choice, "LEAST_ZEROS", 0.0)
    sparsely = 0

    @compiled
    @given(st.lists(layers(layer_class), min_size=BATCH, max_size=BATCH))
    def check(batch: Sequence[Any]) -> None:
        nonlocal sparsely
        taken = [_chosen(layer, core, "speed")[0] for layer in batch]
        sparsely += sum(t is not None and t.weights.startswith("sparse, ") for t in taken)
        want = general(batch)
        for have in (on_core(batch, core, "speed"), portable(batch, core, "speed")):
            for got, wanted, layer in zip(have, want, batch, strict=True):
                np.testing.assert_array_equal(got, wanted, err_msg=str(layer.work))

    check()
    assert sparsely >= BATCH


FUNCTIONS = {
    "row": {"": "ec_sparse_row"},
    "blocks": {"": "ec_sparse_row_quads"},
    "points": {"": "ec_sparse_conv_32", "cortex_m4": "ec_sparse_conv_16"},
    "3x3": {"": "ec_sparse_conv_32", "cortex_m4": "ec_sparse_conv_16"},
}
COSTED = [
    ("row", 640, 128, 0.8),
    ("row", 128, 64, 0.95),
    ("blocks", 640, 128, 0.7),
    ("blocks", 128, 64, 0.9),
    ("points", 64, 64, 0.7),
    ("points", 256, 32, 0.9),
    ("3x3", 32, 32, 0.9),
]


def _costed(layer: type[Any], kind: str, depth: int, filters: int, zeros: float) -> Any:
    rng, rescale = np.random.default_rng(0), Rescale(-128, -128, 127, True)
    if kind in ("row", "blocks"):
        block = 1 if kind == "row" else 4
        return _row(layer, rescale, _pruned(rng, zeros, block, filters, depth), rng)
    kernel = (1, 1) if kind == "points" else (3, 3)
    weights = _pruned(rng, zeros, 1, filters, *kernel, depth)
    return _conv(layer, rescale, weights, rng, (8, 8), pads=(kernel[0] // 2,) * 4)


@pytest.mark.parametrize("core", CORES)
def test_the_modelled_costs_are_near_the_exact_ones(
    core: str,
    instructions: Counted,
    layer_class: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family, wanted, found = FAMILIES[core], [], []
    for kind, depth, filters, zeros in COSTED:
        layer = _costed(layer_class, kind, depth, filters, zeros)
        taken, usual = _chosen(layer, core, "balanced")
        assert taken.function == FUNCTIONS[kind].get(core, FUNCTIONS[kind][""]), depth
        found.append(sparse_choice.sparse_instructions(layer.work, taken, family))
        wanted.append(instructions(layer, core))
        with monkeypatch.context() as without:
            without.setattr(sparse_choice, "FAMILIES", {})
            found.append(sparse_choice.dense_instructions(layer.work, usual.function, family))
            wanted.append(instructions(layer, core))
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCE)


@pytest.mark.parametrize("optimize", ["speed", "balanced", "size"])
@pytest.mark.parametrize("core", [*CORES, "cortex_m55"])
def test_what_is_taken_wins(core: str, optimize: str, layer_class: type[Any]) -> None:
    skipping = 0
    for zeros in (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.9):
        for kind in ("row", "points"):
            layer = _costed(layer_class, kind, 128, 64, zeros)
            taken, usual = _chosen(layer, core, optimize)
            if taken is usual:
                assert zeros < 0.9 or core == "cortex_m55"
                continue
            skipping += 1
            family = FAMILIES[core]
            fewer = sparse_choice.sparse_instructions(layer.work, taken, family)
            dearer = sparse_choice.dense_instructions(layer.work, usual.function, family)
            bytes_taken, bytes_usual = (
                sum(array.nbytes for array in made.constants.values()) for made in (taken, usual)
            )
            assert optimize == "size" or fewer < dearer
            assert optimize == "speed" or bytes_taken < bytes_usual
            assert zeros > 0.25
    assert (skipping > 0) == (core != "cortex_m55")


def test_flash_that_the_code_takes_is_counted(layer_class: type[Any]) -> None:
    small = _costed(layer_class, "points", 16, 16, 0.9)
    assert _chosen(small, "cortex_m0plus", "size")[0].function == "ec_mul_conv"
    large = _costed(layer_class, "points", 64, 64, 0.9)
    assert _chosen(large, "cortex_m0plus", "size")[0].function == "ec_sparse_conv_32"
