"""Rounding of weights by what it does to the outputs of a layer, and int4 weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.graph.values import constant_input
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.gram import by_group, from_groups
from edgecomp.passes.quantize import Quantize
from edgecomp.passes.rounding import best_scales, reconstruct
from edgecomp.passes.windows import windows
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp.training_data import TrainingData
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Make = Callable[..., Any]


def run(model: Model, x: Array) -> Array:
    output = model.outputs[0].name
    return Executor(model.graph, [output]).run({model.inputs[0].name: x})[output]


def error(steps: Array, weights: Array, scale: Array, moments: Array) -> Array:
    difference = steps * scale[:, None] - weights
    return np.einsum("oi,ij,oj->o", difference, moments, difference)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 12), st.sampled_from([7, 127]))
def test_no_worse_than_to_the_nearest(seed: int, outputs: int, taps: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    weights, rows = rng.normal(size=(outputs, taps)), rng.normal(size=(40, taps))
    rows = rows @ rng.normal(size=(taps, taps))
    moments = rows.T @ rows / 40 + 1e-3 * np.eye(taps)
    scale = np.maximum(best_scales(weights, moments, limit), 1e-6)
    nearest = np.clip(np.rint(weights / scale[:, None]), -limit, limit)
    found = reconstruct(weights, scale, moments, limit)
    assert np.abs(found).max() <= limit
    plain = error(nearest, weights, scale, moments)
    assert (error(found, weights, scale, moments) <= plain * (1 + 1e-9)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 10))
def test_no_single_step_helps(seed: int, taps: int) -> None:
    rng = np.random.default_rng(seed)
    weights, rows = rng.normal(size=(1, taps)), rng.normal(size=(30, taps))
    moments, scale = rows.T @ rows / 30 + 1e-3 * np.eye(taps), np.array([0.4])
    found = reconstruct(weights, scale, moments, 7)
    steps = np.concatenate([np.eye(taps), -np.eye(taps)]).astype(np.int64)
    around = np.clip(found + steps, -7, 7)
    others = error(around, weights, np.full(len(around), 0.4), moments)
    assert error(found, weights, scale, moments)[0] <= others.min() * (1 + 1e-9)


@pytest.mark.parametrize(
    "attributes", ["", "<group = 4>", "<strides = [2,1], pads = [1,0,2,1], dilations = [1,2]>"]
)
def test_windows_are_what_a_convolution_multiplies(
    make_model: Make, floats: Make, attributes: str
) -> None:
    groups = 4 if "group" in attributes else 1
    w = floats(8, 4 // groups, 3, 2)
    shape = {"": (7, 8), "<group = 4>": (7, 8)}.get(attributes, (5, 7))
    text = f"net (float[1,4,9,9] x) => (float[1,8,{shape[0]},{shape[1]}] y) {{ [conv] y = Conv {attributes} (x, w) }}"  # noqa: E501
    model = make_model(text, {"w": w})
    x = floats(1, 4, 9, 9)
    node = model.graph.graph[0]
    got = windows(node, x) @ by_group(node, w, 0).transpose(0, 2, 1)
    wanted = run(model, x).reshape(groups, 8 // groups, -1).transpose(0, 2, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(from_groups(by_group(node, w, 0), w.shape, 0), w)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_reconstruction_brings_the_outputs_nearer(
    small_cnn: Model, make_data: Make, floats: Make, weights: str
) -> None:
    data: CalibrationData = make_data(x=floats(60, 3, 8, 8))
    errors = []
    for rounding in ("nearest", "reconstruct"):
        spec = parse_pass(f"quantize:weights={weights},rounding={rounding}")
        small = compress(small_cnn, [spec], data)
        found = [run(small, f["x"]) - run(small_cnn, f["x"]) for f in data.samples(small.inputs)]
        errors.append(float(np.square(found).mean()))
    assert errors[1] < errors[0] * (0.9 if weights == "int4" else 1.05)


@pytest.mark.parametrize("device", ["host", "qemu_mps2_an386"])
def test_int4_weights_are_packed_in_the_file_and_run(
    small_cnn: Model, make_data: Make, floats: Make, tmp_path: Path, device: str
) -> None:
    data = make_data(x=floats(40, 3, 8, 8))
    small = compress(small_cnn, [Quantize(weights="int4")], data)
    assert statistics(small).bytes < statistics(compress(small_cnn, [Quantize()], data)).bytes
    save_model(small, tmp_path / "small.onnx")
    again = load(tmp_path / "small.onnx")
    kept = [v for v in again.graph.graph.initializers.values() if v.dtype == ir.DataType.INT4]
    assert kept
    compile_model(again, load_device(device), tmp_path / "small.edge")
    x = floats(1, 3, 8, 8)
    with Session(open_artifact(tmp_path / "small.edge")) as session:
        got = next(iter(session.run([x]).values()))
    np.testing.assert_allclose(got, run(small, x), atol=5 / 256)


def test_int4_stays_within_its_limits(small_cnn: Model, make_data: Make, floats: Make) -> None:
    spec = Quantize(weights="int4", rounding="reconstruct")
    small = compress(small_cnn, [spec], make_data(x=floats(20, 3, 8, 8)))
    seen = 0
    for node in small.graph.graph:
        content = constant_input(node, 0) if node.op_type == "DequantizeLinear" else None
        if content is not None and content.dtype == ml_dtypes.int4:
            seen += 1
            assert np.abs(content.astype(np.int8)).max() <= 7
    assert seen == 3


@pytest.mark.parametrize("labelled", [False, True])
def test_mixed_weights_keep_the_limit(
    small_cnn: Model, make_data: Make, floats: Make, labelled: bool
) -> None:
    """Everything becomes int4 where anything is allowed, nothing where noise is forbidden."""
    x = floats(40, 3, 8, 8)
    labels = np.array([run(small_cnn, row[None]).argmax() for row in x])
    data = make_data(x=x, labels=labels)
    train = TrainingData(data) if labelled else None

    def narrow(spec: Quantize) -> int:
        small = compress(small_cnn, [spec], data, train=train)
        constants = small.graph.graph.initializers.values()
        return sum(v.dtype == ir.DataType.INT4 and v.name.endswith("quantized") for v in constants)

    assert narrow(Quantize(weights="mixed", max_drop=1.0)) == 3
    strict = compress(small_cnn, [Quantize(weights="mixed", max_drop=0.0)], data, train=train)
    eight = compress(small_cnn, [Quantize()], data)

    def agreement(model: Model) -> float:
        return float(np.mean([run(model, row[None]).argmax() for row in x] == labels))

    assert agreement(strict) >= agreement(eight)
