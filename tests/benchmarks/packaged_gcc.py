"""Instructions of the reference models' packaged C, compiled by the project's clang and by a GCC.

    python -m tests.benchmarks.packaged_gcc [--models FOLDER]

Needs arm-none-eabi-gcc. Every program gives the golden outputs first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecomp.commands.package import package_files
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.packaging.project import Labels
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.session import Session
from tests.benchmarks.cortex_m import DEVICES, MODELS
from tests.gcc_firmware import ARM_GCC, with_gcc

CORES = {"M4": "cortex_m4", "M55": "cortex_m55"}


def count(artifact: Artifact, golden: Path) -> int:
    """Instructions of one inference.

    Raises:
        AssertionError: the outputs are not the golden ones.
    """
    data = np.load(golden)
    x = data["input_0"][0].reshape(artifact.manifest.inputs[0].shape)
    with Session(artifact) as session:
        (y,) = session.engine.run([x])
        np.testing.assert_array_equal(y.reshape(-1), data["output_0_ref"][0].reshape(-1))
        return int(session.engine.count([x]).instructions)


def row(model: str, core: str, folder: Path, work: Path) -> str:
    """One line of the table."""
    name = MODELS[model]
    compile_model(load(folder / f"{name}.tflite"), load_device(DEVICES[core]), work / "a.edge")
    artifact = open_artifact(work / "a.edge")
    package_files([work / "a.edge"], "c", work / "c", Labels())
    golden = folder / "golden" / f"{name}.npz"
    ours = count(artifact, golden)
    theirs = count(with_gcc(artifact, work / "c", work, CORES[core]), golden)
    return f"| {model} | {core} | {ours:,} | {theirs:,} | {theirs / ours:.2f}x |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    parser.add_argument("--models", type=Path, default=shared)
    options = parser.parse_args(arguments)
    version = subprocess.run([ARM_GCC, "-dumpfullversion"], capture_output=True, text=True)
    print(f"| model | core | clang | GCC {version.stdout.strip()} -O2 | GCC / clang |")
    print("|---|---|---|---|---|")
    for core in CORES:
        for model in MODELS:
            with tempfile.TemporaryDirectory() as work:
                print(row(model, core, options.models, Path(work)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
