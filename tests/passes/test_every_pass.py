"""What holds of every pass, on random nets: the laws of ONNX in, ONNX out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import PASSES, parse_pass, parse_passes
from edgecomp.pipeline import compile_model
from edgecomp.reference import run_reference
from edgecomp.training_data import Batch, TrainingData
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session
from tests.random_nets import CLASSES, random_net

Array = npt.NDArray[Any]

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "cluster": ("cluster:bits=3", "cluster:bits=2,per=channel", "cluster:epochs=1"),
    "lowrank": (
        "lowrank:params=0.7",
        "lowrank:energy=0.9",
        "lowrank:rank=vbmf",
        "lowrank:method=cp,energy=0.5",
        "lowrank:max_drop=0.9,weigh=outputs",
    ),
    "prune": (
        "prune:sparsity=0.4",
        "prune:macs=0.6,scope=layer,criterion=taylor",
        "prune:granularity=weight,sparsity=0.7",
        "prune:granularity=weight,pattern=2:4",
        "prune:granularity=weight,pattern=1x4,steps=2,epochs=1,regrow=true",
    ),
    "quantize": (
        "quantize:estimator=minmax",
        "quantize:equalize=true",
        "quantize:weights=int4,rounding=reconstruct",
        "quantize:activations=int16",
    ),
    "finetune": ("finetune:epochs=1",),
    "distill": ("distill:epochs=1,loss=features",),
    "qat": ("qat:epochs=1,scales=true",),
}
"""Specs of each pass; a new pass has its line here."""

BEFORE: Mapping[str, tuple[str, ...]] = {"qat": ("quantize",)}
"""What a pass needs to have happened."""

FIXED_POINTS = ("prune:granularity=weight,sparsity=0.7", "prune:granularity=weight,pattern=2:4")
"""Specs that change nothing the second time."""

ONCE = (*EXAMPLES["quantize"], "cluster:bits=3")
"""Specs that are refused the second time, with a sentence that names the pass."""

SPECS = [spec for specs in EXAMPLES.values() for spec in specs]
SEEDS = (1, 2, 3)


def test_every_pass_has_examples() -> None:
    assert set(EXAMPLES) == set(PASSES)
    assert all(parse_pass(spec).name == name for name, specs in EXAMPLES.items() for spec in specs)


@pytest.fixture
def train(rng: np.random.Generator, as_training_data: Callable[..., TrainingData]) -> TrainingData:
    """Labelled images for `random_net`."""
    images = rng.normal(size=(48, 1, 2, 8, 8)).astype(np.float32)
    return as_training_data(Batch({"x": images}, rng.integers(0, CLASSES, size=48)))


@pytest.fixture
def images(rng: np.random.Generator) -> Array:
    """Eight samples."""
    return rng.normal(size=(8, 1, 2, 8, 8)).astype(np.float32)


def before(spec: str, seed: int, train: TrainingData) -> Model:
    """A net `spec` can be applied to."""
    passes = parse_passes(BEFORE.get(parse_pass(spec).name, ()))
    return compress(random_net(seed), passes, train=train)


def written(model: Model) -> bytes:
    return ir.to_proto(model.graph).SerializeToString(deterministic=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spec", SPECS)
def test_the_laws(spec: str, seed: int, train: TrainingData, images: Array, tmp_path: Path) -> None:
    """Checked by ONNX (`compress` does), run by onnxruntime, through a file, the same twice."""
    model = before(spec, seed, train)
    given = written(model)
    small = compress(model, [parse_pass(spec)], train=train)
    assert written(model) == given, "the given model changed"
    assert (small.inputs, small.outputs) == (model.inputs, model.outputs)
    assert small.history == (*model.history, str(parse_pass(spec)))
    assert statistics(small).params <= statistics(model).params
    assert statistics(small).macs <= statistics(model).macs
    (scores,) = run_reference(small, [images])
    assert np.isfinite(scores).all()
    assert written(compress(model, [parse_pass(spec)], train=train)) == written(small)
    save_model(small, tmp_path / "small.onnx")
    loaded = load(tmp_path / "small.onnx")
    np.testing.assert_allclose(run_reference(loaded, [images])[0], scores, atol=1e-6)
    assert loaded.history == small.history


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spec", FIXED_POINTS)
def test_a_second_time_changes_nothing(spec: str, seed: int, train: TrainingData) -> None:
    once = compress(random_net(seed), [parse_pass(spec)], train=train)
    assert written(compress(once, [parse_pass(spec)], train=train)) == written(once)


@pytest.mark.parametrize("spec", ONCE)
def test_a_second_time_is_refused(spec: str, train: TrainingData) -> None:
    once = compress(random_net(1), [parse_pass(spec)], train=train)
    with pytest.raises(EdgecompError, match=parse_pass(spec).name):
        compress(once, [parse_pass(spec)], train=train)


@pytest.mark.parametrize("spec", SPECS)
def test_the_result_compiles(spec: str, train: TrainingData, images: Array, tmp_path: Path) -> None:
    """The program on the host agrees with onnxruntime: a few steps of an integer, or rounding."""
    small = compress(before(spec, 1, train), [parse_pass(spec)], train=train)
    compile_model(small, load_device("host"), tmp_path / "small.edge")
    with Session(open_artifact(tmp_path / "small.edge")) as session:
        scores = np.stack([next(iter(session.run({"x": image}).values())) for image in images])
    integer = any(step.startswith(("quantize", "qat")) for step in small.history)
    (expected,) = run_reference(small, [images])
    np.testing.assert_allclose(scores, expected, atol=0.05 if integer else 1e-5)
