"""Small float models in ONNX's text form, and data files to calibrate them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.model import Model
from edgecomp.training_data import Batch, TrainingData

Array = npt.NDArray[Any]


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., CalibrationData]:
    """Writes arrays, by name, as a data file."""

    def make(**arrays: Array) -> CalibrationData:
        path = tmp_path / f"data{len(list(tmp_path.glob('data*.npz')))}.npz"
        np.savez_compressed(path, **arrays)
        return CalibrationData(path)

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of numbers."""
    return np.random.default_rng(7)


@pytest.fixture
def small_cnn(make_model: Callable[..., Model], floats: Callable[..., Array]) -> Model:
    """Conv+Relu, MaxPool, depthwise Conv+Clip, residual Add+Relu, global pool, Gemm, Softmax."""
    text = """
    net (float[1,3,8,8] x) => (float[1,5] probabilities) {
        [first] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        [first_relu] b = Relu (a)
        [pool] c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        [depthwise] d = Conv <group = 8, pads = [1, 1, 1, 1]> (c, w2, b2)
        [depthwise_clip] e = Clip (d, zero, six)
        [join] f = Add (c, e)
        [join_relu] g = Relu (f)
        [mean] h = GlobalAveragePool (g)
        [flat] i = Flatten (h)
        [dense] j = Gemm <transB = 1> (i, w3, b3)
        [softmax] probabilities = Softmax (j)
    }
    """
    return make_model(
        text,
        {
            "w1": floats(8, 3, 3, 3, scale=0.4),
            "b1": floats(8),
            "w2": floats(8, 1, 3, 3, scale=0.5),
            "b2": floats(8),
            "w3": floats(5, 8),
            "b3": floats(5),
            "zero": np.float32(0),
            "six": np.float32(6),
        },
    )


@pytest.fixture
def coloured(rng: np.random.Generator) -> Callable[[int], Batch]:
    """Noisy images for `small_cnn`; the label says which channels are bright."""

    def make(count: int) -> Batch:
        labels = rng.integers(0, 5, size=count)
        bright = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], np.float32)
        noise = rng.normal(size=(count, 1, 3, 8, 8)).astype(np.float32) * 0.7
        return Batch({"x": noise + bright[labels][:, None, :, None, None]}, labels.astype(np.int64))

    return make


@pytest.fixture
def as_training_data(tmp_path: Path) -> Callable[[Batch], TrainingData]:
    """Writes labelled samples as a data file."""

    def write(batch: Batch) -> TrainingData:
        path = tmp_path / f"train{len(list(tmp_path.glob('train*.npz')))}.npz"
        assert batch.labels is not None
        np.savez(path, labels=batch.labels, **batch.inputs)
        return TrainingData(CalibrationData(path))

    return write
