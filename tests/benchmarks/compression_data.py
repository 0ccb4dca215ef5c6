"""Models and samples of the compression benchmark."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.equalize import content_of, made_axis, pairs_of, read_axis, store
from edgecomp.training_data import TrainingData
from tests.benchmarks import fashion_net
from tests.benchmarks.fashion_mnist import read_images

Array = npt.NDArray[Any]


CALIBRATION_IMAGES = 1024
"""Of Fashion-MNIST; their labels are not looked at."""


@dataclass(frozen=True)
class Sets:
    """A model with its samples.

    Attributes:
        model: as trained.
        calibration: samples without labels.
        train: samples to train on.
        test: samples the accuracy is measured on.
    """

    model: Model
    calibration: CalibrationData
    train: TrainingData
    test: TrainingData


@dataclass(frozen=True)
class Arrays:
    """Inputs and labels of one part."""

    inputs: Array
    labels: Array


@dataclass(frozen=True)
class Folders:
    """Where models and samples are.

    Attributes:
        shared: those of most cases, in its folders `models` and `data`.
        fashion: the files of Fashion-MNIST.
        trained: networks that are trained here where they are absent.
    """

    shared: Path
    fashion: Path
    trained: Path


def _images(images: Array) -> Array:
    """uint8 [n, h, w, c] or [n, h, w] to float32 [n, c, h, w], 0 to 1."""
    shaped = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(shaped.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def _open(folders: Folders, name: str) -> Mapping[str, Array]:
    with np.load(folders.shared / "data" / name) as archive:
        return {key: archive[key] for key in archive.files}


def _mnist(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    train, test = _open(folders, "mnist_train_first10k.npz"), _open(folders, "mnist_test.npz")
    part = Arrays(_images(train["images"]), train["labels"])
    return (
        Arrays(part.inputs[:200], part.labels[:200]),
        part,
        Arrays(_images(test["images"]), test["labels"]),
    )


def _cifar(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    from PIL import Image  # an extra, for this network alone

    calibration, test = (
        _open(folders, "cifar10_calib.npz"),
        _open(folders, "cifar10_test_first.npz"),
    )
    train = _open(folders, "cifar10_train_small.npz")
    stream, offsets = train["jpeg"].tobytes(), train["offsets"]
    pieces = [stream[a:b] for a, b in itertools.pairwise(offsets)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(piece))) for piece in pieces])
    return (
        Arrays(_images(calibration["images"]), calibration["labels"]),
        Arrays(_images(pixels), train["labels"]),
        Arrays(_images(test["images"]), test["labels"]),
    )


def _vww(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    calibration, test = _open(folders, "vww_calib.npz"), _open(folders, "vww_test.npz")
    part = Arrays(_images(calibration["images"]), calibration["labels"])
    return part, part, Arrays(_images(test["images"]), test["labels"])


def _kws(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    calibration, test = _open(folders, "kws_mfcc_calib.npz"), _open(folders, "kws_mfcc_test.npz")

    def arrays(part: Mapping[str, Array]) -> Arrays:
        return Arrays(part["features"].transpose(0, 3, 1, 2), part["labels"])

    return arrays(calibration), arrays(calibration), arrays(test)


def _anomaly(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    spectrum = _open(folders, "ad_toycar_normal_id01_logmel.npz")["logmel"]
    windows = np.stack([spectrum[i : i + 5].reshape(-1) for i in range(len(spectrum) - 4)])
    part = Arrays(windows.astype(np.float32), np.zeros(len(windows), np.int64))
    return part, part, part


def _fashion(folders: Folders) -> tuple[Arrays, Arrays, Arrays]:
    train, test = (read_images(part, folders.fashion) for part in ("train", "test"))
    few = train.take(np.arange(CALIBRATION_IMAGES))
    part = Arrays(few.inputs, few.labels)
    return part, part, Arrays(test.inputs, test.labels)


LOADERS: Mapping[str, Callable[[Folders], tuple[Arrays, Arrays, Arrays]]] = {
    "mnist_cnn": _mnist,
    "resnet8_jpeg": _cifar,
    "mobilenetv1_025_vww": _vww,
    "dscnn_kws": _kws,
    "ad_autoencoder": _anomaly,
    "fashion_net": _fashion,
}


UNEVEN = ", uneven"
PARTS = ("calibration", "train", "test")


def unevened(model: Model) -> Model:
    """The same function, channels between layers being up to 100 times larger than others."""
    graph, random = model.graph.clone(), np.random.default_rng(0)
    for pair in pairs_of(graph.graph):
        first, second = content_of(pair.first, 1), content_of(pair.second, 1)
        made, read = made_axis(pair.first), read_axis(pair.second)
        factor = 10 ** random.uniform(-1, 1, first.shape[made])

        def along(axis: int, rank: int, factor: Array = factor) -> Array:
            return factor.reshape([-1 if place == axis else 1 for place in range(rank)])

        store(graph.graph, pair.first, 1, first * along(made, first.ndim))
        store(graph.graph, pair.second, 1, second / along(read, second.ndim))
        if len(pair.first.inputs) > 2:
            store(graph.graph, pair.first, 2, content_of(pair.first, 2) * factor)
    return model.with_graph(graph)


def _model(name: str, folders: Folders) -> Model:
    if name != "fashion_net":
        return load(folders.shared / "models" / f"{name}.onnx")
    path = folders.trained / f"{name}.onnx"
    fashion_net.need(path, folders.fashion)
    return load(path)


def sets_of(name: str, folders: Folders, work: Path) -> Sets:
    """The model `name` and its samples, brought to its input's form in files in `work`."""
    model = _model(name.removesuffix(UNEVEN), folders)
    if name.endswith(UNEVEN):
        model = unevened(model)
    parts = LOADERS[name.removesuffix(UNEVEN)](folders)
    return kept(model, parts, work)


def kept(model: Model, parts: Iterable[Arrays], work: Path) -> Sets:
    """`model` with the samples of `PARTS` in files in `work`."""
    files = {}
    for part, arrays in zip(PARTS, parts, strict=True):
        inputs = arrays.inputs
        if inputs.shape[1:] != tuple(model.inputs[0].shape[1:]):
            inputs = inputs.transpose(0, 2, 3, 1)
        path = work / f"{part}.npz"
        np.savez(path, input_0=inputs, labels=arrays.labels)
        files[part] = CalibrationData(path)
    return Sets(
        model, files["calibration"], TrainingData(files["train"]), TrainingData(files["test"])
    )
