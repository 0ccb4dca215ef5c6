"""What compression costs in accuracy and saves, case by case, beside what was aimed at.

    python -m tests.benchmarks.compression --shared FOLDER [--case NAME ...] [--again]

Results are kept in results/compression.json as they come; the table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress, statistics
from edgecomp.device import load_device
from edgecomp.model import Model
from edgecomp.passes import parse_passes
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp.toolchain import cache_folder
from edgecomp.training_data import Batch
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.engines.unicorn import UnicornEngine
from tests.benchmarks.compression_data import Folders, sets_of
from tests.benchmarks.fashion_mnist import INSTALLED

RESULTS = Path(__file__).parent / "results" / "compression.json"
DEVICE = "nucleo_l4r5zi"


@dataclass(frozen=True)
class Case:
    """One compression.

    Attributes:
        model: what is compressed.
        passes: specs, in order.
        target: what was aimed at, in words.
    """

    model: str
    passes: tuple[str, ...]
    target: str


FINE_INT4 = "quantize:weights=int4,rounding=reconstruct,samples=256"
FINE_STEPS = "qat:loss=features,epochs=4,lr=0.001,batch=16,threads=1"
RECOVER = "distill:epochs=40,lr=0.003,shift=1"
CASES: Mapping[str, Case] = {
    "mnist, int8": Case("mnist_cnn", ("quantize",), "no loss"),
    "mnist, low rank": Case("mnist_cnn", ("lowrank:params=0.2",), "19.5 % at no loss"),
    "mnist, 5 %, int8": Case(
        "mnist_cnn",
        (
            "prune:params=0.05,macs=0.05,scope=layer,criterion=taylor,steps=4,epochs=3,lr=0.003",
            RECOVER,
            "quantize",
        ),
        "<= 5 % of parameters and MACs at <= 0.3 points, 60x smaller at <= 0.5",
    ),
    "resnet8, int8": Case("resnet8_jpeg", ("quantize",), "within 0.2 points"),
    "resnet8, int4": Case(
        "resnet8_jpeg", ("quantize:weights=int4,rounding=reconstruct",), "within 0.7 points"
    ),
    "resnet8, half the MACs": Case(
        "resnet8_jpeg",
        ("prune:macs=0.5,criterion=taylor,steps=2,epochs=2,lr=0.002", "distill:epochs=10,lr=0.002"),
        "2x fewer MACs within 1.0 points",
    ),
    "kws, uneven, min-max": Case(
        "dscnn_kws, uneven",
        ("quantize:estimator=minmax,bias_correction=false",),
        "fails: channels up to 100x apart",
    ),
    "kws, uneven, equalized": Case(
        "dscnn_kws, uneven", ("quantize:equalize=true",), ">= 90 % of that loss recovered"
    ),
    "vww, int8": Case("mobilenetv1_025_vww", ("quantize",), "agreement >= 98 %, loss <= 2 of 124"),
    "vww, int4": Case(
        "mobilenetv1_025_vww", ("quantize:weights=int4,rounding=reconstruct",), "small loss"
    ),
    "kws, int8": Case("dscnn_kws", ("quantize",), "agreement >= 98 %, loss <= 3 of 500"),
    "kws, int4": Case("dscnn_kws", ("quantize:weights=int4,rounding=reconstruct",), "small loss"),
    "kws, 4-bit palettes": Case("dscnn_kws", ("cluster:bits=4,per=channel", "quantize"), "no loss"),
    "fashion, W8A8": Case("fashion_net", ("quantize",), "within 0.1 points"),
    "fashion, W4A8": Case(
        "fashion_net", (FINE_INT4, FINE_STEPS), "within 0.1 points in 60 s, two weights a byte"
    ),
    "ad, int8": Case("ad_autoencoder", ("quantize",), "MSE within 2 %"),
    "ad, low rank": Case("ad_autoencoder", ("lowrank:params=0.5", "quantize"), "MSE within 5 %"),
}


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        case: the name of the case.
        before, after: accuracy, or the mean square error of a reconstruction.
        agreement: share of the test samples with the same highest output; None of a reconstruction.
        params, macs, bytes: of the model after, as shares of the model before.
        instructions: on a Cortex-M4, as a share of the int8 program of the model before; exact
            counts. None of a model left in float.
        seconds: of the passes.
        flash: like `instructions`; None also where it was not measured.
    """

    case: str
    before: float
    after: float
    agreement: float | None
    params: float
    macs: float
    bytes: float
    instructions: float | None
    seconds: float
    flash: float | None = None


