"""Data of the reference models beside the project, in the form the models take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Data:
    """Samples in the model's own form.

    Attributes:
        calibration: to calibrate on.
        test: to test with.
        labels: class indices of `test`, where there are.
    """

    calibration: Array
    test: Array
    labels: Array | None


def _images(folder: Path, calibration: str, test: str) -> Data:
    def pixels(images: Array) -> Array:
        return np.asarray(images.transpose(0, 3, 1, 2) / np.float32(255), np.float32)

    tested = np.load(folder / test)
    return Data(
        pixels(np.load(folder / calibration)["images"]), pixels(tested["images"]), tested["labels"]
    )


def _cifar10(folder: Path) -> Data:
    return _images(folder, "cifar10_calib.npz", "cifar10_test_first.npz")


def _visual_wake_words(folder: Path) -> Data:
    return _images(folder, "vww_calib.npz", "vww_test.npz")


def _mnist(folder: Path) -> Data:
    def pixels(images: Array) -> Array:
        return np.asarray(images[:, None] / np.float32(255), np.float32)

    train, test = np.load(folder / "mnist_train_first10k.npz"), np.load(folder / "mnist_test.npz")
    return Data(pixels(train["images"][:300]), pixels(test["images"][:2000]), test["labels"][:2000])


def _keywords(folder: Path) -> Data:
    calibration, test = (
        np.load(folder / "kws_mfcc_calib.npz"),
        np.load(folder / "kws_mfcc_test.npz"),
    )
    turned = [
        np.ascontiguousarray(f["features"].transpose(0, 3, 1, 2)) for f in (calibration, test)
    ]
    return Data(turned[0], turned[1], test["labels"])


def _machine_sound(folder: Path) -> Data:
    spectrum = np.load(folder / "ad_toycar_normal_id01_logmel.npz")["logmel"]
    windows = np.stack([spectrum[i : i + 5].reshape(1, -1) for i in range(196)])
    return Data(windows, windows, None)


MODELS: Mapping[str, Callable[[Path], Data]] = {
    "resnet8_jpeg": _cifar10,
    "mnist_cnn": _mnist,
    "mobilenetv1_025_vww": _visual_wake_words,
    "dscnn_kws": _keywords,
    "ad_autoencoder": _machine_sound,
}
"""What reads the data of each model from the folder of data files."""


def top1(outputs: Array) -> Array:
    """The class of the largest output of each sample."""
    return np.asarray(outputs.reshape(len(outputs), -1).argmax(axis=1))
