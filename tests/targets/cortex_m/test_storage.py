"""Clustered and pruned models in firmware: fewer bytes of flash, the same bits out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.demo import load_split, model_path
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.lower import lower
from edgecomp.model import Model
from edgecomp.passes import parse_passes
from edgecomp.pipeline import Options, compile_model, emitted
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

PASSES = {
    "palettes": ("cluster:bits=4,per=channel", "quantize"),
    "zeros": ("prune:granularity=weight,sparsity=0.8", "quantize"),
}
DEVICES = ("rp2040_pico", "nucleo_l4r5zi", "corstone_300")


@pytest.fixture(scope="session")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Model]:
    """The demo's net after each of `PASSES`."""
    train, _ = load_split()
    path = tmp_path_factory.mktemp("digits") / "train.npz"
    np.savez(path, image=train["image"][:40])
    data, net = CalibrationData(path), load(model_path())
    return {name: compress(net, parse_passes(specs), data) for name, specs in PASSES.items()}


@pytest.fixture(params=sorted(PASSES))
def small(request: pytest.FixtureRequest, compressed: Mapping[str, Model]) -> Model:
    """Each of them."""
    return compressed[request.param]


def _run(path: Path, images: Array) -> Array:
    with Session(open_artifact(path)) as session:
        return np.concatenate([session.engine.run([image[None]])[0] for image in images])


@pytest.mark.parametrize("device", DEVICES)
def test_fewer_bytes_give_the_same_bits(small: Model, device: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(-128, 128, (3, 1, 8, 8)).astype(np.int8)
    outputs: dict[str, Array] = {}
    manifests: dict[str, Manifest] = {}
    for optimize in ("speed", "size"):
        path = tmp_path / f"{optimize}.edge"
        options = Options(optimize=optimize)
        manifests[optimize] = compile_model(small, load_device(device), path, options=options)
        outputs[optimize] = _run(path, images)
    np.testing.assert_array_equal(outputs["size"], outputs["speed"])
    assert not any(op.op == "Unpack" for op in manifests["speed"].ops)
    ops = manifests["size"].ops
    unpacked = [(op, ops[i + 1]) for i, op in enumerate(ops) if op.op == "Unpack"]
    assert all((op.name, op.weights) == (layer.name, layer.weights) for op, layer in unpacked)
    assert any(op.weights for op in ops)


@pytest.mark.parametrize("device", DEVICES)
def test_without_a_word_the_ram_does_not_grow(small: Model, device: str) -> None:
    profile, lowered = load_device(device), lower(small)
    plain = emitted(lowered, profile, "speed")[1].plan.arena_bytes
    assert emitted(lowered, profile, "balanced")[1].plan.arena_bytes <= plain


def test_ram_that_is_allowed_is_not_exceeded(compressed: Mapping[str, Model]) -> None:
    profile, lowered = load_device("nucleo_l4r5zi"), lower(compressed["palettes"])
    free = emitted(lowered, profile, "size")[1]
    plain = emitted(lowered, profile, "size", ram_limit=0)[1]
    assert free.plan.arena_bytes > plain.plan.arena_bytes
    assert free.weights_bytes < plain.weights_bytes
