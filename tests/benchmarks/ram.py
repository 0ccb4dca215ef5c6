"""RAM and instructions of the reference models with less and less RAM allowed.

    python tests/benchmarks/ram.py [--models FOLDER] [--core NAME ...]

Every program runs on a golden input first. The rows go to results/ram.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

DEVICES = {"M4": "qemu_mps2_an386", "M55": "qemu_mps3_an547"}
LIMITS: Mapping[str, Sequence[int | None]] = {
    "kws_ref_model": (None,),
    "pretrainedResnet_quant": (None, 32, 28, 24),
    "vww_96_int8": (None, 40, 36, 32),
}
"""KiB of RAM allowed for each model."""
TFLM_ARENA = {"kws_ref_model": 22_820, "pretrainedResnet_quant": 54_996, "vww_96_int8": 100_708}
RESULTS = Path(__file__).parent / "results" / "ram.json"


@dataclass(frozen=True)
class Row:
    """One program; sizes in bytes."""

    model: str
    core: str
    allowed: int | None
    ram: int
    arena: int
    stack: int
    instructions: int
    bands: int
    extra_macs: int
    tflm_arena: int


def measure(model: str, core: str, kilobytes: int | None, folder: Path, path: Path) -> Row:
    """Compile, compare with a golden output, count.

    Raises:
        AssertionError: the output is not the golden one.
    """
    allowed = None if kilobytes is None else kilobytes * 1024
    imported, device = load(folder / f"{model}.tflite"), load_device(DEVICES[core])
    manifest = compile_model(imported, device, path, options=Options(ram_limit=allowed))
    golden = np.load(folder / "golden" / f"{model}.npz")
    x = golden["input_0"][0].reshape(manifest.inputs[0].shape)
    with Session(open_artifact(path)) as session:
        (y,) = session.engine.run([x])
        np.testing.assert_array_equal(y.reshape(-1), golden["output_0_ref"][0].reshape(-1))
        instructions = session.engine.count([x]).instructions
    memory = manifest.memory
    return Row(
        model,
        core,
        allowed,
        memory.ram_bytes,
        memory.arena_bytes,
        memory.stack_bytes,
        instructions,
        sum(patch.bands for patch in manifest.patches),
        sum(patch.extra_macs for patch in manifest.patches),
        TFLM_ARENA[model],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    parser.add_argument("--models", type=Path, default=shared)
    parser.add_argument("--core", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    options = parser.parse_args(arguments)
    heading = ("model", "core", "allowed", "RAM", "arena", "stack", "instructions", "bands")
    heading += ("extra MACs", "TFLM's arena")
    print("| " + " | ".join(heading) + " |")
    print("|" + "---|" * len(heading))
    rows = []
    for core in options.core:
        for model, limits in LIMITS.items():
            for limit in limits:
                with tempfile.TemporaryDirectory() as work:
                    path = Path(work) / "model.edge"
                    rows.append(measure(model, core, limit, options.models, path))
                cells = asdict(rows[-1]).values()
                texts = (f"{c:,}" if isinstance(c, int) else str(c or "-") for c in cells)
                print("| " + " | ".join(texts) + " |", flush=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
