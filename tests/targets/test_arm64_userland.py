"""The AArch64 userland the target tests run programs in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecomp import demo
from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

FACTS = """
import json, platform, sys, numpy
from edgecomp_runtime.host import cpu_features, host_isa
print(json.dumps([platform.machine(), numpy.__version__, host_isa(), sorted(cpu_features())]))
"""


@pytest.mark.parametrize(("cpu", "dot_products"), [("cortex-a72", False), ("cortex-a76", True)])
def test_python_with_numpy_runs_on_an_emulated_processor(
    arm64: Any, cpu: str, dot_products: bool
) -> None:
    done = arm64.python("-c", FACTS, cpu=cpu)
    assert done.returncode == 0, done.stderr
    machine, version, isa, features = json.loads(done.stdout)
    assert (machine, version, isa) == ("aarch64", np.__version__, "aarch64")
    assert ("asimddp" in features) == dot_products


@pytest.mark.parametrize(
    ("device", "cpu"), [("raspberrypi_4b", "cortex-a72"), ("raspberrypi_5", "cortex-a76")]
)
def test_a_pi_program_runs_there_with_numpy_alone(
    arm64: Any, device: str, cpu: str, tmp_path: Path
) -> None:
    """Real Python on AArch64 loads the library by ctypes; the integers are this machine's."""
    train, test = demo.load_split()
    np.savez(tmp_path / "train.npz", image=train["image"][:100])
    np.savez(tmp_path / "test.npz", image=test["image"][:10])
    data = CalibrationData(tmp_path / "train.npz")
    model = compress(load(demo.model_path()), [Quantize()], data)
    for name, where in (("there", device), ("here", "host")):
        compile_model(model, load_device(where), tmp_path / f"{name}.edge")

    command = ["run", "there.edge", "--input", "test.npz", "-o", "out.npz"]
    done = arm64.python("-m", "edgecomp_runtime.cli", *command, cpu=cpu, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Session(open_artifact(tmp_path / "here.edge")) as session:
        expected = [session.run({"image": x})["scores"] for x in test["image"][:10]]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["output_0"], np.stack(expected))


@pytest.mark.parametrize(
    "name", ["kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8"]
)
def test_tflite_programs_give_the_golden_bits_there(
    arm64: Any, shared: Path, name: str, tmp_path: Path
) -> None:
    """All golden samples of the reference models, as TFLite's reference kernels computed them."""
    golden = np.load(shared / "models" / "golden" / f"{name}.npz")
    model = load(shared / "models" / f"{name}.tflite")
    manifest = compile_model(model, load_device("raspberrypi_4b"), tmp_path / "there.edge")
    samples = golden["input_0"].reshape(-1, *manifest.inputs[0].shape)
    np.savez(tmp_path / "golden.npz", input_0=samples)
    command = ["run", "there.edge", "--input", "golden.npz", "-o", "out.npz"]
    done = arm64.python("-m", "edgecomp_runtime.cli", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "out.npz")["output_0"]
    np.testing.assert_array_equal(
        outputs.reshape(golden["output_0_ref"].shape), golden["output_0_ref"]
    )
