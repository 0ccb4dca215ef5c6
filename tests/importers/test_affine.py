"""Constant Mul, Div, Add and Sub go into the layer before them where they are affine by channel."""

from __future__ import annotations

import numpy as np
import pytest

from edgecomp.importers import load
from edgecomp.reference import run_reference

RANDOM = np.random.default_rng(2)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def ops(model):
    return [node.op_type for node in model.graph.graph]


def imported(save, body, shape, **constants):
    sizes, rank = ",".join(map(str, shape)), ",".join("abcd"[: len(shape)])
    path = save(f"g (float[{sizes}] x) => (float[{rank}] y) {{ {body} }}", **constants)
    return path, load(path)


def assert_same_meaning(model, path, original):
    sample = normal(*model.inputs[0].shape)
    (expected,) = original(path, {"x": sample})
    (found,) = run_reference(model, [sample[None]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "shape", "constants", "left"),
    [
        ("h = Conv<group=4>(x, w) i = Mul(h, s) y = Add(i, t)", (1, 4, 6, 6),
         {"w": normal(4, 1, 3, 3), "s": normal(1, 4, 1, 1), "t": normal(4, 1, 1)}, "Conv"),
        ("h = Conv(x, w) i = Div(h, s) y = Sub(t, i)", (1, 3, 6),
         {"w": normal(5, 3, 2), "s": normal(5, 1), "t": np.float32(0.3)}, "Conv"),
        ("h = ConvTranspose(x, w, b) y = Mul(s, h)", (1, 3, 4, 4),
         {"w": normal(3, 5, 2, 2), "b": normal(5), "s": normal(5, 1, 1)}, "ConvTranspose"),
        ("h = MatMul(x, w) y = Add(h, t)", (2, 3), {"w": normal(3, 5), "t": normal(5)}, "Gemm"),
        ("h = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, b) y = Sub(h, t)", (2, 3),
         {"w": normal(5, 3), "b": normal(5), "t": normal(1, 5)}, "Gemm"),
    ],
)  # fmt: skip
def test_folds(save, original, body, shape, constants, left):
    path, model = imported(save, body, shape, **constants)
    assert ops(model) == [left]
    assert_same_meaning(model, path, original)


@pytest.mark.parametrize(
    ("body", "shape", "constants"),
    [
        # not constant by channel
        ("h = Conv(x, w) y = Add(h, t)", (1, 3, 4, 4),
         {"w": normal(2, 3, 1, 1), "t": normal(1, 1, 1, 4)}),
        ("h = MatMul(x, w) y = Add(h, t)", (2, 3), {"w": normal(3, 5), "t": normal(2, 5)}),
        # a Gemm takes matrices only
        ("h = MatMul(x, w) y = Add(h, t)", (1, 2, 3), {"w": normal(3, 5), "t": normal(5)}),
        # the layer's output is read elsewhere
        ("h = Conv(x, w) i = Mul(h, s) y = Add(h, i)", (1, 3, 4, 4),
         {"w": normal(2, 3, 1, 1), "s": normal(2, 1, 1)}),
        # no affine function of the layer's output
        ("h = Conv(x, w) y = Div(t, h)", (1, 3, 4, 4),
         {"w": normal(2, 3, 1, 1), "t": np.float32(2)}),
    ],
)  # fmt: skip
def test_stays(save, original, body, shape, constants):
    path, model = imported(save, body, shape, **constants)
    assert len(ops(model)) > 1
    assert_same_meaning(model, path, original)
