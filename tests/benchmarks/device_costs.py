"""Fit the costs of `edgecomp.graph.cost` to exact counts of the reference models' programs.

python tests/benchmarks/device_costs.py [--models FOLDER] [--core NAME ...]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

import edgecomp
from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import load_device
from edgecomp.graph.cost import kind_of, touched
from edgecomp.graph.macs import macs_of
from edgecomp.graph.values import elements_of
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.engines.qemu import QemuEngine
from edgecomp_runtime.engines.unicorn import UnicornEngine
from edgecomp_runtime.manifest import Manifest

MODELS = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8")
DEVICES = {
    "cortex_m0plus": "rp2040_pico",
    "cortex_m3": "qemu_mps2_an385",
    "cortex_m4": "qemu_mps2_an386",
    "cortex_m7": "qemu_mps2_an500",
    "cortex_m33": "qemu_mps2_an505",
    "cortex_m55": "qemu_mps3_an547",
    "cortex_a53": "raspberrypi_3b",
    "cortex_a72": "raspberrypi_4b",
    "cortex_a76": "raspberrypi_5",
}
DEMO = Path(edgecomp.__file__).parent / "demo_data" / "digits.onnx"
Row = tuple[list[float], float]


def rows(core: str, name: str, folder: Path) -> Iterator[Row]:
    """For each operator: what it does, in the terms of the model of costs; its instructions."""
    model = load(folder / f"{name}.tflite")
    nodes = {str(node.name): node for node in model.graph.graph}
    manifest, counts = counted(core, model)
    for op, instructions in zip(manifest.ops, counts, strict=True):
        node = nodes.get(op.name)
        if node is None or kind_of(node) == "free":
            continue
        if kind_of(node) == "element":
            yield [0.0, 0.0, 0.0, touched(node)], instructions
            continue
        # what dead channels left of it
        outputs = elements_of(node.outputs[0]) * op.macs / macs_of(node)
        if kind_of(node) == "depthwise":
            yield [0.0, op.macs, outputs, 0.0], instructions
        else:
            yield [op.macs, 0.0, outputs, 0.0], instructions


def counted(core: str, model: Model) -> tuple[Manifest, Sequence[float]]:
    """What a model becomes on a core, and the instructions of each operator."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "model.edge"
        manifest = compile_model(model, load_device(DEVICES[core]), path)
        artifact = open_artifact(path)
    engine = QemuEngine(artifact) if core == "cortex_m55" else UnicornEngine(artifact)
    counts = engine.count([np.zeros(spec.shape, spec.dtype) for spec in manifest.inputs])
    engine.close()
    return manifest, counts.per_op


def wide_share(core: str) -> float:
    """Instructions of the demo's model with int16 activations over those with int8."""
    model = load(DEMO)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "data.npz"
        rows = np.random.default_rng(0).uniform(size=(16, *model.inputs[0].shape[1:]))
        np.savez(path, **{model.inputs[0].name: rows.astype(np.float32)})
        narrow, wide = (
            compress(model, [parse_pass(f"quantize:activations={kind}")], CalibrationData(path))
            for kind in ("int8", "int16")
        )
    return sum(counted(core, wide)[1]) / sum(counted(core, narrow)[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of the table for each core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    parser.add_argument("--models", type=Path, default=shared)
    parser.add_argument("--core", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    options = parser.parse_args(arguments)
    for core in options.core:
        found = [row for name in MODELS for row in rows(core, name, options.models)]
        terms = np.array([row[0] for row in found])
        exact = np.array([row[1] for row in found])
        # Large and small operators count alike: what matters is the error in proportion.
        weight = 1 / np.sqrt(np.maximum(exact, 1.0))
        fit, _ = nnls(terms * weight[:, None], exact * weight)
        error = (terms @ fit).sum() / exact.sum() - 1
        figures = ", ".join(f"{value:.2f}" for value in fit)
        figures += f", LANES, {wide_share(core):.1f}"
        print(f'    "{core}": CoreCost({figures}),  # total off by {error:+.1%}', flush=True)


if __name__ == "__main__":
    main()
