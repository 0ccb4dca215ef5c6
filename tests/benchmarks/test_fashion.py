"""The Fashion-MNIST network: its samples are read, it trains, and what is exported is the same."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.reference import run_reference
from edgecomp.training.determinism import deterministic
from tests.benchmarks.fashion_mnist import Images, read_images
from tests.benchmarks.fashion_net import build, export, train

BLOCKS = ((16, 1), (16, 2))
COUNTS = {"train": 768, "t10k": 100}


def idx(array: npt.NDArray[Any]) -> bytes:
    """A compressed IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def drawn(count: int) -> Images:
    """Images whose stripes tell the class: how far they are from each other."""
    random = np.random.default_rng(count)
    labels = random.integers(0, 10, count).astype(np.uint8)
    pixels = random.integers(0, 100, (count, 28, 28)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:: 2 + label] = 255
    return Images(pixels, labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small dataset in the files of the package."""
    for prefix, count in COUNTS.items():
        images = drawn(count)
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images.pixels))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(images.labels))
    return tmp_path


def test_images_are_read(folder: Path) -> None:
    read, expected = read_images("test", folder), drawn(COUNTS["t10k"])
    np.testing.assert_array_equal(read.pixels, expected.pixels)
    np.testing.assert_array_equal(read.labels, expected.labels)
    assert read.inputs.shape == (COUNTS["t10k"], 1, 28, 28)
    assert read.inputs.max() == 1.0


def test_absent_files_are_named_with_their_package(tmp_path: Path) -> None:
    with pytest.raises(EdgecompError, match="apt-get install dataset-fashion-mnist") as caught:
        read_images("train", tmp_path)
    assert [Path(reason.where).name for reason in caught.value.reasons] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"\0\0"), idx(np.zeros((3, 3), np.uint8)), idx(np.zeros(3))],
    ids=["empty", "no gzip", "short", "rank", "cut"],
)
def test_a_broken_file_is_named(folder: Path, content: bytes) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(EdgecompError, match="no IDX file") as caught:
        read_images("test", folder)
    assert caught.value.reasons[0].where == str(path)


def test_images_without_labels_are_refused(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(99, np.uint8)))
    with pytest.raises(EdgecompError, match="100 images stand beside 99 labels"):
        read_images("test", folder)


def trained(images: Images, seed: int, epochs: int) -> torch.nn.Module:
    with deterministic(threads=1):
        torch.manual_seed(seed)
        network = build(BLOCKS)
        train(images, network, epochs, held_out=128)
    return network


def test_a_trained_network_keeps_its_meaning_in_onnx(folder: Path, tmp_path: Path) -> None:
    network = trained(read_images("train", folder), seed=0, epochs=6)
    test = read_images("test", folder)
    export(network, tmp_path / "net.onnx")
    model = load(tmp_path / "net.onnx")
    assert "BatchNormalization" not in {node.op_type for node in model.graph.graph}
    with torch.no_grad():
        expected = network(torch.from_numpy(test.inputs)).numpy()
    (found,) = run_reference(model, [test.inputs[:, None]])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3, atol=1e-3)
    # far above chance after six epochs: the loop does train
    assert np.mean(expected.argmax(1) == test.labels) > 0.3


def test_a_seed_decides_the_weights(folder: Path) -> None:
    images = read_images("train", folder)
    first, again, other = (
        torch.nn.utils.parameters_to_vector(trained(images, seed, epochs=1).parameters())
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
