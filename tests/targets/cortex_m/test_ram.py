"""RAM of the reference models, as they are and with less allowed; the outputs stay exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session

DEVICES = {"M0+": "rp2040_pico", "M4": "qemu_mps2_an386", "M55": "qemu_mps3_an547"}
MODELS = {
    "kws": "kws_ref_model",
    "resnet8": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
}
MOST = {"kws": 10_000, "resnet8": 38_500, "vww": 50_000}
"""Bytes of RAM without a limit, on a Cortex-M4; TFLM's arenas are 22,820, 54,996 and 100,708."""


def compiled(model: str, core: str, shared: Path, path: Path, ram: int | None = None) -> Manifest:
    """Compile and compare with a golden output."""
    folder, name = shared / "models", MODELS[model]
    options = Options(ram_limit=ram)
    device = load_device(DEVICES[core])
    manifest = compile_model(load(folder / f"{name}.tflite"), device, path, options=options)
    golden = np.load(folder / "golden" / f"{name}.npz")
    x = golden["input_0"][0].reshape(manifest.inputs[0].shape)
    with Session(open_artifact(path)) as session:
        (y,) = session.engine.run([x])
    np.testing.assert_array_equal(y.reshape(-1), golden["output_0_ref"][0].reshape(-1))
    return manifest


@pytest.mark.parametrize("model", MODELS)
def test_buffers_share_bytes_and_no_bit_changes(model: str, shared: Path, tmp_path: Path) -> None:
    manifest = compiled(model, "M4", shared, tmp_path / "model.edge")
    assert manifest.memory.ram_bytes <= MOST[model]


@pytest.mark.parametrize(
    ("model", "core", "kilobytes"), [("resnet8", "M4", 24), ("vww", "M0+", 32), ("vww", "M55", 32)]
)
def test_less_ram_is_enough_in_bands(
    model: str, core: str, kilobytes: int, shared: Path, tmp_path: Path
) -> None:
    manifest = compiled(model, core, shared, tmp_path / "model.edge", kilobytes * 1024)
    assert manifest.memory.ram_bytes <= kilobytes * 1024
    assert manifest.patches
    assert all(patch.extra_macs <= 0 for patch in manifest.patches)


def test_an_input_larger_than_the_limit_is_refused(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgecompError) as refusal:
        compiled("vww", "M4", shared, tmp_path / "model.edge", 24 * 1024)
    assert "24,576 bytes are allowed" in str(refusal.value)
    assert "input_1_int8 27,648" in str(refusal.value)
    assert not (tmp_path / "model.edge").exists()
