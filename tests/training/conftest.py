"""Small nets in ONNX's text form, and samples a net can learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.model import Model
from edgecomp.training_data import Batch

Array = npt.NDArray[Any]


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of numbers."""
    return np.random.default_rng(11)


@pytest.fixture
def small_net(make_model: Callable[..., Model], floats: Callable[..., Array]) -> Model:
    """Conv, Relu, MaxPool and Gemm on images [1, 1, 6, 6], four classes, no Softmax."""
    text = """
    net (float[1,1,6,6] x) => (float[1,4] scores) {
        [first] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        [relu] b = Relu (a)
        [pool] c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        [flat] d = Flatten (c)
        [dense] scores = Gemm <transB = 1> (d, w2, b2)
    }
    """
    constants = {
        "w1": floats(6, 1, 3, 3, scale=0.4),
        "b1": floats(6, scale=0.1),
        "w2": floats(4, 54, scale=0.1),
        "b2": floats(4, scale=0.1),
    }
    return make_model(text, constants)


@pytest.fixture
def quarters(rng: np.random.Generator) -> Callable[[int], Batch]:
    """Noisy images one quarter of which is bright; the label says which."""

    def make(count: int) -> Batch:
        labels = rng.integers(0, 4, size=count)
        images = rng.normal(size=(count, 1, 1, 6, 6)).astype(np.float32) * 0.8
        for image, label in zip(images, labels, strict=True):
            top, left = 3 * (label // 2), 3 * (label % 2)
            image[0, 0, top : top + 3, left : left + 3] += 1
        return Batch({"x": images}, labels.astype(np.int64))

    return make


@pytest.fixture
def content() -> Callable[[Model], dict[str, Array]]:
    """The initializers of a model, by name."""

    def read(model: Model) -> dict[str, Array]:
        initializers = model.graph.graph.initializers
        return {n: np.asarray(v.const_value.numpy()) for n, v in initializers.items()}

    return read


@pytest.fixture
def assert_close() -> Callable[[Sequence[Array], Sequence[Array]], None]:
    """Largest difference at most 1e-5 of the largest number, output by output."""

    def check(found: Sequence[Array], expected: Sequence[Array]) -> None:
        for got, want in zip(found, expected, strict=True):
            assert got.shape == want.shape
            largest = float(np.abs(want.astype(np.float64)).max(initial=1e-6))
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=0, atol=1e-5 * largest
            )

    return check
