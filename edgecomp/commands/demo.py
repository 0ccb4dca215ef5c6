"""`edgecomp demo`: a trained digit classifier, from its file to three devices, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.commands.evaluate import Evaluated, evaluate_file
from edgecomp.commands.model_file import ModelFile
from edgecomp.compress import compress, save_model, statistics
from edgecomp.demo import load_split, model_path
from edgecomp.device import Device, load_device
from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.pipeline import compile_model
from edgecomp.progress import Progress
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.data import read_samples
from edgecomp_runtime.energy import RaplMeter
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.measure import bench
from edgecomp_runtime.measurement import Measurement
from edgecomp_runtime.npz import write_arrays
from edgecomp_runtime.session import Session

DEVICES = ("host", "raspberrypi_4b", "nucleo_l4r5zi")
"""This machine, and two that are emulated in this process."""
PASS = "quantize"
FLOAT_FILE, INT8_FILE = "digits.onnx", "digits_int8.onnx"
TRAIN_FILE, TEST_FILE = "train.npz", "test.npz"


@dataclass(frozen=True)
class DeviceResult:
    """The demo's model on one device.

    Attributes:
        device: the device.
        artifact: the program compiled for it.
        manifest: what the artifact says of itself.
        accuracy: share of the test digits it recognises, 0 to 1.
        samples: how many test digits it was given.
        measurement: one inference.
    """

    device: Device
    artifact: Path
    manifest: Manifest
    accuracy: float
    samples: int
    measurement: Measurement

    def to_json(self) -> dict[str, Any]:
        """What the demo's table shows, in SI base units."""
        measured = self.measurement.to_json()
        kept = ("link", "instructions", "latency_s", "latency_kind", "energy_j", "energy_kind")
        return {
            "device": self.device.name,
            "artifact": str(self.artifact),
            "accuracy": self.accuracy,
            "samples": self.samples,
            "flash_bytes": self.manifest.flash.flash_bytes,
            "ram_bytes": self.manifest.memory.ram_bytes,
            **{key: measured[key] for key in kept},
        }


@dataclass(frozen=True)
class DemoResult:
    """The whole demo.

    Attributes:
        folder: where the files are.
        macs, params: of the model.
        float_accuracy: the float model, by onnxruntime.
        int8_accuracy: the quantized model, by onnxruntime.
        devices: the compiled programs.
        identical: the programs gave the same outputs for every test digit, bit for bit.
    """

    folder: Path
    macs: int
    params: int
    float_accuracy: Evaluated
    int8_accuracy: Evaluated
    devices: tuple[DeviceResult, ...]
    identical: bool

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "folder": str(self.folder),
            "macs": self.macs,
            "params": self.params,
            "float_accuracy": self.float_accuracy.accuracy,
            "int8_accuracy": self.int8_accuracy.accuracy,
            "identical": self.identical,
            "devices": [device.to_json() for device in self.devices],
        }


def run_demo(folder: Path, progress: Progress) -> DemoResult:
    """Quantize the demo's model, compile it for `DEVICES`, run it on each, and compare.

    Args:
        folder: where models, data and artifacts are written; made if it is not there.
        progress: who is told how far it is.

    Raises:
        EdgecompError: scikit-learn is missing, the folder cannot be made, or programs disagree.
    """
    _make(folder)
    _, test = _write_data(folder)
    model = load(model_path())
    save_model(model, folder / FLOAT_FILE)
    quantized = compress(model, [parse_pass(PASS)], CalibrationData(folder / TRAIN_FILE), progress)
    save_model(quantized, folder / INT8_FILE)
    cost = statistics(model)
    accuracies = [
        evaluate_file(ModelFile(folder / name), folder / TEST_FILE, None, progress)
        for name in (FLOAT_FILE, INT8_FILE)
    ]
    results, outputs = [], []
    for name in DEVICES:
        result, raw = _on_device(quantized, load_device(name), folder, test["labels"], progress)
        results.append(result)
        outputs.append(raw)
    _check_identical(outputs)
    return DemoResult(
        folder, cost.macs, cost.params, accuracies[0], accuracies[1], tuple(results), True
    )


def _check_identical(outputs: Sequence[npt.NDArray[Any]]) -> None:
    """Make sure that every device computed the same integers for every digit."""
    raise_if_any(
        [
            Reason(
                f"its outputs differ from those of {DEVICES[0]} for "
                f"{int((raw != outputs[0]).any(axis=1).sum())} digits",
                name,
                "report this",
            )
            for name, raw in zip(DEVICES, outputs, strict=True)
            if not np.array_equal(raw, outputs[0])
        ]
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgecompError(
            Reason(
                f"the folder cannot be made ({error.strerror})",
                str(folder),
                "name another with --output",
            )
        ) from error


def _write_data(folder: Path) -> Sequence[Mapping[str, npt.NDArray[Any]]]:
    """The training and test digits, written as data files."""
    train, test = load_split()
    write_arrays(folder / TRAIN_FILE, train)
    write_arrays(folder / TEST_FILE, test)
    return train, test


def _on_device(
    model: Model,
    device: Device,
    folder: Path,
    labels: npt.NDArray[np.int64],
    progress: Progress,
) -> tuple[DeviceResult, npt.NDArray[Any]]:
    """Compile for one device, run every test digit, measure; the result and the raw scores."""
    path = folder / f"digits-{device.name}.edge"
    manifest = compile_model(model, device, path, progress=progress)
    samples = read_samples(folder / TEST_FILE, manifest.inputs)
    with Session(open_artifact(path)) as session:
        rows = []
        with progress.task(f"run on {device.name}", samples.count) as step:
            for sample in samples:
                raw, _ = session.prepare(sample)
                rows.append(session.engine.run(raw)[0].reshape(-1))
                step()
        scores = np.stack(rows)
        first = [next(iter(samples))]
        measurement = bench(session, first, meter=RaplMeter.find())
    accuracy = float((scores.argmax(1) == labels).mean())
    result = DeviceResult(device, path, manifest, accuracy, samples.count, measurement)
    return result, scores
