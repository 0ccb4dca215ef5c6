"""Reference models x devices: accuracy, flash, RAM, and instructions or milliseconds.

    python -m tests.benchmarks.reference_models [--samples 20] [--devices host raspberrypi_4b ...]

Reads ../shared; prints a Markdown table. Emulated devices run `--samples` of the test samples, this
machine all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp.reference import run_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.measure import bench
from edgecomp_runtime.session import Session
from tests.reference_data import MODELS, Data, top1

SHARED = Path(__file__).resolve().parents[3] / "shared"
DEVICES = ("host", "raspberrypi_4b", "nucleo_l4r5zi", "corstone_300")


def _quality(data: Data, outputs: npt.NDArray[np.float32], count: int) -> str:
    """Accuracy in percent, or mean squared reconstruction error where there are no labels."""
    if data.labels is not None:
        return f"{100 * np.mean(top1(outputs) == data.labels[:count]):.2f} %"
    samples = data.test[:count].reshape(outputs.shape)
    return f"MSE {np.mean(np.square(outputs - samples)):.3f}"


def _row(model: Model, data: Data, device: str, samples: int, folder: Path) -> list[str]:
    path = folder / "program.edge"
    manifest = compile_model(model, load_device(device), path)
    count = len(data.test) if device == "host" else min(samples, len(data.test))
    spec = manifest.inputs[0]
    given = data.test[:count].reshape(-1, *spec.shape)
    with Session(open_artifact(path)) as session:
        outputs = np.stack([next(iter(session.run({spec.name: x}).values())) for x in given])
        measured = bench(session, repeat=30, warmup=3).to_json()
    cost = f"{1e3 * measured['latency_s']['p50']:.2f} ms"
    if measured["instructions"] is not None:
        cost = f"{measured['instructions']:,} instructions"
    return [
        device,
        f"{_quality(data, outputs, count)} of {count}",
        f"{manifest.flash.flash_bytes:,}",
        f"{manifest.memory.ram_bytes:,}",
        cost,
    ]


def _rows(name: str, devices: list[str], samples: int) -> list[list[str]]:
    data = MODELS[name](SHARED / "data")
    model = load(SHARED / "models" / f"{name}.onnx")
    expected = run_reference(model, [data.test.reshape(-1, *model.inputs[0].shape)])[0]
    float_quality = _quality(data, expected, len(data.test))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.savez(folder / "calibration.npz", input=data.calibration)
        int8 = compress(model, [Quantize()], CalibrationData(folder / "calibration.npz"))
        rows = [_row(int8, data, device, samples, folder) for device in devices]
    return [[name, float_quality, *row] for row in rows]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--devices", nargs="+", default=list(DEVICES))
    arguments = parser.parse_args()
    print(
        "| model | float accuracy | device | int8 accuracy | flash, bytes | RAM, bytes "
        "| one inference |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in MODELS:
        for row in _rows(name, arguments.devices, arguments.samples):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
