"""Labelled samples: read whole, split the same way for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError
from edgecomp.training_data import TrainingData
from edgecomp_runtime.manifest import TensorSpec

SPECS = [TensorSpec("x", (1, 3), "float32")]


def write(folder: Path, count: int) -> TrainingData:
    rows = np.arange(count, dtype=np.float32)[:, None].repeat(3, axis=1)
    np.savez(folder / "t.npz", x=rows, labels=np.arange(count))
    return TrainingData(CalibrationData(folder / "t.npz"))


def test_a_split_keeps_samples_and_labels_together(tmp_path: Path) -> None:
    data = write(tmp_path, 20)
    parts = data.split(SPECS, 0.25, seed=3)
    assert [len(part) for part in parts] == [15, 5]
    for part in parts:
        np.testing.assert_array_equal(part.inputs["x"].reshape(len(part), 3)[:, 0], part.labels)
    together = np.concatenate([part.labels for part in parts if part.labels is not None])
    assert sorted(together) == list(range(20))


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    data = write(tmp_path, 40)
    first, again, other = (data.split(SPECS, 0.5, seed)[0].labels for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_samples_to_split(tmp_path: Path) -> None:
    with pytest.raises(EdgecompError, match=r"1 samples cannot be split .* give more samples"):
        write(tmp_path, 1).split(SPECS, 0.2, seed=0)
