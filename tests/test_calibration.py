"""Calibration samples: which are taken, and how much memory that takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.preprocess import Preprocess

SPECS = (TensorSpec("x", (1, 2), "float32"),)


def saved(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def test_all_samples_in_the_shape_and_type_of_the_input(tmp_path: Path) -> None:
    values = np.arange(10, dtype=np.float64).reshape(5, 2)
    data = CalibrationData(saved(tmp_path / "d.npz", x=values))
    assert data.count(SPECS) == 5
    samples = [sample["x"] for sample in data.samples(SPECS)]
    assert all(sample.shape == (1, 2) and sample.dtype == np.float32 for sample in samples)
    assert np.array_equal(np.concatenate(samples), values)


@pytest.mark.parametrize(("limit", "taken"), [(3, [0, 33, 66]), (1, [0]), (100, range(100))])
def test_a_limit_spreads_over_the_file(tmp_path: Path, limit: int, taken: list[int]) -> None:
    values = np.repeat(np.arange(100.0)[:, None], 2, axis=1)
    data = CalibrationData(saved(tmp_path / "d.npz", x=values))
    assert [sample["x"][0, 0] for sample in data.samples(SPECS, limit)] == list(taken)


def test_recordings_are_preprocessed(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.npz", any_name=np.array([[0, 255]], np.uint8))
    (sample,) = CalibrationData(path, Preprocess.parse("scale=1/255")).samples(SPECS)
    assert sample["x"].tolist() == [[0.0, 1.0]]


def test_every_reason_of_the_file_is_told(tmp_path: Path) -> None:
    specs = (*SPECS, TensorSpec("y", (1, 3), "float32"))
    path = saved(tmp_path / "d.npz", x=np.zeros((4, 5)), y=np.zeros((4, 7)))
    with pytest.raises(EdgecompError) as caught:
        CalibrationData(path).count(specs)
    assert len(caught.value.reasons) == 2


def peak_bytes(path: Path, specs: tuple[TensorSpec, ...]) -> int:
    """Largest amount of memory in use while all samples are read."""
    tracemalloc.start()
    try:
        for _ in CalibrationData(path).samples(specs):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    specs = (TensorSpec("x", (1, 50, 50), "float32"),)
    peaks = [
        peak_bytes(saved(tmp_path / f"{n}.npz", x=np.zeros((n, 50, 50), np.float32)), specs)
        for n in (64, 2048)
    ]
    assert peaks[1] < 1.2 * peaks[0] + 100_000
