"""Instructions, RAM and flash of the reference models on every Cortex-M, beside TFLM's.

    python tests/benchmarks/cortex_m.py [--models FOLDER] [--optimize balanced] [--core NAME ...]

Every program runs on the golden inputs first, and its outputs must be the golden ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.engines.qemu import QemuEngine
from edgecomp_runtime.engines.unicorn import UnicornEngine

MODELS = {
    "kws": "kws_ref_model",
    "resnet8": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
    "ad": "ad01_int8",
}
DEVICES = {
    "M0+": "rp2040_pico",
    "M3": "qemu_mps2_an385",
    "M4": "qemu_mps2_an386",
    "M7": "qemu_mps2_an500",
    "M33": "qemu_mps2_an505",
    "M55": "qemu_mps3_an547",
}
GOLDENS = 2
"""How many golden inputs each program runs: emulators take seconds for some."""

# TFLM with CMSIS-NN, gcc 12.2 -O2, instructions for one inference under QEMU at -icount shift=0
# (the microcontroller table of the project's anchors); its arena in bytes.
TFLM = {
    ("kws", "M4"): (7_700_800, 22_820),
    ("resnet8", "M4"): (29_864_480, 54_996),
    ("vww", "M4"): (24_104_080, 100_708),
    ("ad", "M4"): (583_680, 2_580),
    ("kws", "M55"): (1_817_406, 22_820),
    ("resnet8", "M55"): (4_913_375, 54_996),
    ("vww", "M55"): (6_561_031, 100_708),
    ("ad", "M55"): (286_312, 2_580),
}
# Instructions the project wants.
TARGETS = {
    ("kws", "M4"): 3_400_000,
    ("resnet8", "M4"): 12_900_000,
    ("vww", "M4"): 5_500_000,
    ("ad", "M4"): 320_000,
    ("kws", "M55"): 900_000,
    ("resnet8", "M55"): 2_500_000,
    ("vww", "M55"): 2_400_000,
    ("ad", "M55"): 150_000,
}


@dataclass(frozen=True)
class Row:
    """What one model takes on one core; sizes in bytes."""

    model: str
    core: str
    exact: bool
    instructions: int
    macs: int
    arena: int
    ram: int
    code: int
    weights: int


def measure(model: str, core: str, folder: Path, work: Path, optimize: str) -> Row:
    """Compile, compare with the goldens, count."""
    name, device = MODELS[model], load_device(DEVICES[core])
    path = work / f"{model}.edge"
    imported = load(folder / f"{name}.tflite")
    manifest = compile_model(imported, device, path, options=Options(optimize=optimize))
    artifact = open_artifact(path)
    engine = QemuEngine(artifact) if core == "M55" else UnicornEngine(artifact)
    golden = np.load(folder / "golden" / f"{name}.npz")
    inputs = golden["input_0"].reshape(-1, *manifest.inputs[0].shape)
    outputs = golden["output_0_ref"].reshape(-1, *manifest.outputs[0].shape)
    exact = all(
        np.array_equal(engine.run([x])[0], y)
        for x, y in zip(inputs[:GOLDENS], outputs[:GOLDENS], strict=True)
    )
    counts = engine.count([inputs[0]])
    engine.close()
    memory, flash = manifest.memory, manifest.flash
    return Row(
        model,
        core,
        exact,
        counts.instructions,
        sum(op.macs for op in manifest.ops),
        memory.arena_bytes,
        memory.ram_bytes,
        flash.code_bytes,
        flash.weights_bytes,
    )


def line(row: Row) -> str:
    """One line of the table."""
    key = (row.model, row.core)
    tflm, arena = TFLM.get(key, (None, None))
    target = TARGETS.get(key)
    cells = [
        row.model,
        row.core,
        "yes" if row.exact else "NO",
        f"{row.instructions:,}",
        f"{row.instructions / row.macs:.2f}",
        f"{target:,}" if target else "-",
        f"{tflm:,}" if tflm else "-",
        f"{tflm / row.instructions:.2f}x" if tflm else "-",
        f"{row.arena:,}",
        f"{row.ram:,}",
        f"{arena:,}" if arena else "-",
        f"{row.code:,}",
        f"{row.weights:,}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADING = (
    "model",
    "core",
    "exact",
    "instructions",
    "per MAC",
    "target",
    "TFLM + CMSIS-NN",
    "faster",
    "arena",
    "RAM",
    "TFLM's arena",
    "code",
    "constants",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a program's outputs are not the golden ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    parser.add_argument("--models", type=Path, default=shared)
    parser.add_argument("--optimize", default="balanced", choices=["speed", "balanced", "size"])
    parser.add_argument("--core", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=list(MODELS))
    options = parser.parse_args(arguments)
    print("| " + " | ".join(HEADING) + " |")
    print("|" + "---|" * len(HEADING))
    exact = True
    for core in options.core:
        for model in options.model:
            with tempfile.TemporaryDirectory() as work:
                row = measure(model, core, options.models, Path(work), options.optimize)
            exact &= row.exact
            print(line(row), flush=True)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
