"""The packaged C of the reference models beside the project, under the sanitizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact

MODELS = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8")
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
DRAWN = 3
"""Random inputs beside the goldens."""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("device", ["nucleo_l4r5zi", "corstone_300"])
def test_goldens_and_noise_run_clean(
    model: str, device: str, shared: Path, package: Any, host_program: Any, tmp_path: Path
) -> None:
    """The kernels of the cores' instructions take their portable path on this machine."""
    path = tmp_path / "model.edge"
    manifest = compile_model(load(shared / "models" / f"{model}.tflite"), load_device(device), path)
    artifact = open_artifact(path)
    golden = np.load(shared / "models" / "golden" / f"{model}.npz")
    shape = manifest.inputs[0].shape
    given = golden["input_0"].reshape(-1, *shape)
    drawn = np.random.default_rng(5).integers(-128, 128, (DRAWN, *shape)).astype(np.int8)
    extremes = np.stack([np.full(shape, value, np.int8) for value in (-128, 127)])
    program = host_program(package("c", artifact), artifact, flags=SANITIZERS)
    samples = np.concatenate([given, drawn, extremes])
    found = np.array([outputs[0] for outputs in program.run([[x] for x in samples])])
    expected = golden["output_0_ref"].reshape(-1, *manifest.outputs[0].shape)
    np.testing.assert_array_equal(found[: len(given)], expected)
