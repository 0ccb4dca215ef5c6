"""The reference models and data beside the project, compiled for four kinds of device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp.reference import run_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session
from tests.reference_data import MODELS, Data, top1

Array = npt.NDArray[Any]

DEVICES = ("host", "raspberrypi_4b", "nucleo_l4r5zi", "corstone_300")
EMULATED_SAMPLES = 20


@dataclass(frozen=True)
class Quantized:
    """A reference model in float and in int8, with data."""

    model: Model
    int8: Model
    data: Data


@pytest.fixture(scope="module", params=list(MODELS))
def quantized(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Quantized:
    name = str(request.param)
    data = MODELS[name](shared / "data")
    path = tmp_path_factory.mktemp(name) / "calibration.npz"
    np.savez(path, input=data.calibration)
    model = load(shared / "models" / f"{name}.onnx")
    return Quantized(model, compress(model, [Quantize()], CalibrationData(path)), data)


def _compile(model: Model, device: str, path: Path) -> Manifest:
    return compile_model(model, load_device(device), path)


def _outputs(path: Path, samples: Array) -> Array:
    """The int8 (or float) output of every sample, given in the program's own type."""
    with Session(open_artifact(path)) as session:
        spec = session.artifact.manifest.inputs[0]
        given = samples.reshape(-1, *spec.shape)
        return np.stack([next(iter(session.run({spec.name: x}).values())) for x in given])


def _steps(manifest: Manifest, samples: Array) -> Array:
    """`samples` as the integers `manifest`'s program takes."""
    spec = manifest.inputs[0]
    assert spec.scale is not None
    assert spec.zero_point is not None
    steps = np.rint(samples / np.float32(spec.scale)) + spec.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def test_int8_keeps_the_accuracy_on_the_host(quantized: Quantized, tmp_path: Path) -> None:
    data = quantized.data
    _compile(quantized.int8, "host", tmp_path / "host.edge")
    outputs = _outputs(tmp_path / "host.edge", data.test)
    samples = data.test.reshape(-1, *quantized.model.inputs[0].shape)
    expected = run_reference(quantized.model, [samples])[0]
    if data.labels is None:
        noise = np.square(outputs - expected).sum()
        assert 10 * np.log10(np.square(expected).sum() / noise) > 40
        return
    labels, float_top1, int8_top1 = data.labels, top1(expected), top1(outputs)
    assert np.mean(float_top1 == int8_top1) >= 0.97
    lost = np.mean(float_top1 == labels) - np.mean(int8_top1 == labels)
    assert lost <= max(0.005, 2 / len(labels))


def test_every_device_gives_the_same_integers(quantized: Quantized, tmp_path: Path) -> None:
    results = {}
    for device in DEVICES:
        manifest = _compile(quantized.int8, device, tmp_path / f"{device}.edge")
        assert {op.where for op in manifest.ops} == {"integer"}
        samples = _steps(manifest, quantized.data.test[:EMULATED_SAMPLES])
        results[device] = _outputs(tmp_path / f"{device}.edge", samples)
        assert results[device].dtype == np.int8
    for device in DEVICES:
        np.testing.assert_array_equal(results[device], results["host"], err_msg=device)


def _golden(shared: Path) -> Mapping[str, Path]:
    files = sorted((shared / "models" / "golden").glob("*_onnx.npz"))
    return {path.stem.removesuffix("_onnx"): path for path in files}


FLOAT_MODELS = (
    "ad_autoencoder",
    "dscnn_kws",
    "dscnn_kws_savedmodel_bn",
    "mnist_cnn",
    "mnist_cnn_dynbatch",
    "mobilenetv1_025_vww",
    "resnet8",
    "resnet8_jpeg",
    "resnet8_jpeg_unfolded",
)


def test_no_golden_file_is_left_out(shared: Path) -> None:
    assert sorted(_golden(shared)) == sorted(FLOAT_MODELS)


@pytest.mark.parametrize("device", ["host", "raspberrypi_4b"])
@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_float_programs_match_the_golden_outputs(
    name: str, device: str, shared: Path, tmp_path: Path
) -> None:
    golden = np.load(_golden(shared)[name])
    _compile(load(shared / "models" / f"{name}.onnx"), device, tmp_path / "float.edge")
    outputs = _outputs(tmp_path / "float.edge", golden["input_0"])
    expected = golden["output_0_ort"].reshape(outputs.shape)
    assert np.abs(outputs - expected).max() <= 1e-4 * np.abs(expected).max()


def test_float_programs_fit_a_large_microcontroller(shared: Path, tmp_path: Path) -> None:
    golden = np.load(_golden(shared)["dscnn_kws"])
    model = load(shared / "models" / "dscnn_kws.onnx")
    _compile(model, "nucleo_l4r5zi", tmp_path / "m4.edge")
    _compile(model, "host", tmp_path / "host.edge")
    samples = golden["input_0"][:2]
    np.testing.assert_array_equal(
        _outputs(tmp_path / "m4.edge", samples), _outputs(tmp_path / "host.edge", samples)
    )