def measure(name: str, case: Case, folders: Folders, work: Path) -> Row:
    """Compress, evaluate, compile and count."""
    sets = sets_of(case.model, folders, work)
    batch = sets.test.load(sets.model.inputs)
    started = time.monotonic()
    small = compress(sets.model, parse_passes(case.passes), sets.calibration, train=sets.train)
    seconds = time.monotonic() - started
    exact, got = outputs(sets.model, batch), outputs(small, batch)
    old, new = statistics(sets.model), statistics(small)
    reconstructs = case.model == "ad_autoencoder"
    integer = case.passes[-1].startswith(("quantize", "qat"))
    instructions, flash = (
        _on_device(sets.model, small, sets.calibration, work) if integer else (None, None)
    )
    return Row(
        name,
        quality(exact, batch, reconstructs),
        quality(got, batch, reconstructs),
        None if reconstructs else float(np.mean(exact.argmax(1) == got.argmax(1))),
        new.params / old.params,
        new.macs / old.macs,
        new.bytes / old.bytes,
        instructions,
        seconds,
        flash,
    )


def outputs(model: Model, batch: Batch) -> np.ndarray:
    """The first output of each sample, [samples, elements]."""
    source, result = model.inputs[0].name, model.outputs[0].name
    executor = Executor(model.graph, [result])
    return np.stack([executor.run({source: row})[result].ravel() for row in batch.inputs[source]])


def quality(found: np.ndarray, batch: Batch, reconstructs: bool) -> float:
    """Accuracy, or the mean square error against the inputs."""
    if reconstructs:
        inputs = next(iter(batch.inputs.values())).reshape(found.shape)
        return float(np.mean(np.square(found - inputs)))
    assert batch.labels is not None
    return float(np.mean(found.argmax(1) == batch.labels))


def _on_device(
    before: Model, after: Model, data: CalibrationData, work: Path
) -> tuple[float, float]:
    """Instructions and bytes of flash of `after`, as shares of those of `before` in int8."""
    int8 = compress(before, parse_passes(["quantize"]), data)
    (instructions, flash), (most, largest) = _counts(after, work), _counts(int8, work)
    return instructions / most, flash / largest


def _counts(model: Model, work: Path) -> tuple[int, int]:
    path = work / "model.edge"
    manifest = compile_model(model, load_device(DEVICE), path)
    engine = UnicornEngine(open_artifact(path))
    counted = engine.count([np.zeros(spec.shape, spec.dtype) for spec in manifest.inputs])
    engine.close()
    return counted.instructions, manifest.flash.flash_bytes


def line(row: Row) -> str:
    """One line of the table."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    precise = "{:.3f}" if row.agreement is None else "{:.2%}"
    cells = [
        row.case,
        precise.format(row.before),
        precise.format(row.after),
        share(row.agreement),
        share(row.params),
        share(row.macs),
        f"{1 / row.bytes:.1f}x",
        share(row.instructions),
        share(row.flash),
        f"{row.seconds:.0f}",
        CASES[row.case].target,
    ]
    return "| " + " | ".join(cells) + " |"


HEADING = ("case", "before", "after", "agreement", "parameters", "MACs", "smaller",
           "M4 instructions", "M4 flash", "s", "target")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shared", type=Path, required=True, help="folder with models and data")
    parser.add_argument(
        "--fashion", type=Path, default=INSTALLED, help="folder of the files of Fashion-MNIST"
    )
    parser.add_argument(
        "--trained", type=Path, default=cache_folder(), help="folder of networks trained here"
    )
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--again", action="store_true", help="measure what is known, too")
    options = parser.parse_args(arguments)
    folders = Folders(options.shared, options.fashion, options.trained)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.case:
        if name in known and not options.again:
            continue
        print(name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as work:
            known[name] = asdict(measure(name, CASES[name], folders, Path(work)))
        ordered = {case: known[case] for case in CASES if case in known}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    print("| " + " | ".join(HEADING) + " |")
    print("|" + "---|" * len(HEADING))
    for name in CASES:
        if name in known:
            print(line(Row(**known[name])))


if __name__ == "__main__":
    main()
