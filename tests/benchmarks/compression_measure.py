"""What a compression costs in accuracy and saves, measured on the test samples and on a device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.compress import compress, statistics
from edgecomp.device import load_device
from edgecomp.model import Model
from edgecomp.passes import parse_passes
from edgecomp.pipeline import compile_model
from edgecomp.reference import Executor
from edgecomp.training_data import Batch
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.engines.unicorn import UnicornEngine
from edgecomp_runtime.session import Session
from tests.benchmarks.compression_data import Sets

Array = npt.NDArray[Any]

DEVICE = "nucleo_l4r5zi"
COMPARED = 5
"""Test samples on which the programs of the device and of the host give the same."""


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        case: the name of the case.
        before, after: accuracy, or the mean square error of a reconstruction.
        agreement: share of the test samples with the same highest output; None of a reconstruction.
        params, macs, bytes: of the model after, as shares of the model before.
        instructions: on a Cortex-M4, as a share of the int8 program of the model before; exact
            counts.
        flash: bytes of the program there, like `instructions`.
        seconds: of the passes.
    """

    case: str
    before: float
    after: float
    agreement: float | None
    params: float
    macs: float
    bytes: float
    instructions: float
    flash: float
    seconds: float


def measure(name: str, passes: Sequence[str], sets: Sets, work: Path) -> Row:
    """Compress, evaluate, compile and count.

    Args:
        name: of the case; that of an autoencoder begins with "ad".
        passes: specs, in order; the last one quantizes, or trains what is quantized.
        sets: the model and its samples.
        work: folder for what is compiled.
    """
    started = time.monotonic()
    small = compress(sets.model, parse_passes(passes), sets.calibration, train=sets.train)
    seconds = time.monotonic() - started
    return judged(name, small, sets, seconds, work)


def judged(name: str, small: Model, sets: Sets, seconds: float, work: Path) -> Row:
    """The row of `small`, which was made of the model of `sets` in so many seconds."""
    batch = sets.test.load(sets.model.inputs)
    exact, got = outputs(sets.model, batch), outputs(small, batch)
    old, new = statistics(sets.model), statistics(small)
    reconstructs = name.startswith("ad")
    int8 = compress(sets.model, parse_passes(["quantize"]), sets.calibration)
    most, largest = _counts(int8, batch, work)
    instructions, flash = _counts(small, batch, work)
    return Row(
        name,
        quality(exact, batch, reconstructs),
        quality(got, batch, reconstructs),
        None if reconstructs else float(np.mean(exact.argmax(1) == got.argmax(1))),
        new.params / old.params,
        new.macs / old.macs,
        new.bytes / old.bytes,
        instructions / most,
        flash / largest,
        seconds,
    )


def outputs(model: Model, batch: Batch) -> Array:
    """The first output of each sample, [samples, elements]."""
    source, result = model.inputs[0].name, model.outputs[0].name
    executor = Executor(model.graph, [result])
    return np.stack([executor.run({source: row})[result].ravel() for row in batch.inputs[source]])


def quality(found: Array, batch: Batch, reconstructs: bool) -> float:
    """Accuracy, or the mean square error against the inputs."""
    if reconstructs:
        inputs = next(iter(batch.inputs.values())).reshape(found.shape)
        return float(np.mean(np.square(found - inputs)))
    assert batch.labels is not None
    return float(np.mean(found.argmax(1) == batch.labels))


def _counts(model: Model, batch: Batch, work: Path) -> tuple[int, int]:
    """Instructions and bytes of flash on the device, whose outputs are those on the host."""
    there, here = work / "device.edge", work / "host.edge"
    manifest = compile_model(model, load_device(DEVICE), there)
    compile_model(model, load_device("host"), here)
    rows = list(islice(next(iter(batch.inputs.values())), COMPARED))
    artifact = open_artifact(there)
    engine = UnicornEngine(artifact)
    with Session(artifact, engine) as device, Session(here) as host:
        for one, other in zip(
            device.run_raw([[r] for r in rows]), host.run_raw([[r] for r in rows]), strict=True
        ):
            for got, expected in zip(one[0], other[0], strict=True):
                np.testing.assert_array_equal(got, expected)
        counted = engine.count([np.zeros(spec.shape, spec.dtype) for spec in manifest.inputs])
    return counted.instructions, manifest.flash.flash_bytes
