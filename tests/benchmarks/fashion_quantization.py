"""What quantization costs the Fashion-MNIST network: by our passes, and by onnxruntime's own.

    python -m tests.benchmarks.fashion_quantization [--net NET.onnx] [--data FOLDER]

The network is trained by tests.benchmarks.fashion_net where it is absent. Each method runs on
several draws of unlabelled calibration images; the 10,000 test images measure, and decide nothing.
Results are kept in results/fashion_quantization.json as they come; the table of all is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, save_model, statistics
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_passes
from edgecomp.reference import run_reference
from edgecomp.toolchain import cache_folder
from tests.benchmarks import fashion_net
from tests.benchmarks.compression_cases import FINE_INT4, FINE_STEPS
from tests.benchmarks.fashion_mnist import INSTALLED, Images, read_images

RESULTS = Path(__file__).parent / "results" / "fashion_quantization.json"
NET = cache_folder() / "fashion_net.onnx"
DRAWS, SAMPLES = 3, 1024

Quantizer = Callable[[Model, CalibrationData, Path], Model]


def by_passes(specs: Sequence[str], model: Model, data: CalibrationData, work: Path) -> Model:
    """By passes of this project, in order."""
    return compress(model, parse_passes(specs), data)


def by_onnxruntime(
    method: CalibrationMethod, weights: QuantType, model: Model, data: CalibrationData, work: Path
) -> Model:
    """By onnxruntime: QDQ, weights per channel and symmetric, activations int8."""
    save_model(model, work / "float.onnx")
    quant_pre_process(work / "float.onnx", work / "prepared.onnx")
    quantize_static(
        work / "prepared.onnx",
        work / "quantized.onnx",
        _Reader(data.samples(model.inputs)),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=weights,
        calibrate_method=method,
    )
    return load(work / "quantized.onnx")


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, samples: Iterator[dict[str, npt.NDArray[Any]]]) -> None:
        self._samples = samples

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._samples, None)


METHODS: Mapping[str, Quantizer] = {
    "W8A8": partial(by_passes, ("quantize",)),
    "W8A8, onnxruntime, min-max": partial(
        by_onnxruntime, CalibrationMethod.MinMax, QuantType.QInt8
    ),
    "W8A8, onnxruntime, percentile": partial(
        by_onnxruntime, CalibrationMethod.Percentile, QuantType.QInt8
    ),
    "W4A8, to the nearest": partial(by_passes, ("quantize:weights=int4",)),
    "W4A8, reconstructed": partial(by_passes, (FINE_INT4,)),
    "W4A8, reconstructed, fine steps": partial(by_passes, (FINE_INT4, FINE_STEPS)),
    "W4A8, onnxruntime, min-max": partial(
        by_onnxruntime, CalibrationMethod.MinMax, QuantType.QInt4
    ),
}


@dataclass(frozen=True)
class Row:
    """What was measured of one method, draw by draw.

    Attributes:
        exact: accuracy of the float network.
        accuracy: of the quantized ones.
        agreement: shares of the test images of which both tell the same.
        bytes: of the stored constants, as a share of the float network's.
        seconds: of processor time.
    """

    exact: float
    accuracy: tuple[float, ...]
    agreement: tuple[float, ...]
    bytes: float
    seconds: tuple[float, ...]


def measure(quantizer: Quantizer, net: Path, folder: Path) -> Row:
    """Quantize on each draw and tell the test images."""
    model, test = load(net), read_images("test", folder)
    train = read_images("train", folder)
    exact = told(model, test)
    found, seconds, sizes = [], [], []
    for seed in range(DRAWS):
        drawn = np.random.default_rng(seed).choice(len(train.labels), SAMPLES, replace=False)
        with tempfile.TemporaryDirectory() as work:
            data = CalibrationData(Path(work) / "calibration.npz")
            np.savez(data.path, image=train.take(drawn).inputs)
            started = time.process_time()
            small = quantizer(model, data, Path(work))
            seconds.append(time.process_time() - started)
        found.append(told(small, test))
        sizes.append(statistics(small).bytes / statistics(model).bytes)
    return Row(
        float(np.mean(exact == test.labels)),
        tuple(float(np.mean(each == test.labels)) for each in found),
        tuple(float(np.mean(each == exact)) for each in found),
        float(np.mean(sizes)),
        tuple(seconds),
    )


def told(model: Model, images: Images) -> npt.NDArray[np.int64]:
    """The class of the highest output for each image."""
    (outputs,) = run_reference(model, [images.inputs[:, None]])
    return np.asarray(outputs.reshape(len(outputs), -1).argmax(1), np.int64)


def line(name: str, row: Row) -> str:
    """One line of the table: losses in points."""
    losses = 100 * (np.array(row.accuracy) - row.exact)
    cells = [
        name,
        f"{row.exact:.2%}",
        f"{losses.mean():+.2f}",
        " ".join(f"{loss:+.2f}" for loss in losses),
        f"{np.mean(row.agreement):.1%}",
        f"{1 / row.bytes:.1f}x",
        f"{np.mean(row.seconds):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADING = ("method", "float", "change, points", "draws", "agreement", "smaller", "s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the methods named, and print all that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--net", type=Path, default=NET, help="the network; trained if absent")
    parser.add_argument("--data", type=Path, default=INSTALLED, help="folder of the IDX files")
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args(arguments)
    fashion_net.need(options.net, options.data)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.method:
        print(name, file=sys.stderr, flush=True)
        known[name] = asdict(measure(METHODS[name], options.net, options.data))
        ordered = {method: known[method] for method in METHODS if method in known}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    print("| " + " | ".join(HEADING) + " |\n" + "|" + "---|" * len(HEADING))
    for name in METHODS:
        if name in known:
            print(line(name, Row(**known[name])))


if __name__ == "__main__":
    main()
