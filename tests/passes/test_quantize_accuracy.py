"""Accuracy kept on real models and data, for every estimator, by onnxruntime on the QDQ model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.quantize import Quantize
from edgecomp.passes.ranges import ESTIMATORS
from edgecomp.reference import Executor
from edgecomp_runtime.preprocess import Preprocess

Array = npt.NDArray[Any]
PIXELS = Preprocess.parse("scale=1/255,layout=nchw")


@dataclass(frozen=True)
class Case:
    """A classifier with data.

    Attributes:
        calibration, test: the data files.
        key: the array of the samples.
        shape: of one sample, as the file conventions want it.
        agreement: top-1 agreement with the float model, at least, by any estimator.
        drop: accuracy lost at most, by any estimator.
    """

    calibration: str
    test: str
    key: str
    shape: tuple[int, ...]
    agreement: float
    drop: float


CASES: Mapping[str, Case] = {
    "resnet8_jpeg": Case("cifar10_calib", "cifar10_test_first", "images", (32, 32, 3), 0.975, 0.01),
    "mnist_cnn": Case("mnist_train_first10k", "mnist_test", "images", (28, 28, 1), 0.99, 0.005),
    "mobilenetv1_025_vww": Case("vww_calib", "vww_test", "images", (96, 96, 3), 0.98, 0.02),
    "dscnn_kws": Case("kws_mfcc_calib", "kws_mfcc_test", "features", (1, 49, 10), 0.98, 0.01),
}
SAMPLES = 500


def outputs(model: Model, data: CalibrationData) -> Array:
    executor = Executor(model.graph)
    return np.concatenate(
        [executor.run(feed)[executor.outputs[0]] for feed in data.samples(model.inputs)]
    )


@pytest.fixture
def prepared(shared: Path, tmp_path: Path) -> Callable[..., tuple[CalibrationData, Array]]:
    """The first samples of a shared data file as a data file for a model, and their labels."""

    def prepare(file: str, key: str, shape: tuple[int, ...]) -> tuple[CalibrationData, Array]:
        with np.load(shared / "data" / f"{file}.npz") as archive:
            samples, labels = archive[key][:SAMPLES], archive["labels"][:SAMPLES]
        path = tmp_path / f"{file}.npz"
        np.savez(path, samples=samples.reshape(-1, *shape))
        return CalibrationData(path, PIXELS), labels

    return prepare


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", CASES)
def test_classifiers_keep_their_accuracy(
    name: str, estimator: Any, shared: Path, prepared: Callable[..., tuple[CalibrationData, Array]]
) -> None:
    case = CASES[name]
    model = load(shared / "models" / f"{name}.onnx")
    calibration, _ = prepared(case.calibration, case.key, case.shape)
    data, labels = prepared(case.test, case.key, case.shape)
    exact = outputs(model, data).argmax(axis=1)
    result = compress(model, [Quantize(estimator=estimator)], calibration)
    rounded = outputs(result, data).argmax(axis=1)
    assert np.mean(rounded == exact) >= case.agreement
    assert np.mean(rounded == labels) >= np.mean(exact == labels) - case.drop


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_autoencoder_keeps_its_reconstruction_error(
    estimator: Any, shared: Path, tmp_path: Path
) -> None:
    with np.load(shared / "data" / "ad_toycar_normal_id01_logmel.npz") as archive:
        spectrum = archive["logmel"]
    windows = np.stack([spectrum[i : i + 5].reshape(-1) for i in range(len(spectrum) - 4)])
    np.savez(tmp_path / "ad.npz", windows=windows)
    data = CalibrationData(tmp_path / "ad.npz")
    model = load(shared / "models" / "ad_autoencoder.onnx")
    result = compress(model, [Quantize(estimator=estimator)], data)
    exact, rounded = (np.mean((outputs(m, data) - windows) ** 2) for m in (model, result))
    assert rounded == pytest.approx(exact, rel=0.02)
